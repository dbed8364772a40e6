import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { type DeployOutputs, deploy } from "../../../dynamos/deploy.js";

const made: { type: string; inputs: Record<string, unknown> }[] = [];
let outputs: DeployOutputs;

beforeAll(async () => {
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => {
        made.push({ type, inputs });
        const known = {
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
  const monitor = pulumi.runtime.getMonitor() as unknown as {
    registerResourceHook: (request: unknown, answer: (e: null, r: unknown) => void) => void;
  };
  monitor.registerResourceHook = (_request, answer) => answer(null, {}); // mocks know no hooks
  const file = parse(readFileSync("Pulumi.dev.yaml", "utf8")) as {
    config: Record<string, Record<string, unknown>>;
  };
  const marketplace = { ...file.config["dynamos-fabric:marketplace"], target: "fabric" };
  pulumi.runtime.setAllConfig({ "dynamos-fabric:marketplace": JSON.stringify(marketplace) });
  outputs = await deploy();
  await pulumi.runtime.disconnect();
});

describe("target fabric", () => {
  it("makes the slice on the testbed, and says by what it leaves out that the marketplace comes later", () => {
    expect([...new Set(made.map((m) => m.type))].sort()).toEqual([
      "dynamos-fabric:fabric:FabricSlice",
      "pulumi-nodejs:dynamic/fabric:Network",
      "pulumi-nodejs:dynamic/fabric:Node",
      "pulumi-nodejs:dynamic/fabric:Slice",
    ]);
    expect(made.find((m) => m.type.endsWith(":Slice"))?.inputs).toMatchObject({
      lease: "14d",
      endpoint: { kind: "fabric" },
    });
    expect(outputs.gatewayUrl).toBeUndefined();
  });
});
