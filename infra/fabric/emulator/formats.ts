/** A graph in the formats a client may ask for. Source: fabric-fim 2.0.0 (networkx node_link_data and cytoscape_data). */
import type { PropertyGraph } from "../graph.js";
import { writeGraphml } from "../graphml.js";

/** `format` is one of the API's names; anything else is GRAPHML, as in the real one. */
export function writeGraph(graph: PropertyGraph, format: string): string {
  switch (format) {
    case "JSON_NODELINK":
      return JSON.stringify({
        directed: false,
        multigraph: false,
        graph: {},
        nodes: graph.nodes.map((n) => ({ ...n.props, id: number(n.id) })),
        edges: graph.edges.map((e) => ({ ...e.props, source: number(e.source), target: number(e.target) })),
      });
    case "CYTOSCAPE":
      return JSON.stringify({
        data: [],
        directed: false,
        multigraph: false,
        elements: {
          nodes: graph.nodes.map((n) => ({
            data: { ...n.props, id: n.id, value: number(n.id), name: n.id },
          })),
          edges: graph.edges.map((e) => ({
            data: { ...e.props, source: number(e.source), target: number(e.target) },
          })),
        },
      });
    default:
      return writeGraphml(graph);
  }
}

/** FIM numbers its elements; ids of another kind stay as they are. */
function number(id: string): number | string {
  return /^\d{1,9}$/.test(id) ? Number(id) : id;
}
