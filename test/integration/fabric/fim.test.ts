import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { applyChange } from "../../../infra/fabric/apply-change.js";
import { plannedCards, portKey } from "../../../infra/fabric/card-graph.js";
import { cardModels, componentModels } from "../../../infra/fabric/components.js";
import { elementIds } from "../../../infra/fabric/element-ids.js";
import type { GraphNode, PropertyGraph } from "../../../infra/fabric/graph.js";
import { graphProblems } from "../../../infra/fabric/graph-rules.js";
import { readGraphml, writeGraphml } from "../../../infra/fabric/graphml.js";
import { fromGraph } from "../../../infra/fabric/slice-view.js";
import { type PlannedNode, planTopology, type Topology } from "../../../infra/fabric/topology.js";
import { toGraph } from "../../../infra/fabric/topology-graph.js";
import { deviceName, devicesOf } from "../../../infra/fabric/topology-names.js";
import { paperSlice } from "../../support/paper-slice.js";
import { changedSlices, slices } from "../../support/random-slices.js";
import { fimPython } from "./fim-venv.js";

/** Topologies drawn; 60 with `--deep`, more with FIM_TOPOLOGIES. A quarter of them are the results of a change. */
const count = Number(process.env.FIM_TOPOLOGIES ?? (process.env.DEEP === "1" ? 60 : 20));
const seed = Number(process.env.FIM_SEED ?? 1);

const mark = { project: "dynamos-fabric", stack: "dev", id: "0d3ba0a6" };
const ids = elementIds(mark.id);

interface Sample {
  readonly topology: Topology;
  readonly graph: PropertyGraph;
}
const planned = (slice: Parameters<typeof planTopology>[0]): Sample => {
  const topology = planTopology(slice);
  return { topology, graph: toGraph(topology, mark, ids) };
};
const samples = new Map<string, Sample>([["paper", planned(paperSlice)]]);
for (const [i, slice] of fc.sample(slices, { numRuns: Math.ceil((count * 3) / 4), seed }).entries())
  samples.set(`random-${i}`, planned(slice));
for (const [i, { before, after }] of fc
  .sample(changedSlices, { numRuns: Math.floor(count / 4), seed })
  .entries()) {
  const { graph } = applyChange(planned(before).graph, after, { mark, ids });
  samples.set(`changed-${i}`, { topology: planTopology(after), graph });
}

