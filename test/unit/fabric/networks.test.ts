import { describe, expect, it } from "vitest";
import { elementIds } from "../../../infra/fabric/element-ids.js";
import type { PropertyGraph } from "../../../infra/fabric/graph.js";
import { graphProblems } from "../../../infra/fabric/graph-rules.js";
import { permissionProblems } from "../../../infra/fabric/permissions.js";
import { parseSliceSpec, type SliceSpec, sliceProblems } from "../../../infra/fabric/spec.js";
import { planTopology } from "../../../infra/fabric/topology.js";
import { toGraph } from "../../../infra/fabric/topology-graph.js";

const nodes = {
  aa: { site: "AMST", nics: { fast: "NIC_ConnectX_5" } },
  ab: { site: "AMST" },
  bb: { site: "LOSA", nics: { fast: "NIC_ConnectX_5", slow: "NIC_Basic" } },
  cc: { site: "TOKY" },
};
const problems = (networks: unknown, more: object = {}) =>
  sliceProblems({ name: "p-dev", nodes: { ...nodes, ...more }, networks }).map((p) => `${p.path} ${p.code}`);
const on = (type: string, ...interfaces: object[]) => ({ link: { type, interfaces } });
const port = (node: string, more: object = {}) => ({ node, nic: "fast", ...more });

describe("networks that a person writes", () => {
  it.each([
    ["a FABNetv6 of one site", on("FABNetv6", { node: "aa" }, { node: "ab" })],
    ["an Ext form", on("FABNetv4Ext", { node: "bb", nic: "slow" })],
    ["a bridge", on("L2Bridge", { node: "aa" }, port("aa"))],
    ["an L2PTP with tags", on("L2PTP", port("aa", { vlan: 100 }), port("bb", { vlan: 200 }))],
    ["an L2STS of shared cards", on("L2STS", { node: "aa" }, { node: "bb" })],
    [
      "one port on two networks by tags",
      {
        one: { type: "L2Bridge", interfaces: [port("aa", { vlan: 1 })] },
        two: { type: "L2Bridge", interfaces: [port("aa", { vlan: 2 })] },
      },
    ],
  ])("%s is well", (_, networks) => expect(problems(networks)).toEqual([]));

  const place = "networks.link.interfaces[0]";
  it.each([
    [
      "a FABNet over two sites",
      on("FABNetv4", { node: "aa" }, { node: "bb" }),
      "networks.link FAB-NETWORK-SITES",
    ],
    [
      "a bridge over two sites",
      on("L2Bridge", { node: "aa" }, { node: "bb" }),
      "networks.link FAB-NETWORK-SITES",
    ],
    [
      "an L2STS within a site",
      on("L2STS", { node: "aa" }, { node: "ab" }),
      "networks.link FAB-NETWORK-SITES",
    ],
    [
      "an L2STS of three",
      on("L2STS", { node: "aa" }, { node: "bb" }, { node: "cc" }),
      "networks.link FAB-NETWORK-SITES",
    ],
    ["an L2PTP of one", on("L2PTP", port("aa")), "networks.link FAB-NETWORK-INTERFACES"],
    ["no interface", on("FABNetv6"), "networks.link FAB-NETWORK-INTERFACES"],
    [
      "an L2PTP of a shared card",
      on("L2PTP", port("aa"), { node: "bb" }),
      "networks.link FAB-NETWORK-SHARED",
    ],
    [
      "shared cards on one worker",
      on("L2STS", { node: "aa" }, { node: "ab" }, { node: "bb" }),
      "networks.link FAB-NETWORK-HOSTS",
    ],
    ["a tag on a shared card", on("L2Bridge", { node: "aa", vlan: 5 }), `${place}.vlan FAB-NETWORK-SHARED`],
    ["no such node", on("L2Bridge", { node: "zz" }), `${place}.node FAB-NETWORK-NODE`],
    ["no such card", on("L2Bridge", { node: "ab", nic: "fast" }), `${place}.nic FAB-NETWORK-NIC`],
    ["the site's card", on("L2Bridge", { node: "ab", nic: "nic1" }), `${place}.nic FAB-NETWORK-NIC`],
    ["no such port", on("L2Bridge", { node: "bb", nic: "slow", port: 2 }), `${place}.port FAB-NETWORK-PORT`],
    ["a port twice", on("L2Bridge", port("aa"), port("aa")), "networks.link.interfaces[1] FAB-NETWORK-TWICE"],
    [
      "a node twice",
      on("L2Bridge", { node: "aa" }, { node: "aa" }),
      "networks.link.interfaces[1] FAB-NETWORK-TWICE",
    ],
    [
      "bandwidth on a bridge",
      { link: { type: "L2Bridge", interfaces: [port("aa")], bandwidth: 5 } },
      "networks.link.bandwidth FAB-NETWORK-BANDWIDTH",
    ],
    ["no such type", on("L2Multisite", { node: "aa" }), "networks.link.type FAB-NETWORK-TYPE"],
    ["a type of Object", on("constructor", { node: "aa" }), "networks.link.type FAB-NETWORK-TYPE"],
    [
      "the site's own name",
      { "net-amst": on("L2Bridge", { node: "aa" }).link },
      "networks.net-amst FAB-NETWORK-NAME",
    ],
    [
      "the name of a card",
      { fast: on("L2Bridge", { node: "aa" }).link },
      "networks.fast.interfaces[0].nic FAB-NETWORK-NIC",
    ],
    ["a tag out of range", on("L2Bridge", port("aa", { vlan: 5000 })), `${place}.vlan SPEC-INVALID`],
  ])("%s is refused", (_, networks, expected) => expect(problems(networks)).toEqual([expected]));

  it("an L2STS takes shared cards at one site when their nodes are pinned to different workers", () => {
    const pinned = {
      aa: { ...nodes.aa, host: "amst-w1.fabric-testbed.net" },
      ab: { ...nodes.ab, host: "amst-w2.fabric-testbed.net" },
    };
    const link = on("L2STS", { node: "aa" }, { node: "ab" }, { node: "bb" });
    expect(problems(link, pinned)).toEqual([]);
  });

  it("a multi-site FABNet is refused with the reason and what to do", () => {
    const found = sliceProblems({
      name: "p-dev",
      nodes,
      networks: on("FABNetv4", { node: "aa" }, { node: "bb" }),
    });
    expect(found[0]).toMatchObject({
      message: "FABNetv4 spans 2 sites (AMST, LOSA), it takes one",
      remedy: "write one FABNetv4 for each site: FABRIC routes between them",
    });
  });
});

