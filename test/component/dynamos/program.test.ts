import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { type DeployOutputs, deploy } from "../../../dynamos/deploy.js";

/** One registered resource as the engine would see it. */
interface Registered {
  readonly type: string;
  readonly name: string;
  readonly parent: string;
  readonly dependencies: readonly string[];
  readonly deletedWith: string;
  readonly inputs: Record<string, unknown>;
}

const made: Registered[] = [];
let outputs: DeployOutputs;
const value = <T>(output: pulumi.Output<T>): Promise<T> => new Promise((done) => void output.apply(done));
/** `type::name` of a URN. */
const short = (urn: string): string =>
  urn
    .split("::")
    .slice(2)
    .map((part) => part.split("$").at(-1) ?? "")
    .join("::");

/** What mocks do not tell: the requests themselves. Hooks they do not know at all. */
function watchRequests(): void {
  interface Monitor {
    registerResource: (request: Request, answer: unknown) => unknown;
    registerResourceHook: (request: unknown, answer: (error: null, response: unknown) => void) => void;
  }
  interface Request {
    getType(): string;
    getName(): string;
    getParent(): string;
    getDeletedwith(): string;
    getDependenciesList(): string[];
    getObject(): { toJavaScript(): Record<string, unknown> };
  }
  const monitor = pulumi.runtime.getMonitor() as unknown as Monitor;
  const register = monitor.registerResource.bind(monitor);
  monitor.registerResource = (request, answer) => {
    made.push({
      type: request.getType(),
      name: request.getName(),
      parent: short(request.getParent()),
      dependencies: request.getDependenciesList().map(short).sort(),
      deletedWith: short(request.getDeletedwith()),
      inputs: request.getObject().toJavaScript(),
    });
    return register(request, answer);
  };
  monitor.registerResourceHook = (_request, answer) => answer(null, {});
}

beforeAll(async () => {
  await pulumi.runtime.setMocks(
    {
      newResource: ({ name, inputs }) => {
        const known = {
          hosts: {},
          ports: { http: 4001 },
          revision: 1,
          sha256: "0",
          gateway: "10.0.0.1",
          subnet: "10.0.0.0/24",
          managementIp: "2001:db8::1",
          addresses: ["10.0.0.2"],
          mac: "02:00:00:00:00:01",
        };
        return { id: `${name}-id`, state: { ...inputs, ...known } };
      },
      call: () => ({}),
    },
    "dynamos-fabric",
    "dev",
    false,
  );
  watchRequests();
  const file = parse(readFileSync("Pulumi.dev.yaml", "utf8")) as { config: Record<string, unknown> };
  pulumi.runtime.setAllConfig({
    "dynamos-fabric:marketplace": JSON.stringify(file.config["dynamos-fabric:marketplace"]),
  });
  outputs = await deploy();
  await pulumi.runtime.disconnect();
});

const of = (type: string): Registered[] => made.filter((r) => r.type === type);
const named = (type: string, name: string): Registered => {
  const found = made.find((r) => r.type === type && r.name === name);
  if (found === undefined) throw new Error(`no ${type} ${name}`);
  return found;
};
const PROCESS = "pulumi-nodejs:dynamic/local:Process";
const USERS = "pulumi-nodejs:dynamic/dynamos:StoreUsers";

