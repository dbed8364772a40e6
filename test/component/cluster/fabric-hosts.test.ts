import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parseHost } from "../../../infra/cluster/spec.js";
import { makeSshKeyPair } from "../../../infra/fabric/ssh-key-pair.js";
import { FabricSlice, fabricHosts } from "../../../infra/index.js";

const folder = mkdtempSync(join(tmpdir(), "fabric hosts "));
const [bastion, own] = [makeSshKeyPair("bastion"), makeSshKeyPair("slice")];

beforeAll(async () => {
  writeFileSync(join(folder, "bastion"), bastion.privateKey, { mode: 0o600 });
  writeFileSync(join(folder, "slice"), own.privateKey, { mode: 0o600 });
  vi.stubEnv("HOME", folder);
  vi.stubEnv("FABRIC_BASTION_USERNAME", "someone_0001");
  vi.stubEnv("FABRIC_BASTION_KEY_LOCATION", join(folder, "bastion"));
  vi.stubEnv("FABRIC_SLICE_PRIVATE_KEY_FILE", join(folder, "slice"));
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => {
        const known: Record<string, Record<string, unknown>> = {
          "pulumi-nodejs:dynamic/fabric:Network": { subnet: "10.130.1.0/24", gateway: "10.130.1.1" },
          "pulumi-nodejs:dynamic/fabric:Node": {
            managementIp: inputs.name === "v4" ? "192.0.2.9" : "2001:db8::7",
            addresses: inputs.siteNetwork === false ? [] : ["10.130.1.7"],
            mac: inputs.siteNetwork === false ? "" : "02:00:00:00:00:07",
            sliverId: `${name}-sliver`,
          },
        };
        return { id: `${name}-id`, state: { ...inputs, ...known[type] } };
      },
      call: () => ({}),
    },
    "dynamos-fabric",
    "dev",
  );
  const monitor = pulumi.runtime.getMonitor() as unknown as Record<string, unknown>;
  monitor.registerResourceHook = (_: unknown, answer: (e: null, r: unknown) => void) => answer(null, {});
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const value = <T>(output: pulumi.Output<T>): Promise<T> => new Promise((done) => void output.apply(done));
const slice = () =>
  new FabricSlice("dev", {
    nodes: {
      worker: { site: "AMST", image: "default_rocky_9" },
      v4: { site: "AMST" },
      first: { site: "AMST" },
      alone: { site: "AMST", siteNetwork: false },
    },
  });

describe("fabricHosts", () => {
  it("has a host for each node, the control plane first, each as a cluster takes it", async () => {
    const hosts = fabricHosts(slice(), { control: ["first"], labels: { v4: { disk: "fast" } } });
    expect(Object.keys(hosts)[0]).toBe("first");
    expect(Object.keys(hosts).sort()).toEqual(["alone", "first", "v4", "worker"]);
    const known = await value(pulumi.unsecret(pulumi.output(hosts)));
    const parsed = Object.fromEntries(
      Object.entries(known).map(([name, host]) => [name, parseHost(name, host)]),
    );
    expect(parsed.worker).toMatchObject({
      ...{
        role: "worker",
        address: "2001:db8::7",
        port: 22,
        user: "rocky",
        privateKey: own.privateKey,
        reset: false,
      },
      bastion: {
        host: "bastion.fabric-testbed.net",
        port: 22,
        user: "someone_0001",
        privateKey: bastion.privateKey,
      },
      dataAddress: "10.130.1.7",
      network: {
        mac: "02:00:00:00:00:07",
        subnet: "10.130.1.0/24",
        routes: [{ to: "10.128.0.0/10", via: "10.130.1.1" }],
      },
      labels: { "topology.kubernetes.io/region": "AMST" },
    });
    expect(parsed.first).toMatchObject({ role: "control", user: "ubuntu" });
    expect(parsed.v4).toMatchObject({ address: "192.0.2.9", labels: { disk: "fast", "topology.kubernetes.io/region": "AMST" } }); // biome-ignore format: one line
    expect(parsed.alone).not.toHaveProperty("network");
    expect(parsed.alone).not.toHaveProperty("dataAddress");
  });

  it("keeps the keys secret", async () => {
    const { worker } = fabricHosts(slice(), { control: ["first"] });
    expect(await pulumi.isSecret(worker?.privateKey as pulumi.Output<string>)).toBe(true);
    expect(await pulumi.isSecret(worker?.bastion?.privateKey as pulumi.Output<string>)).toBe(true);
    expect(await pulumi.isSecret(worker?.address as pulumi.Output<string>)).toBe(false);
  });

  it("refuses a control plane on nodes that are none, all at once", () => {
    expect(() => fabricHosts(slice(), { control: ["first", "secnd", "thrd"] })).toThrow(
      /control\.secnd {2}CLU-HOST-UNKNOWN[\s\S]*control\.thrd {2}CLU-HOST-UNKNOWN.*it has: alone, first, v4, worker/,
    );
  });
});