describe("what a node may have", () => {
  const node = (more: object) =>
    sliceProblems({ name: "p-dev", nodes: { aa: { site: "AMST", ...more } } }).map(
      (p) => `${p.path} ${p.code}`,
    );
  it.each([
    ["an instance type", { instanceType: "fabric.c4.m16.d100" }, []],
    [
      "an unknown one",
      { instanceType: "fabric.c3.m16.d100" },
      ["nodes.aa.instanceType FAB-INSTANCE-TYPE-UNKNOWN"],
    ],
    [
      "one and another size",
      { instanceType: "fabric.c4.m16.d100", cores: 8 },
      ["nodes.aa.cores FAB-INSTANCE-TYPE-SIZE"],
    ],
    ["one and the same size", { instanceType: "fabric.c4.m16.d100", cores: 4 }, []],
    ["a boot script of 1023", { bootScript: "x".repeat(1023) }, []],
    [
      "a boot script of 1024",
      { bootScript: "x".repeat(1024) },
      ["nodes.aa.bootScript FAB-BOOT-SCRIPT-TOO-LONG"],
    ],
    ["a bell in it", { bootScript: "\u0007" }, ["nodes.aa.bootScript FAB-BOOT-SCRIPT-CHARACTER"]],
    ["an unknown card", { nics: { a: "NIC_ConnectX_9" } }, ["nodes.aa.nics.a FAB-NIC-UNKNOWN"]],
    ["a card of Object", { nics: { a: "constructor" } }, ["nodes.aa.nics.a FAB-NIC-UNKNOWN"]],
    ["that name where there is none", { siteNetwork: false, nics: { nic1: "NIC_ConnectX_6" } }, []],
    ["the first card again", { nics: { nic1: "NIC_Basic" } }, ["nodes.aa.nics.nic1 FAB-NAME-TWICE"]],
    [
      "a card among the components",
      { components: ["FPGA_Xilinx_U280"] },
      ["nodes.aa.components[0] FAB-COMPONENT-UNKNOWN"],
    ],
    ["a volume twice", { storage: ["v", "v"] }, ["nodes.aa.storage[1] FAB-NAME-TWICE"]],
    [
      "two names alike",
      { components: ["GPU_A30"], nics: { "gpu-a30-1": "NIC_Basic" } },
      ["nodes.aa.nics.gpu-a30-1 FAB-NAME-TWICE"],
    ],
  ])("%s", (_, more, expected) => expect(node(more)).toEqual(expected));

  it("gets the size of its instance type, also when it is read again", () => {
    const once = parseSliceSpec({
      name: "p-dev",
      nodes: { aa: { site: "AMST", instanceType: "fabric.c8.m32.d10" } },
    });
    expect(once.nodes.aa).toMatchObject({ cores: 8, ram: 32, disk: 10 });
    expect(parseSliceSpec(once)).toEqual(once);
  });
});

