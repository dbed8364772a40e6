import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, it } from "vitest";
import { readExperiment } from "../../../dynamos/experiment.js";
import {
  Agent,
  allObjects,
  givenSecrets,
  Marketplace,
  planKubernetes,
} from "../../../dynamos/kubernetes/index.js";
import type { KubeObject } from "../../../dynamos/kubernetes/objects.js";
import { rabbitmqPasswordHash, rabbitmqSaltBytes } from "../../../infra/local/rabbitmq-hash.js";
import { imagesOf, USERS } from "../../support/random-market.js";

interface Registered {
  readonly type: string;
  readonly name: string;
  readonly parent: string;
  readonly dependencies: readonly string[];
  readonly inputs: Record<string, unknown> & {
    kind?: string;
    metadata?: { name: string; namespace?: string };
  };
}

/** How the engine is told that a value is a secret. Source: Pulumi SDK, `rpc.specialSigKey` and `specialSecretSig`. */
const SIGNATURE = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";

const options = {
  users: USERS,
  images: { from: "registry" as const, pullSecret: true, references: imagesOf() },
  hosts: { amst: "worker-2" },
};
const made: Registered[] = [];
let market: Marketplace;

const tail = (urn: string): string => urn.split("::").slice(2).join("::").split("$").at(-1) ?? "";

beforeAll(async () => {
  await pulumi.runtime.setMocks(
    {
      newResource: ({ name, inputs }) => ({
        id: `${name}-id`,
        state: { ...inputs, value: `password ${name}` },
      }),
      call: () => ({}),
    },
    "dynamos-fabric",
    "dev",
    false,
  );
  interface Request {
    getType(): string;
    getName(): string;
    getParent(): string;
    getDependenciesList(): string[];
    getObject(): { toJavaScript(): Record<string, unknown> };
  }
  const monitor = pulumi.runtime.getMonitor() as unknown as {
    registerResource: (request: Request, answer: unknown) => unknown;
  };
  const register = monitor.registerResource.bind(monitor);
  monitor.registerResource = (request, answer) => {
    made.push({
      type: request.getType(),
      name: request.getName(),
      parent: tail(request.getParent()),
      dependencies: request.getDependenciesList().map(tail),
      inputs: request.getObject().toJavaScript(),
    });
    return register(request, answer);
  };
  market = new Marketplace("vfl", {
    ...options,
    core: "core",
    experiment: "examples/titanic",
    agents: { server: "amst", clientOne: "losa" },
    thirdParties: { surf: "tky" },
    address: "10.0.0.5",
    secrets: { registry: '{"auths":{}}' },
  });
  new Agent("alone", {
    party: "other",
    node: "worker-9",
    options: { ...options, namespacePrefix: "b-" },
    secrets: givenSecrets({
      registry: "{}",
      "broker-agent-other": "word",
      "broker-jobs-other": "word of its microservices",
      "store-agent-other": "w",
      "key-agent-other": "k",
    }),
  });
  await pulumi.runtime.disconnect();
});

const planned = (): readonly KubeObject[] =>
  allObjects(
    planKubernetes({
      placement: {
        core: "core",
        agents: [
          { party: "server", node: "amst", role: "agent" },
          { party: "clientOne", node: "losa", role: "agent" },
          { party: "surf", node: "tky", role: "thirdParty" },
        ],
      },
      options,
      documents: readExperiment(join(process.cwd(), "examples/titanic")).experiment.documents,
    }),
  );
const id = (object: { kind?: string; metadata?: { name: string; namespace?: string } }): string =>
  `${object.kind} ${object.metadata?.namespace ?? ""} ${object.metadata?.name}`;
const ofMarket = (): Registered[] =>
  made.filter(({ inputs, name }) => inputs.kind !== undefined && !name.startsWith("alone"));
const find = (text: string): Registered => {
  const found = made.find((r) => r.inputs.kind !== undefined && id(r.inputs) === text);
  if (found === undefined) throw new Error(`no ${text} was registered`);
  return found;
};

/** A Secret's texts, out of the wrapping that says they are secret. */
const textsOf = (text: string): Record<string, string> =>
  (find(text).inputs.stringData as { value: Record<string, string> }).value;

