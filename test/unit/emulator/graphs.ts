/** Graphs of slices for tests, in FIM's form, made without the library's own topology code. */
import type { GraphEdge, GraphNode, PropertyGraph } from "../../../infra/fabric/graph.js";

export interface TestNode {
  readonly name: string;
  readonly site: string;
  readonly cores?: number;
  readonly ram?: number;
  readonly disk?: number;
  /** `Type-Model`, e.g. `GPU-A30`. */
  readonly components?: readonly string[];
  /** Default: a shared card. */
  readonly nic?: "SharedNIC" | "SmartNIC";
}

export interface TestNetwork {
  readonly name: string;
  readonly type?: string;
  readonly site?: string;
  /** Names of nodes. */
  readonly nodes: readonly string[];
  readonly props?: Readonly<Record<string, string>>;
}

export class GraphBuilder {
  private readonly nodes: GraphNode[] = [];
  private readonly edges: GraphEdge[] = [];
  private readonly ports = new Map<string, GraphNode>();

  constructor(private readonly seed = "t") {}

  private add(cls: string, path: string, props: Readonly<Record<string, string>>): GraphNode {
    const node = {
      id: String(this.nodes.length + 1),
      labels: `:GraphNode:${cls}`,
      props: {
        GraphID: `graph-${this.seed}`,
        Class: cls,
        NodeID: `${this.seed}/${path}`,
        StitchNode: "false",
        ...props,
      },
    };
    this.nodes.push(node);
    return node;
  }

  private edge(label: "has" | "connects", a: GraphNode, b: GraphNode): void {
    this.edges.push({ source: a.id, target: b.id, label, props: { Class: label } });
  }

  node(n: TestNode, props: Readonly<Record<string, string>> = {}): this {
    const vm = this.add("NetworkNode", n.name, {
      Name: n.name,
      Type: "VM",
      Site: n.site,
      Capacities: JSON.stringify({ core: n.cores ?? 2, disk: n.disk ?? 10, ram: n.ram ?? 8 }),
      ImageRef: "default_ubuntu_22,qcow2",
      ...props,
    });
    this.component(
      vm,
      `${n.name}/nic`,
      n.nic ?? "SharedNIC",
      "ConnectX-6",
      n.nic === "SmartNIC" ? "DedicatedPort" : "SharedPort",
    );
    for (const [i, c] of (n.components ?? []).entries()) {
      const [type = "", ...model] = c.split("-");
      this.component(vm, `${n.name}/c${i}`, type, model.join("-"));
    }
    return this;
  }

  private component(vm: GraphNode, path: string, type: string, model: string, portType?: string): void {
    const name = path.replace("/", "-");
    const component = this.add("Component", path, { Name: name, Type: type, Model: model });
    this.edge("has", vm, component);
    if (portType === undefined) return;
    const service = this.add("NetworkService", `${path}/ovs`, {
      Name: `${name}-l2ovs`,
      Type: "OVS",
      Layer: "L2",
    });
    this.edge("has", component, service);
    const port = this.add("ConnectionPoint", `${path}/p1`, {
      Name: `${name}-p1`,
      Type: portType,
      Capacities: '{"unit": 1}',
      Labels: '{"local_name": "p1"}',
    });
    this.edge("connects", service, port);
    this.ports.set(vm.props.Name ?? "", port);
  }

  network(n: TestNetwork): this {
    const type = n.type ?? "FABNetv4";
    const service = this.add("NetworkService", n.name, {
      Name: n.name,
      Type: type,
      Layer: type.startsWith("FAB") || type === "L3VPN" ? "L3" : "L2",
      ...(n.site === undefined ? {} : { Site: n.site }),
      ...n.props,
    });
    for (const name of n.nodes) {
      const nic = this.ports.get(name);
      if (nic === undefined) throw new Error(`no node ${name}`);
      const port = this.add("ConnectionPoint", `${n.name}/${name}`, {
        Name: `${name}-${nic.props.Name}`,
        Type: "ServicePort",
      });
      this.edge("connects", service, port);
      const link = this.add("Link", `${n.name}/${name}/link`, {
        Name: `${name}-link`,
        Type: "L2Path",
        Layer: "L2",
      });
      this.edge("connects", nic, link);
      this.edge("connects", port, link);
    }
    return this;
  }

  build(): PropertyGraph {
    return { nodes: this.nodes, edges: this.edges };
  }
}

/** Nodes with a FABNetv4 network of their own at each site. */
export function fabnetSlice(nodes: readonly TestNode[], seed = "t"): PropertyGraph {
  const builder = new GraphBuilder(seed);
  for (const n of nodes) builder.node(n);
  for (const site of new Set(nodes.map((n) => n.site))) {
    builder.network({
      name: `net-${site}`,
      site,
      nodes: nodes.filter((n) => n.site === site).map((n) => n.name),
    });
  }
  return builder.build();
}

/** The graph with other properties on the element of a name. */
export function withProps(
  graph: PropertyGraph,
  name: string,
  props: Readonly<Record<string, string>>,
): PropertyGraph {
  return {
    nodes: graph.nodes.map((n) => (n.props.Name === name ? { ...n, props: { ...n.props, ...props } } : n)),
    edges: graph.edges,
  };
}

/** The graph with what the server added to another one's elements of the same NodeID: as a client edits what it has read. */
export function joined(read: PropertyGraph, wanted: PropertyGraph): PropertyGraph {
  const known = new Map(read.nodes.map((n) => [n.props.NodeID, n.props]));
  return {
    nodes: wanted.nodes.map((n) => ({ ...n, props: { ...n.props, ...known.get(n.props.NodeID) } })),
    edges: wanted.edges,
  };
}
