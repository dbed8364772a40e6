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
