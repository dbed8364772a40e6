import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { basicNic, componentModels } from "../../../infra/fabric/components.js";
import { elementIds } from "../../../infra/fabric/element-ids.js";
import type { GraphNode, PropertyGraph } from "../../../infra/fabric/graph.js";
import { readGraphml, writeGraphml } from "../../../infra/fabric/graphml.js";
import { fromGraph } from "../../../infra/fabric/slice-view.js";
import { planTopology, type Topology } from "../../../infra/fabric/topology.js";
import { toGraph } from "../../../infra/fabric/topology-graph.js";
import { paperSlice } from "../../support/paper-slice.js";
import { slices } from "../../support/random-slices.js";
import { fimPython } from "./fim-venv.js";

const mark = { project: "dynamos-fabric", stack: "dev", id: "0d3ba0a6" };
const ids = elementIds(mark.id);
const topologies = new Map<string, Topology>([["paper", planTopology(paperSlice)]]);
for (const [i, slice] of fc.sample(slices, { numRuns: 20, seed: 7 }).entries())
  topologies.set(`random-${i}`, planTopology(slice));

let folder = "";
const ours = (name: string) => readFileSync(join(folder, "in", `${name}.graphml`), "utf8");
const fims = (name: string) => readFileSync(join(folder, "out", `${name}.graphml`), "utf8");
const seen = (name: string): unknown => JSON.parse(readFileSync(join(folder, "out", `${name}.json`), "utf8"));

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "fim-"));
  mkdirSync(join(folder, "in"));
  mkdirSync(join(folder, "out"));
  for (const [name, topology] of topologies) {
    writeFileSync(join(folder, "in", `${name}.graphml`), writeGraphml(toGraph(topology, mark, ids)));
  }
  const python = await fimPython();
  await promisify(execFile)(python, [
    join(__dirname, "check_topologies.py"),
    join(folder, "in"),
    join(folder, "out"),
  ]);
}, 300_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("fabric-fim 2.0.0 reads what we write", () => {
  it.each([...topologies])("%s: valid, with the nodes and networks of the plan", (name, topology) => {
    const view = fromGraph(toGraph(topology, mark, ids));
    expect(seen(name)).toEqual({
      nodes: Object.fromEntries(
        topology.nodes.map((n) => [
          n.name,
          {
            id: view.nodes.find((v) => v.name === n.name)?.nodeId,
            site: n.site,
            core: n.cores,
            ram: n.ram,
            disk: n.disk,
            image: n.image.split(",")[0],
            components: [basicNic, ...n.components.flatMap((c) => componentModels[c] ?? [])]
              .map((c) => `${c.type}/${c.model}`)
              .sort(),
            user_data: { ...n.userData, dynamos_fabric: mark },
          },
        ]),
      ),
      networks: Object.fromEntries(
        topology.networks.map((n) => [
          n.name,
          {
            id: view.networks.find((v) => v.name === n.name)?.nodeId,
            site: n.site,
            type: "FABNetv4",
            nodes: n.nodes,
          },
        ]),
      ),
    });
  });
});

describe("we read what fabric-fim 2.0.0 writes", () => {
  it.each([...topologies.keys(), "fims-own"])("%s: written back byte for byte", (name) => {
    expect(writeGraphml(readGraphml(fims(name)))).toBe(fims(name).trimEnd());
  });

  it.each([...topologies.keys()])("%s: fim kept every element, property and edge", (name) => {
    expect(byName(readGraphml(fims(name)))).toEqual(byName(readGraphml(ours(name))));
  });

  it("sees in fim's own topology its nodes, networks and user data", () => {
    const view = fromGraph(readGraphml(fims("fims-own")));
    expect(view.networks.map((n) => [n.name, n.site, n.nodes])).toEqual([
      ["net-amst", "AMST", ["amst-1", "amst-2"]],
      ["net-toky", "TOKY", ["toky-1", "toky-2"]],
    ]);
    expect(view.nodes[0]?.userData).toEqual({ text: 'a < b & "c" é \u2028' });
  });
});

/** A graph without its file's numbering: what it says. GraphID is fim's own after loading. */
function byName(graph: PropertyGraph): unknown {
  const name = (id: string) => graph.nodes.find((n) => n.id === id)?.props.NodeID ?? id;
  const props = ({ props: { GraphID: _, ...rest } }: GraphNode) => rest;
  return {
    nodes: Object.fromEntries(
      graph.nodes.map((n) => [n.props.NodeID, { labels: n.labels, props: props(n) }]),
    ),
    edges: graph.edges
      .map((e) => [e.label, e.props.Class, ...[name(e.source), name(e.target)].sort()].join(" "))
      .sort(),
  };
}
