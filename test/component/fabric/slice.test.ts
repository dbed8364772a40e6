import * as pulumi from "@pulumi/pulumi";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { FabricSlice, InfraError } from "../../../infra/index.js";
import { paperSlice } from "../../support/paper-slice.js";

const made: pulumi.runtime.MockResourceArgs[] = [];

beforeAll(async () => {
  await pulumi.runtime.setMocks(
    {
      newResource: (args) => {
        made.push(args);
        const { inputs } = args;
        const site = String(inputs.site ?? "");
        const number = ["AMST", "LOSA", "TOKY"].indexOf(site) + 1;
        const read: Record<string, Record<string, unknown>> = {
          "pulumi-nodejs:dynamic/fabric:Network": {
            subnet: `10.${number}.0.0/24`,
            gateway: `10.${number}.0.1`,
          },
          "pulumi-nodejs:dynamic/fabric:Node": {
            managementIp: `2001:db8::${inputs.name}`,
            addresses: inputs.siteNetwork === false ? [] : [`10.${number}.0.9`],
            mac: inputs.siteNetwork === false ? "" : "02:00:00:00:00:01",
          },
        };
        return { id: `${args.name}-id`, state: { ...inputs, ...read[args.type] } };
      },
      call: () => ({}),
    },
    "dynamos-fabric",
    "dev",
  );
  // The SDK's mocks do not know hooks.
  const monitor = pulumi.runtime.getMonitor() as unknown as {
    registerResourceHook: (request: unknown, answer: (error: null, response: unknown) => void) => void;
  };
  monitor.registerResourceHook = (_request, answer) => answer(null, {});
});
beforeEach(() => {
  made.length = 0;
});

const value = <T>(output: pulumi.Output<T>): Promise<T> => new Promise((done) => void output.apply(done));

/** Waits for every child, so that an error in one is seen. */
async function complete(slice: FabricSlice): Promise<string[]> {
  const children = [...Object.values(slice.nodes), ...Object.values(slice.networks)];
  await value(slice.sliceId);
  return await Promise.all([slice, ...children].map((r) => value(r.urn)));
}

const { nodes } = paperSlice;

describe("FabricSlice", () => {
  it("makes the slice, a node each and a network a site, all its children, by their type tokens", async () => {
    const slice = new FabricSlice("dev", { lease: "14d", nodes });
    const urns = await complete(slice);
    const parts = made.map((m) => `${m.type} ${m.name}`).sort();
    expect(parts).toEqual(
      [
        "dynamos-fabric:fabric:FabricSlice dev",
        "pulumi-nodejs:dynamic/fabric:Slice dev",
        ...["amst", "losa", "toky"].map((s) => `pulumi-nodejs:dynamic/fabric:Network dev-${s}`),
        ...Object.keys(nodes).map((n) => `pulumi-nodejs:dynamic/fabric:Node dev-${n}`),
      ].sort(),
    );
    expect(urns.filter((urn) => !urn.includes("dynamos-fabric:fabric:FabricSlice"))).toEqual([]);
  });

  it("gives the Slice plain inputs with defaults, named after project and stack", async () => {
    await complete(new FabricSlice("dev", { nodes }));
    const inputs = made.find((m) => m.type.endsWith("fabric:Slice"))?.inputs;
    expect(inputs).toMatchObject({
      name: "dynamos-fabric-dev",
      lease: "1d",
      endpoint: { kind: "fabric" },
      owner: { project: "dynamos-fabric", stack: "dev" },
      state: ".state/dev",
    });
    expect(inputs?.nodes.core).toEqual({
      site: "AMST",
      cores: 4,
      ram: 16,
      disk: 50,
      image: "default_ubuntu_22",
      components: [],
      userData: {},
    });
    expect(inputs?.__provider).toContain("'dynamos-fabric/provider/infra/fabric/slice-provider'");
    expect(JSON.stringify(made)).not.toContain(process.cwd());
  });

  it("gives Node and Network the slice's id and their own plain specification, nothing else of the slice", async () => {
    await complete(new FabricSlice("dev", { nodes }));
    const plain = ({ inputs }: pulumi.runtime.MockResourceArgs) =>
      Object.fromEntries(Object.entries(inputs).filter(([k]) => k !== "__provider"));
    const node = made.find((m) => m.name === "dev-clienttwo");
    expect(node && plain(node)).toEqual({
      slice: "dev-id",
      endpoint: { kind: "fabric" },
      name: "clienttwo",
      site: "LOSA",
      cores: 4,
      ram: 16,
      disk: 50,
      image: "default_ubuntu_22,qcow2",
      components: [],
    });
    const network = made.find((m) => m.name === "dev-losa");
    expect(network && plain(network)).toEqual({
      slice: "dev-id",
      endpoint: { kind: "fabric" },
      site: "LOSA",
    });
  });

  it("has the hosts with addresses and routes as outputs", async () => {
    const slice = new FabricSlice("dev", { nodes });
    await complete(slice);
    const hosts = await value(slice.hosts);
    expect(hosts.map((h) => h.name)).toEqual([
      "clientone",
      "clientthree",
      "clienttwo",
      "control",
      "core",
      "server",
    ]);
    expect(hosts.find((h) => h.name === "clienttwo")).toEqual({
      name: "clienttwo",
      site: "LOSA",
      managementIp: "2001:db8::clienttwo",
      address: "10.2.0.9",
      mac: "02:00:00:00:00:01",
      routes: [
        { to: "10.1.0.0/24", via: "10.2.0.1", site: "AMST" },
        { to: "10.3.0.0/24", via: "10.2.0.1", site: "TOKY" },
      ],
    });
  });

  it("gives a node that is on no network of its site no address, no MAC address and no routes, nor its site a network", async () => {
    const clientthree = { site: "TOKY", siteNetwork: false };
    const slice = new FabricSlice("dev", { nodes: { ...nodes, clientthree } });
    await complete(slice);
    expect(Object.keys(slice.networks)).toEqual(["AMST", "LOSA"]);
    const hosts = await value(slice.hosts);
    expect(hosts.find((h) => h.name === "clientthree")).toEqual({
      name: "clientthree",
      site: "TOKY",
      managementIp: "2001:db8::clientthree",
      address: "",
      mac: "",
      routes: [],
    });
    expect(hosts.find((h) => h.name === "core")?.routes.map((r) => r.site)).toEqual(["LOSA"]);
  });

  it("tells all that is wrong with its nodes at once, before any resource is registered", () => {
    let error: unknown;
    try {
      new FabricSlice("dev", {
        nodes: { core: { site: "LOAS", cores: 99 }, control: { site: "AMST", components: ["GPU_A31"] } },
      });
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(InfraError);
    expect((error as InfraError).problems.map((p) => [p.path, p.code])).toEqual([
      ["nodes.core.site", "FAB-SITE-UNKNOWN"],
      ["nodes.core.cores", "FAB-SIZE-TOO-LARGE"],
      ["nodes.control.components[0]", "FAB-COMPONENT-UNKNOWN"],
    ]);
    expect(made).toEqual([]);
  });
});