describe("the program", () => {
  it("makes the paper's stack", () => {
    expect(
      made.map((r) => `${r.type}  ${r.name}${r.parent === "" ? "" : `  <  ${r.parent}`}`).sort(),
    ).toMatchSnapshot();
  });

  it("names each resource <stack>-<thing>, and no two alike", () => {
    expect(made.filter((r) => r.name !== "dev" && !r.name.startsWith("dev-"))).toEqual([]);
    expect(new Set(made.map((r) => `${r.type}::${r.name}`)).size).toBe(made.length);
  });

  it("runs each agent after its own node, its users and the store, and on no other node", () => {
    const agent = named(PROCESS, "dev-clienttwo");
    expect(agent.dependencies).toEqual([
      "pulumi-nodejs:dynamic/dynamos:BrokerUser::dev-clienttwo",
      "pulumi-nodejs:dynamic/dynamos:BrokerUser::dev-clienttwo-jobs",
      "pulumi-nodejs:dynamic/dynamos:StoreUsers::dev-clienttwo",
      "pulumi-nodejs:dynamic/fabric:Node::dev-clienttwo",
      `${PROCESS}::dev-store`,
    ]);
    expect(agent.parent).toBe("dynamos-fabric:dynamos:Agent::dev-clienttwo");
  });

  it("starts the core in the order of its needs", () => {
    expect(named(PROCESS, "dev-broker").dependencies).toContain(`${PROCESS}::dev-epmd`);
    for (const service of ["orchestrator", "policy-enforcer", "api-gateway"]) {
      expect(named(PROCESS, `dev-${service}`).dependencies).toEqual(
        expect.arrayContaining([`${PROCESS}::dev-broker`, `${PROCESS}::dev-store`, `${USERS}::dev-store`]),
      );
    }
  });

  it("has the store ask who calls before anything calls, and an agent's user come and go by itself", () => {
    expect(named(USERS, "dev-store").dependencies).toEqual([`${PROCESS}::dev-store`]);
    const { dependencies, inputs } = named(USERS, "dev-clienttwo");
    expect(dependencies).toEqual([`${USERS}::dev-store`]);
    expect((inputs.rights as { user: string }[]).map((r) => r.user)).toEqual(["agent-clienttwo"]);
  });

  it("writes agreements after all that they name, through the orchestrator", () => {
    const agreements = of("pulumi-nodejs:dynamic/dynamos:Agreement");
    const documents = of("pulumi-nodejs:dynamic/dynamos:Document");
    expect(agreements.map((a) => a.inputs.name).sort()).toEqual([
      "clientone",
      "clientthree",
      "clienttwo",
      "server",
    ]);
    expect(documents.length).toBeGreaterThan(0);
    for (const agreement of agreements) {
      expect(agreement.dependencies).toEqual(
        [...documents.map((d) => `${d.type}::${d.name}`), `${PROCESS}::dev-orchestrator`].sort(),
      );
    }
  });

  it("can be taken down when nothing runs: what lives in a service goes with it", () => {
    for (const type of ["Slice", "Node", "Network"]) {
      for (const r of of(`pulumi-nodejs:dynamic/fabric:${type}`))
        expect(r.deletedWith, r.name).toBe(`${PROCESS}::dev-emulator`);
    }
    for (const r of of("pulumi-nodejs:dynamic/dynamos:BrokerUser"))
      expect(r.deletedWith).toBe(`${PROCESS}::dev-broker`);
    for (const r of [
      ...of("pulumi-nodejs:dynamic/dynamos:Agreement"),
      ...of("pulumi-nodejs:dynamic/dynamos:Document"),
      ...of(USERS),
    ])
      expect(r.deletedWith).toBe(`${PROCESS}::dev-store`);
  });

  it("keeps no path of this machine and no secret in any resource", () => {
    expect(JSON.stringify(made)).not.toContain(process.cwd());
    expect(JSON.stringify(made)).not.toMatch(/"(password|token|secret)[^"]*":\s*"(?!\{\{)/i);
  });

  it("gives the gateway's address and where the state is", async () => {
    expect(outputs.gatewayUrl && (await value(outputs.gatewayUrl))).toBe("http://127.0.0.1:4001");
    expect(outputs.stateFolder).toBe(".state/dev");
  });
});

describe("a wrong configuration", () => {
  it("ends before any resource, with all problems and no stack trace", async () => {
    const before = made.length;
    pulumi.runtime.setAllConfig({
      "dynamos-fabric:marketplace": JSON.stringify({
        experiment: "examples/titanic",
        nodes: { core: { role: "cor", site: "LOAS" } },
      }),
    });
    const error = await deploy().then(
      () => undefined,
      (e: unknown) => e,
    );
    expect(pulumi.RunError.isInstance(error)).toBe(true);
    const { message } = error as Error;
    for (const code of ["SPEC-ROLE-UNKNOWN", "SPEC-NO-CORE", "FAB-SITE-UNKNOWN", "DOC-PARTY-UNKNOWN"])
      expect(message).toContain(code);
    expect(made.length).toBe(before);
  });

  it("says so when there is none", async () => {
    pulumi.runtime.setAllConfig({});
    await expect(deploy()).rejects.toThrow(/SPEC-MISSING/);
  });
});