let folder = "";
const fims = (name: string) => readFileSync(join(folder, "out", `${name}.graphml`), "utf8");
const seen = (name: string): unknown => JSON.parse(readFileSync(join(folder, "out", `${name}.json`), "utf8"));

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "fim-"));
  mkdirSync(join(folder, "in"));
  mkdirSync(join(folder, "out"));
  for (const [name, { graph }] of samples)
    writeFileSync(join(folder, "in", `${name}.graphml`), writeGraphml(graph));
  const python = await fimPython();
  await promisify(execFile)(python, [
    join(__dirname, "check_topologies.py"),
    join(folder, "in"),
    join(folder, "out"),
  ]);
}, 600_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("fabric-fim 2.0.0 reads what we write", () => {
  it("the drawn slices have networks of each type, sub-interfaces, all cards and storage", () => {
    const all = [...samples.values()].map((s) => s.topology);
    const services = all.flatMap((t) => t.services);
    expect(new Set(services.map((s) => s.type)).size).toBe(7);
    expect(services.some((s) => s.interfaces.some((i) => i.vlan !== undefined))).toBe(true);
    const nodes = all.flatMap((t) => t.nodes);
    expect(new Set(nodes.flatMap((n) => Object.values(n.nics ?? {}))).size).toBe(
      Object.keys(cardModels).length,
    );
    for (const key of ["host", "bootScript", "instanceType", "storage", "siteNetwork"] as const)
      expect(nodes.some((n) => n[key] !== undefined)).toBe(true);
  });

  it.each([...samples.keys()])("%s: valid, with the nodes, interfaces and networks of the plan", (name) => {
    const { topology, graph } = samples.get(name) as Sample;
    expect(graphProblems(graph)).toEqual([]);
    const nodeId = new Map(graph.nodes.map((n) => [`${n.props.Class} ${n.props.Name}`, n.props.NodeID]));
    const cards = plannedCards(topology);
    expect(seen(name)).toEqual({
      nodes: Object.fromEntries(
        topology.nodes.map((n) => [
          n.name,
          {
            id: nodeId.get(`NetworkNode ${n.name}`),
            ...{ site: n.site, core: n.cores, ram: n.ram, disk: n.disk },
            image: n.image.split(",")[0],
            components: componentsOf(topology, n, cards.get(n.name) ?? [], graph),
            user_data: { ...n.userData, dynamos_fabric: mark },
            ...(n.instanceType === undefined ? {} : { instance_type: n.instanceType }),
            ...(n.host === undefined ? {} : { host: n.host }),
            ...(n.bootScript === undefined ? {} : { boot_script: n.bootScript }),
          },
        ]),
      ),
      networks: Object.fromEntries([
        ...topology.networks.map((n) => [
          n.name,
          {
            id: nodeId.get(`NetworkService ${n.name}`),
            ...{ site: n.site, type: "FABNetv4", layer: "L3" },
            interfaces: n.nodes.map((node) => [node, `${node}-nic1-p1`]),
          },
        ]),
        ...topology.services.map((s) => [
          s.name,
          {
            id: nodeId.get(`NetworkService ${s.name}`),
            type: s.type,
            layer: s.type.startsWith("FABNet") ? "L3" : "L2",
            ...(s.site === undefined ? {} : { site: s.site }),
            ...(s.bandwidth === undefined ? {} : { bw: s.bandwidth }),
            interfaces: s.interfaces
              .map((i) => [i.node, portName(i)])
              .sort(([a = "", b = ""], [c = "", d = ""]) => (a === c ? (b < d ? -1 : 1) : a < c ? -1 : 1)),
          },
        ]),
      ]),
    });
  });
});

const portName = (i: { node: string; card: string; port: number; vlan?: number }) =>
  `${i.node}-${i.card}-p${i.port}${i.vlan === undefined ? "" : `-${i.vlan}`}`;

/** A node's components as the plan has them; only ids come from the graph. */
function componentsOf(
  topology: Topology,
  node: PlannedNode,
  cards: readonly { readonly name: string; readonly model: string }[],
  graph: PropertyGraph,
): Record<string, unknown> {
  const portIds = new Map(
    graph.nodes.filter((n) => n.props.Class === "ConnectionPoint").map((n) => [n.props.Name, n.props.NodeID]),
  );
  const subs = new Map<string, Record<string, unknown>>();
  for (const service of topology.services) {
    for (const i of service.interfaces) {
      if (i.vlan === undefined) continue;
      const key = portKey(i.node, i.card, i.port);
      const child = {
        ...{ type: "SubInterface", id: portIds.get(portName(i)), vlan: String(i.vlan) },
        local_name: `p${i.port}`,
        ...(service.bandwidth === undefined ? {} : { bw: service.bandwidth }),
      };
      subs.set(key, { ...subs.get(key), [portName(i)]: child });
    }
  }
  const card = (name: string, model: string) => {
    const { type, model: fimModel, ports } = cardModels[model] ?? {};
    return [
      `${node.name}-${name}`,
      {
        model: `${type}/${fimModel}`,
        ports: Object.fromEntries(
          Array.from({ length: ports?.count ?? 0 }, (_, i) => {
            const own = `${node.name}-${name}-p${i + 1}`;
            const children = subs.get(portKey(node.name, name, i + 1));
            return [
              own,
              {
                type: ports?.bandwidth === undefined ? "SharedPort" : "DedicatedPort",
                id: portIds.get(own),
                ...(ports?.bandwidth === undefined ? {} : { bw: ports.bandwidth }),
                local_name: `p${i + 1}`,
                ...(children === undefined ? {} : { children }),
              },
            ];
          }),
        ),
      },
    ] as const;
  };
  return Object.fromEntries([
    ...(node.siteNetwork === false ? [] : [card("nic1", "NIC_Basic")]),
    ...cards.map((c) => card(c.name, c.model)),
    ...devicesOf(node.components).map(({ model, number }) => [
      deviceName(node.name, model, number),
      { model: `${componentModels[model]?.type}/${componentModels[model]?.model}` },
    ]),
    ...(node.storage ?? []).map((volume) => [volume, { model: "Storage/NAS", volume, mounted: true }]),
  ]);
}