describe("a marketplace component on a cluster", () => {
  it("registers exactly the objects of the plan, in the types of the Kubernetes provider", () => {
    expect(
      ofMarket()
        .map((r) => id(r.inputs))
        .sort(),
    ).toEqual(planned().map(id).sort());
    for (const object of planned()) {
      const { inputs, type } = find(id(object));
      expect(type).toMatch(/^kubernetes:/);
      if (object.kind === "Secret") continue;
      const { annotations: _added, ...metadata } = inputs.metadata as unknown as Record<string, unknown>;
      const { annotations: _planned, ...wanted } = object.metadata;
      expect({ ...inputs, metadata }).toMatchObject({ ...object, metadata: wanted });
    }
  });

  it("tells the engine of every secret that it is one, and gives the broker hashes only", () => {
    const secrets = ofMarket().filter((r) => r.inputs.kind === "Secret");
    expect(secrets.length).toBeGreaterThan(8);
    for (const { inputs } of secrets) expect(inputs.stringData).toMatchObject({ [SIGNATURE]: SECRET });
    const others = made.filter((r) => r.inputs.kind !== "Secret" && !r.type.includes("Password"));
    expect(JSON.stringify(others)).not.toMatch(/password vfl-|\{\{/);
    const files = textsOf("Secret dynamos-core broker-files");
    const definitions = JSON.parse(files["definitions.json"] ?? "") as {
      users: { name: string; password_hash: string }[];
    };
    const user = definitions.users.find(({ name }) => name === "agent-clientone");
    const salt = Buffer.from(user?.password_hash ?? "", "base64").subarray(0, rabbitmqSaltBytes);
    const { value = "" } = textsOf("Secret dynamos-clientone broker-agent-clientone");
    expect(value).toContain("password vfl-");
    expect(user?.password_hash).toBe(rabbitmqPasswordHash(value, salt));
  });

  it("makes a namespace before what is in it, pods after what they name, and agents after broker and store", () => {
    const resources = new Map(made.map((r) => [`${r.type}::${r.name}`, r]));
    /** All that must be there before an object, by way of others too. */
    const allBefore = (text: string, seen = new Set<string>()): Set<string> => {
      for (const dependency of resources.get(text)?.dependencies ?? []) {
        if (seen.has(dependency)) continue;
        allBefore(dependency, seen.add(dependency));
      }
      return seen;
    };
    const agent = allBefore("kubernetes:apps/v1:StatefulSet::vfl-clientOne-statefulset-agent-clientone");
    for (const earlier of [
      "kubernetes:core/v1:Namespace::vfl-clientOne-namespace-dynamos-clientone",
      "kubernetes:core/v1:Secret::vfl-clientOne-secret-broker-agent-clientone",
      "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding::vfl-clientOne-rolebinding-agent-clientone",
      "kubernetes:batch/v1:Job::vfl-broker-job-broker-users",
      "kubernetes:apps/v1:StatefulSet::vfl-broker-statefulset-broker",
      "kubernetes:apps/v1:StatefulSet::vfl-store-statefulset-store",
      "kubernetes:batch/v1:Job::vfl-store-job-store-users",
      "kubernetes:core/v1:Namespace::vfl-namespace-dynamos-core",
    ])
      expect(agent).toContain(earlier);
    const documents = allBefore("kubernetes:batch/v1:Job::vfl-documents-job-documents");
    for (const earlier of [
      "kubernetes:core/v1:ConfigMap::vfl-documents-configmap-agreement-server",
      "kubernetes:apps/v1:Deployment::vfl-core-deployment-orchestrator",
    ])
      expect(documents).toContain(earlier);
    // An agent that comes changes the core nowhere but at the users of broker and store: nothing of the core waits for one.
    const core = allBefore("kubernetes:apps/v1:Deployment::vfl-core-deployment-orchestrator");
    expect([...core].filter((name) => name.includes("clientOne"))).toEqual([]);
  });

  it("shows its parts as components, and where the gateway is", async () => {
    const components = made.filter(({ type }) => type.startsWith("dynamos-fabric:")).map((r) => r.type);
    expect(components.map((type) => type.replace("dynamos-fabric:dynamos:", "")).sort()).toEqual([
      "Agent",
      "Agent",
      "Agent",
      "Broker",
      "Core",
      "Documents",
      "Marketplace",
      "Store",
      "TrustedThirdParty",
    ]);
    expect(made.find(({ type }) => type.endsWith(":Broker"))?.parent).toContain(":Core::vfl");
    const url = await new Promise((done) => void market.gatewayUrl.apply(done));
    expect(url).toBe("http://10.0.0.5:30080");
    expect(JSON.stringify(find("StatefulSet dynamos-server agent-server").inputs)).toContain(
      '"nodeSelector":{"kubernetes.io/hostname":"worker-2"}',
    );
  });

  it("lets an agent stand alone in somebody's program, with secrets of theirs", () => {
    const alone = made.filter(({ name, inputs }) => name.startsWith("alone") && inputs.kind !== undefined);
    expect(new Set(alone.map((r) => r.inputs.metadata?.namespace ?? r.inputs.metadata?.name))).toEqual(
      new Set([
        "b-other",
        expect.stringContaining("b-other-data"),
        expect.stringContaining("b-other-agent-other"),
      ]),
    );
    expect(JSON.stringify(find("Secret b-other broker-agent-other").inputs.stringData)).toContain("word");
    expect(() => givenSecrets({}).value("broker-agent-x")).toThrow("broker-agent-x");
  });

  it("makes a volume before the claim that names it, and waits until that is bound", () => {
    const claims = made.filter(({ inputs }) => inputs.kind === "PersistentVolumeClaim");
    expect(claims.length).toBeGreaterThan(0);
    for (const { inputs, dependencies } of claims) {
      const { volumeName } = inputs.spec as { volumeName: string };
      const volume = made.find(({ inputs: { kind, metadata } }) => kind === "PersistentVolume" && metadata?.name === volumeName); // biome-ignore format: one line
      expect(
        dependencies.some((name) => name.endsWith(volume?.name ?? "none")),
        volumeName,
      ).toBe(true);
      expect(JSON.stringify(inputs.metadata)).not.toContain("skipAwait");
    }
  });
});
