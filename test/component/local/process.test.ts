import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, it } from "vitest";
import { LocalProcess, type ServiceSpec } from "../../../infra/local/index.js";

const made: pulumi.runtime.MockResourceArgs[] = [];

const spec: ServiceSpec = {
  name: "store",
  node: "core",
  command: ["{{tool:etcd}}"],
  ports: { client: 0 },
  ready: { tcp: "client" },
};

const value = <T>(output: pulumi.Output<T>): Promise<T> => new Promise((done) => void output.apply(done));

beforeAll(async () => {
  await pulumi.runtime.setMocks(
    {
      newResource: (args) => {
        made.push(args);
        return {
          id: args.name,
          state: { ...args.inputs, name: "store", node: "core", ports: { client: 4001 } },
        };
      },
      call: () => ({}),
    },
    "project",
    "dev",
  );
});

describe("LocalProcess", () => {
  it("registers a dynamic resource whose code is named, and has the provider's outputs", async () => {
    const store = new LocalProcess("dev-store", { state: ".state/dev", spec });
    expect(await value(store.urn)).toBe(
      "urn:pulumi:dev::project::pulumi-nodejs:dynamic/local:Process::dev-store",
    );
    expect(await value(store.ports)).toEqual({ client: 4001 });
    expect(await value(store.name)).toBe("store");
    expect(await value(store.node)).toBe("core");
    const [resource] = made;
    expect(resource?.inputs).toMatchObject({ state: ".state/dev", spec });
    expect(resource?.inputs.__provider).toContain("'dynamos-fabric/provider/infra/local/process-provider'");
  });

  it("holds nothing of this machine", () => {
    expect(JSON.stringify(made)).not.toContain(process.cwd());
  });

  it("takes a specification that is known later", async () => {
    const later = new LocalProcess("dev-later", {
      state: ".state/dev",
      spec: pulumi.output(Promise.resolve(spec)),
    });
    expect(await value(later.urn)).toContain("dev-later");
    expect(made.at(-1)?.inputs.spec).toEqual(spec);
  });
});
