// Plan and GraphML of slices by size, against JSON.stringify of the same elements and edges.
import { applyChange } from "../../infra/fabric/apply-change.js";
import { elementIds } from "../../infra/fabric/element-ids.js";
import type { PropertyGraph } from "../../infra/fabric/graph.js";
import { readGraphml, writeGraphml } from "../../infra/fabric/graphml.js";
import { productionSites } from "../../infra/fabric/sites.js";
import { fromGraph } from "../../infra/fabric/slice-view.js";
import { parseSliceSpec, type SliceSpec } from "../../infra/fabric/spec.js";
import { planTopology } from "../../infra/fabric/topology.js";
import { toGraph } from "../../infra/fabric/topology-graph.js";
import { type Line, median, timeLine } from "./measure.js";

const mark = { project: "bench", stack: "dev", id: "m1" };
const ids = elementIds(mark.id);

/** A slice over all sites: each fourth node has a card of its own, and each second site a bridge. */
export function sliceOf(count: number): SliceSpec {
  const nodes = Array.from({ length: count }, (_, i) => {
    const site = productionSites[i % productionSites.length] ?? "";
    const nics = i % 4 === 0 ? { nics: { fast: "NIC_ConnectX_5" } } : {};
    return [`node-${i}`, { site, cores: 4, ram: 16, disk: 100, userData: { number: i }, ...nics }] as const;
  });
  const networks = productionSites.flatMap((site, i) => {
    const interfaces = nodes.flatMap(([node, spec]) => (spec.site === site ? [{ node }] : [])).slice(0, 100);
    const name = `bridge-${site.toLowerCase()}`;
    return i % 2 === 1 || interfaces.length === 0 ? [] : [[name, { type: "L2Bridge", interfaces }] as const];
  });
  return parseSliceSpec({
    name: "bench",
    nodes: Object.fromEntries(nodes),
    networks: Object.fromEntries(networks),
  });
}

interface Times {
  readonly plan: number;
  readonly floor: number;
  readonly read: number;
  readonly change: number;
}

function measure(spec: SliceSpec, blocks: number): Times {
  const plan: number[] = [];
  const floor: number[] = [];
  const read: number[] = [];
  const change: number[] = [];
  const timed = <T>(into: number[], work: () => T): T => {
    const start = performance.now();
    const result = work();
    into.push(performance.now() - start);
    return result;
  };
  for (let i = 0; i <= blocks; i++) {
    let graph: PropertyGraph = { nodes: [], edges: [] };
    const text = timed(plan, () => {
      graph = toGraph(planTopology(spec), mark, ids);
      return writeGraphml(graph);
    });
    timed(floor, () => JSON.stringify(graph));
    const back = timed(read, () => {
      const server = readGraphml(text);
      fromGraph(server);
      return server;
    });
    if (timed(change, () => applyChange(back, spec, { mark, ids })).changed)
      throw new Error("a change of nothing");
  }
  // The first block is the warm-up.
  const of = (list: number[]) => median(list.slice(1));
  return { plan: of(plan), floor: of(floor), read: of(read), change: of(change) };
}

/** 1,000 nodes within a second, and 4,000 in at most five times that: linear, with room for a fuller memory. */
export function topologyLines(blocks: number): Line[] {
  const sizes = [250, 1000, 4000] as const;
  const times = sizes.map((n) => ({ n, ...measure(sliceOf(n), blocks) }));
  for (const { n, plan, floor, read, change } of times) {
    const figures = [
      `plan + GraphML ${plan.toFixed(0)} ms`,
      `JSON.stringify of it ${floor.toFixed(0)} ms`,
      `read + view ${read.toFixed(0)} ms`,
      `change of nothing ${change.toFixed(0)} ms`,
    ];
    console.log(`${n} nodes: ${figures.join(", ")}; ${((plan * 1000) / n).toFixed(0)} us a node`);
  }
  const at = (n: number) => times.find((t) => t.n === n)?.plan ?? Number.NaN;
  return [
    timeLine("plan + GraphML, 1,000 nodes", at(1000), 1000, 1),
    timeLine("plan + GraphML, 4,000 nodes, against 4 x 1,000", at(4000), 4 * at(1000), 1.5),
  ];
}
