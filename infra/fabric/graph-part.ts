/** Pieces of a graph before they get a place in it. Pure. */
import type { GraphEdge, GraphNode, PropertyGraph } from "./graph.js";

/** Elements and edges named by NodeID, before they get the small numbers of a GraphML file. */
export interface GraphPart {
  readonly elements: readonly Readonly<Record<string, string>>[];
  /** `[NodeID, "has" | "connects", NodeID]` */
  readonly edges: readonly (readonly [string, "has" | "connects", string])[];
}

export function joinParts(parts: readonly GraphPart[]): GraphPart {
  return { elements: parts.flatMap((p) => p.elements), edges: parts.flatMap((p) => p.edges) };
}

/** A graph with a part added: new elements get the next free numbers; edges may lead to elements that are there already. */
export function appendPart(graph: PropertyGraph, part: GraphPart, graphId: string): PropertyGraph {
  const numbers = new Map<string, string>();
  let highest = 0;
  for (const node of graph.nodes) {
    if (node.props.NodeID !== undefined) numbers.set(node.props.NodeID, node.id);
    if (/^\d+$/.test(node.id)) highest = Math.max(highest, Number(node.id));
  }
  const nodes: GraphNode[] = [...graph.nodes];
  for (const props of part.elements) {
    const id = String(++highest);
    numbers.set(props.NodeID ?? id, id);
    nodes.push({ id, labels: `:GraphNode:${props.Class}`, props: { GraphID: graphId, ...props } });
  }
  const edges: GraphEdge[] = [...graph.edges];
  for (const [from, label, to] of part.edges) {
    const source = numbers.get(from);
    const target = numbers.get(to);
    if (source === undefined || target === undefined)
      throw new RangeError(`an edge from ${from} to ${to}, which the graph does not hold`);
    edges.push({ source, target, label, props: { Class: label } });
  }
  return { nodes, edges };
}
