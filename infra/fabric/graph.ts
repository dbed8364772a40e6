/** A property graph as FABRIC writes it in GraphML: what `graphml.ts` reads and writes. */
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

/** A property graph with its look-ups made once. Edges have no direction: `has` and `connects` are found from both ends. */
export class GraphIndex {
  readonly graph: PropertyGraph;
  readonly #byId = new Map<string, GraphNode>();
  readonly #byNodeId = new Map<string, GraphNode>();
  readonly #neighbours = new Map<string, GraphNode[]>();

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
    const all = this.#neighbours.get(node.id) ?? [];
    return fimClass === undefined ? all : all.filter((n) => n.props.Class === fimClass);
  }

  #join(from: string, to: string): void {
    const node = this.#byId.get(to);
    if (node === undefined) return;
    const list = this.#neighbours.get(from);
    if (list === undefined) this.#neighbours.set(from, [node]);
    else list.push(node);
  }
}
