/**
 * A slice's graph as a tree one can ask: which components a node has, which port is linked to which. Edges are taken as undirected, as FIM
 * does; the classes say which end is the parent.
 */
import { fimClass } from "../fim.js";
import type { GraphNode, PropertyGraph } from "../graph.js";

export class GraphView {
  private readonly byRow = new Map<string, GraphNode>();
  private readonly byNodeId = new Map<string, GraphNode>();
  private readonly around = new Map<string, GraphNode[]>();

  constructor(readonly graph: PropertyGraph) {
    for (const n of graph.nodes) {
      this.byRow.set(n.id, n);
      this.byNodeId.set(nodeId(n), n);
    }
    for (const e of graph.edges) {
      const a = this.byRow.get(e.source);
      const b = this.byRow.get(e.target);
      if (a === undefined || b === undefined) continue;
      this.near(a).push(b);
      this.near(b).push(a);
    }
  }

  private near(n: GraphNode): GraphNode[] {
    let list = this.around.get(n.id);
    if (list === undefined) {
      list = [];
      this.around.set(n.id, list);
    }
    return list;
  }

  find(id: string): GraphNode | undefined {
    return this.byNodeId.get(id);
  }

  neighbours(n: GraphNode, cls: string): readonly GraphNode[] {
    return (this.around.get(n.id) ?? []).filter((x) => classOf(x) === cls);
  }

  private all(cls: string): readonly GraphNode[] {
    return this.graph.nodes.filter((n) => classOf(n) === cls);
  }

  /** VMs, switches and facilities. */
  networkNodes(): readonly GraphNode[] {
    return this.all(fimClass.node);
  }

  /** Every network service, those inside cards and switches included. */
  services(): readonly GraphNode[] {
    return this.all(fimClass.service);
  }

  /** Network services of the slice itself. */
  topServices(): readonly GraphNode[] {
    return this.services().filter((s) => this.parent(s) === undefined);
  }

  components(node: GraphNode): readonly GraphNode[] {
    return this.neighbours(node, fimClass.component);
  }

  servicesOf(owner: GraphNode): readonly GraphNode[] {
    return this.neighbours(owner, fimClass.service);
  }

  /** Ports of a service, or sub-interfaces of a port. */
  ports(owner: GraphNode): readonly GraphNode[] {
    const ports = this.neighbours(owner, fimClass.port);
    return classOf(owner) === fimClass.port ? ports.filter((p) => p.props.Type === "SubInterface") : ports;
  }

  /** The element it belongs to; undefined for nodes, links and services of the slice itself. */
  parent(n: GraphNode): GraphNode | undefined {
    switch (classOf(n)) {
      case fimClass.component:
        return this.neighbours(n, fimClass.node)[0];
      case fimClass.service:
        return this.neighbours(n, fimClass.component)[0] ?? this.neighbours(n, fimClass.node)[0];
      case fimClass.port:
        return (
          this.neighbours(n, fimClass.service)[0] ??
          this.neighbours(n, fimClass.port).find((p) => p.props.Type !== "SubInterface")
        );
      default:
        return undefined;
    }
  }

  /** The element and its parents, nearest first. Bounded: a made-up graph may have rings. */
  line(n: GraphNode): readonly GraphNode[] {
    const line = [n];
    for (
      let at = this.parent(n);
      at !== undefined && line.length < 8 && !line.includes(at);
      at = this.parent(at)
    )
      line.push(at);
    return line;
  }

  /** The node that a port belongs to; undefined for a port of a slice's network service. */
  ownerNode(port: GraphNode): GraphNode | undefined {
    return this.line(port).find((n) => classOf(n) === fimClass.node);
  }

  /** Ports linked to this one. */
  peers(port: GraphNode): readonly GraphNode[] {
    return this.neighbours(port, fimClass.link).flatMap((l) =>
      this.neighbours(l, fimClass.port).filter((p) => p.id !== port.id),
    );
  }

  /** The element and everything that belongs to it. */
  subtree(root: GraphNode): readonly GraphNode[] {
    const seen = new Set<GraphNode>();
    const visit = (n: GraphNode): void => {
      if (seen.has(n)) return;
      seen.add(n);
      const cls = classOf(n);
      if (cls === fimClass.node) this.components(n).forEach(visit);
      if (cls === fimClass.node || cls === fimClass.component) this.servicesOf(n).forEach(visit);
      if (cls === fimClass.service || (cls === fimClass.port && n.props.Type !== "SubInterface"))
        this.ports(n).forEach(visit);
    };
    visit(root);
    return [...seen];
  }
}

export function nodeId(n: GraphNode): string {
  return n.props.NodeID ?? n.id;
}

export function classOf(n: GraphNode): string {
  return n.props.Class ?? n.labels?.split(":").at(-1) ?? "";
}

export function nameOf(n: GraphNode): string {
  return n.props.Name ?? "";
}

/** The graph without these elements, what belongs to them, their links, and the ports of networks that were linked only to them. */
export function withoutElements(graph: PropertyGraph, nodeIds: ReadonlySet<string>): PropertyGraph {
  if (nodeIds.size === 0) return graph;
  const view = new GraphView(graph);
  const gone = new Set<string>();
  for (const n of graph.nodes)
    if (nodeIds.has(nodeId(n))) for (const part of view.subtree(n)) gone.add(part.id);
  for (const n of graph.nodes) {
    if (!gone.has(n.id) || classOf(n) !== fimClass.port) continue;
    for (const link of view.neighbours(n, fimClass.link)) gone.add(link.id);
    for (const peer of view.peers(n)) if (peer.props.Type === "ServicePort") gone.add(peer.id);
  }
  return {
    nodes: graph.nodes.filter((n) => !gone.has(n.id)),
    edges: graph.edges.filter((e) => !gone.has(e.source) && !gone.has(e.target)),
  };
}