describe("rights of the token's project", () => {
  const spec = (more: object, networks?: object): SliceSpec =>
    parseSliceSpec({
      name: "p-dev",
      nodes: { aa: { site: "AMST", cores: 2, ram: 8, disk: 10, ...more } },
      ...(networks === undefined ? {} : { networks }),
    });
  const lacks = (slice: SliceSpec, ...tags: string[]) =>
    permissionProblems(planTopology(slice), tags).map((p) => `${p.path} ${p.message.split(" for ")[0]}`);
  const project = "the token's project lacks";

  it.each([
    ["a small node", spec({}), []],
    ["more cores", spec({ cores: 4 }), [`nodes.aa.cores ${project} VM.NoLimitCPU or VM.NoLimit`]],
    ["more memory", spec({ ram: 16 }), [`nodes.aa.ram ${project} VM.NoLimitRAM or VM.NoLimit`]],
    ["a larger disk", spec({ disk: 50 }), [`nodes.aa.disk ${project} VM.NoLimitDisk or VM.NoLimit`]],
    [
      "a GPU",
      spec({ components: ["GPU_TeslaT4"] }),
      [`nodes.aa.components[0] ${project} Component.GPU_Tesla_T4 or Component.GPU`],
    ],
    [
      "a card",
      spec({ nics: { x: "NIC_ConnectX_7_400" } }),
      [`nodes.aa.nics.x ${project} Component.SmartNIC_ConnectX_7_400 or Component.SmartNIC`],
    ],
    ["storage", spec({ storage: ["v"] }), [`nodes.aa.storage ${project} Component.Storage`]],
    [
      "an Ext network",
      spec({}, on("FABNetv4Ext", { node: "aa" })),
      [`networks.link ${project} Net.FABNetv4Ext`],
    ],
    [
      "a second site",
      parseSliceSpec({
        name: "p-dev",
        nodes: {
          aa: { site: "AMST", instanceType: "fabric.c2.m8.d10" },
          bb: { site: "LOSA", instanceType: "fabric.c2.m8.d10" },
        },
      }),
      [`nodes.bb.site ${project} Slice.Multisite`],
    ],
    [
      "a second site without a network",
      parseSliceSpec({
        name: "p-dev",
        nodes: {
          aa: { site: "AMST", instanceType: "fabric.c2.m8.d10" },
          bb: { site: "LOSA", instanceType: "fabric.c2.m8.d10", siteNetwork: false },
        },
      }),
      [`nodes.bb.site ${project} Slice.Multisite`],
    ],
  ])("%s", (_, slice, expected) => expect(lacks(slice)).toEqual(expected));

  it("are enough in their general form, and not asked for where the token does not say", () => {
    const slice = spec({ cores: 8, ram: 64, disk: 100, components: ["GPU_A30", "NVME_P4510"] });
    expect(lacks(slice)).toHaveLength(5);
    expect(lacks(slice, "VM.NoLimit", "Component.GPU", "Component.NVME_P4510")).toEqual([]);
    expect(permissionProblems(planTopology(slice), undefined)).toEqual([]);
  });
});

describe("FIM's rules over a graph that another tool made", () => {
  const graph = toGraph(
    planTopology(parseSliceSpec({ name: "p-dev", nodes, networks: on("L2Bridge", { node: "aa" }) })),
    { project: "p", stack: "dev", id: "m1" },
    elementIds("m1"),
  );
  /** The graph with the properties of one element changed. */
  const changed = (name: string, props: Record<string, string>): PropertyGraph => ({
    ...graph,
    nodes: graph.nodes.map((n) => (n.props.Name === name ? { ...n, props: { ...n.props, ...props } } : n)),
  });

  it.each([
    ["nothing wrong", graph, []],
    ["a mirror without its port", changed("link", { Type: "PortMirror" }), ["link FAB-MIRROR"]],
    ["a whole mirror", changed("link", { Type: "PortMirror", MirrorPort: "p", MirrorDirection: "Both" }), []],
    ["a mirrored port elsewhere", changed("link", { MirrorPort: "p" }), ["link FAB-MIRROR"]],
    ["a name that FABRIC refuses", changed("ab", { Name: "a b" }), ["a b FAB-NAME-RULE"]],
    ["a name twice", changed("ab", { Name: "cc" }), ["cc FAB-NAME-TWICE"]],
    ["a switch with components", changed("ab", { Type: "Switch" }), ["ab FAB-NODE-COMPONENTS"]],
    [
      "a node without a site",
      changed("ab", { Site: "" }),
      ["ab FAB-NODE-SITE", "net-amst FAB-NETWORK-SITES", "net-amst FAB-NETWORK-SITES"],
    ],
    ["a network at the wrong site", changed("link", { Site: "LOSA" }), ["link FAB-NETWORK-SITES"]],
    ["a type FABRIC does not make", changed("link", { Type: "L2Multisite" }), ["link FAB-NETWORK-TYPE"]],
    [
      "a PTP of one",
      changed("link", { Type: "L2PTP", Site: "" }),
      ["link FAB-NETWORK-INTERFACES", "link FAB-NETWORK-SHARED"],
    ],
  ])("%s", (_, g, expected) => {
    expect(graphProblems(g).map((p) => `${p.path} ${p.code}`)).toEqual(expected);
  });
});