describe("we read what fabric-fim 2.0.0 writes", () => {
  it.each([...samples.keys(), "fims-own", "fims-rich"])("%s: written back byte for byte", (name) => {
    expect(writeGraphml(readGraphml(fims(name)))).toBe(fims(name).trimEnd());
  });

  it.each([...samples.keys()])("%s: fim kept every element, property and edge", (name) => {
    expect(byName(readGraphml(fims(name)))).toEqual(byName((samples.get(name) as Sample).graph));
  });

  it("sees in fim's own topology its nodes, networks and user data", () => {
    const view = fromGraph(readGraphml(fims("fims-own")));
    expect(view.networks.map((n) => [n.name, n.site, n.nodes])).toEqual([
      ["net-amst", "AMST", ["amst-1", "amst-2"]],
      ["net-toky", "TOKY", ["toky-1", "toky-2"]],
    ]);
    expect(view.nodes[0]?.userData).toEqual({ text: 'a < b & "c" é \u2028' });
  });

  it("sees all that an experimenter uses in what fim wrote, and keeps what it does not make", () => {
    const graph = readGraphml(fims("fims-rich"));
    expect(graphProblems(graph)).toEqual([]);
    const view = fromGraph(graph);
    expect(view.nodes).toMatchObject([
      {
        ...{ name: "left", cores: 2, instanceType: "fabric.c2.m8.d10" },
        host: "amst-w1.fabric-testbed.net",
        bootScript: "#!/bin/sh\necho a < b\n",
        components: ["GPU_A30"],
        nics: { fast: "NIC_ConnectX_5", fpga: "FPGA_Xilinx_U280" },
        storage: ["vol"],
      },
      { name: "right", cores: 4, ram: 16, disk: 100, nics: { fast: "NIC_ConnectX_7_400" } },
    ]);
    expect(view.services.map(({ name, type, interfaces }) => ({ name, type, interfaces }))).toEqual([
      { name: "br", type: "L2Bridge", interfaces: [{ node: "left", card: "fast", port: 2 }] },
      { name: "mirror", type: "PortMirror", interfaces: [{ node: "left", card: "fpga", port: 1 }] },
      {
        name: "ptp",
        type: "L2PTP",
        interfaces: [
          { node: "left", card: "fast", port: 1, vlan: 100 },
          { node: "right", card: "fast", port: 1, vlan: 100 },
        ],
      },
      { name: "v6", type: "FABNetv6Ext", interfaces: [{ node: "right", card: "fast", port: 2 }] },
    ]);
  });
});

/** A graph without its file's numbering: what it says. GraphID is fim's own after loading. */
function byName(graph: PropertyGraph): unknown {
  const names = new Map(graph.nodes.map((n) => [n.id, n.props.NodeID ?? n.id]));
  const props = ({ props: { GraphID: _, ...rest } }: GraphNode) => rest;
  return {
    nodes: Object.fromEntries(
      graph.nodes.map((n) => [n.props.NodeID, { labels: n.labels, props: props(n) }]),
    ),
    edges: graph.edges
      .map((e) => [e.label, e.props.Class, ...[names.get(e.source), names.get(e.target)].sort()].join(" "))
      .sort(),
  };
}
