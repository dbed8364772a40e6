/** A property graph as FABRIC writes it in GraphML: what `graphml.ts` reads and writes. */
import { InfraError } from "../problem.js";

/** An element. */
export interface GraphNode {
  /** The GraphML id, unique in the file ("1", "2", ...). */
  readonly id: string;
  /** The `labels` attribute, e.g. `:GraphNode:NetworkNode`. */
  readonly labels?: string;
  /** Property name (`NodeID`, `Class`, `Name`, ...) to its text. */
  readonly props: Readonly<Record<string, string>>;
}

export interface GraphEdge {
  readonly source: string;
  readonly target: string;
  /** `has` or `connects`. */
  readonly label?: string;
  readonly props: Readonly<Record<string, string>>;
}

export interface PropertyGraph {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** How many elements of one class may be at an element of another; what is not named has no limit. A slice that FABRIC made keeps far below. */
const shape: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  Component: { NetworkNode: 1 },
  NetworkService: { NetworkNode: 1, Component: 1 },
  ConnectionPoint: { NetworkService: 1, Link: 16 },
  Link: { ConnectionPoint: 16 },
};

/**
 * A property graph with its look-ups made once. Edges have no direction: `has` and `connects` are found from both ends.
 *
 * What it walks over later is a forest: a component has one node, a service one owner, a port one service, a link few ends. A graph that is otherwise
 * is refused, so that no graph of a server makes a walk longer than the graph.
 */
export class GraphIndex {
  readonly graph: PropertyGraph;
  readonly #byId = new Map<string, GraphNode>();
  readonly #byNodeId = new Map<string, GraphNode>();
  readonly #neighbours = new Map<string, Map<string, GraphNode[]>>();

  /** @throws InfraError FAB-GRAPHML-FORM */
  constructor(graph: PropertyGraph) {
    this.graph = graph;
    for (const node of graph.nodes) {
      this.#byId.set(node.id, node);
      if (node.props.NodeID !== undefined) this.#byNodeId.set(node.props.NodeID, node);
    }
    for (const edge of graph.edges) {
      this.#join(edge.source, edge.target);
      this.#join(edge.target, edge.source);
    }
    this.#refuseTangles();
  }

  /** The elements of this FIM class (`NetworkNode`, `Component`, `NetworkService`, `ConnectionPoint`, `Link`), and type where given. */
  ofClass(fimClass: string, type?: string): readonly GraphNode[] {
    return this.graph.nodes.filter(
      (n) => n.props.Class === fimClass && (type === undefined || n.props.Type === type),
    );
  }

  /** The element with this `NodeID` property. */
  byNodeId(nodeId: string): GraphNode | undefined {
    return this.#byNodeId.get(nodeId);
  }

  /** What an element is joined to, of one FIM class where given. */
  around(node: GraphNode, fimClass?: string): readonly GraphNode[] {
    const all = this.#neighbours.get(node.id);
    if (all === undefined) return [];
    return fimClass === undefined ? [...all.values()].flat() : (all.get(fimClass) ?? []);
  }

  #join(from: string, to: string): void {
    const node = this.#byId.get(to);
    if (node === undefined) return;
    let classes = this.#neighbours.get(from);
    if (classes === undefined) {
      classes = new Map();
      this.#neighbours.set(from, classes);
    }
    const fimClass = node.props.Class ?? "";
    const list = classes.get(fimClass);
    if (list === undefined) classes.set(fimClass, [node]);
    else list.push(node);
  }

  #refuseTangles(): void {
    for (const node of this.graph.nodes) {
      const limits = Object.hasOwn(shape, node.props.Class ?? "") ? shape[node.props.Class ?? ""] : undefined;
      for (const [other, most] of Object.entries(limits ?? {})) {
        const there = this.around(node, other).length;
        if (there <= most) continue;
        throw new InfraError({
          code: "FAB-GRAPHML-FORM",
          path: `node ${node.id}`,
          message: `not a slice as FABRIC writes it: a ${node.props.Class} with ${there} of ${other}, ${most === 1 ? "one" : `at most ${most}`} was expected`,
        });
      }
    }
  }
}
