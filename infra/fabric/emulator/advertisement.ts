/** Site data as a graph: FABRIC's aggregated broker model, one CompositeNode a site. Source: aggregate_bqm_plugin.py of the ControlFramework. */
import { elementIds } from "../element-ids.js";
import { fimClass, fimJson } from "../fim.js";
import type { GraphEdge, GraphNode, PropertyGraph } from "../graph.js";
import type { Amount, SiteCapacity, WorkerCapacity } from "./capacity.js";

const ids = elementIds("advertisement");

/** Level 1 has a site's components in sum, level 2 (and 0) its workers with theirs. */
export function advertisement(sites: readonly SiteCapacity[], level: number): PropertyGraph {
  const nodes: GraphNode[] = [];
  const edges: GraphEdge[] = [];
  const graphId = ids("graph");
  const add = (
    cls: string,
    path: string,
    props: Readonly<Record<string, string>>,
    parent?: GraphNode,
  ): GraphNode => {
    const node = {
      id: String(nodes.length + 1),
      labels: `:GraphNode:${cls}`,
      props: { GraphID: graphId, Class: cls, NodeID: ids(path), ...props, StitchNode: "false" },
    };
    nodes.push(node);
    if (parent !== undefined)
      edges.push({ source: parent.id, target: node.id, label: "has", props: { Class: "has" } });
    return node;
  };
  const addComponents = (of: Readonly<Record<string, Amount>>, path: string, parent: GraphNode): void => {
    for (const [key, amount] of Object.entries(of)) {
      const [type, ...model] = key.split("-");
      const props = { Name: key, Type: type ?? "", Model: model.join("-"), ...allocated({ unit: amount }) };
      add(fimClass.component, `${path}/${key}`, props, parent);
    }
  };
  for (const s of sites) {
    const site = add("CompositeNode", s.site, {
      Name: s.site,
      Type: "Server",
      Site: s.site,
      ...sizes(s),
      Flags: fimJson({ ptp: false }),
    });
    if (level !== 1) {
      for (const w of s.workers) {
        const host = add(
          fimClass.node,
          `${s.site}/${w.name}`,
          { Name: w.name, Type: "Server", Site: s.site, ...sizes(w) },
          site,
        );
        addComponents(w.components, `${s.site}/${w.name}`, host);
      }
    }
    add(fimClass.service, `${s.site}/ns`, { Name: `${s.site}_ns`, Type: "MPLS" }, site);
    if (level === 1) addComponents(s.components, s.site, site);
  }
  return { nodes, edges };
}

function sizes(of: SiteCapacity | WorkerCapacity): Readonly<Record<string, string>> {
  return allocated({ core: of.cores, ram: of.ram, disk: of.disk });
}

/** FIM leaves zeros out. */
function allocated(of: Readonly<Record<string, Amount>>): Readonly<Record<string, string>> {
  const json = (value: (a: Amount) => number) =>
    fimJson(
      Object.fromEntries(Object.entries(of).flatMap(([k, a]) => (value(a) === 0 ? [] : [[k, value(a)]]))),
    );
  return { Capacities: json((a) => a.total), CapacityAllocations: json((a) => a.total - a.free) };
}
