/** A planned topology as FABRIC's graph. The shape is what fabric-fim 2.0.0 writes (facts/fabric.md section 2). */
import { basicNic, type ComponentModel, componentModels } from "./components.js";
import type { ElementIds } from "./element-ids.js";
import { fimClass, fimJson, fimType } from "./fim.js";
import type { GraphEdge, GraphNode, PropertyGraph } from "./graph.js";
import { markKey, type SliceMark } from "./mark.js";
import type { PlannedNetwork, PlannedNode, Topology } from "./topology.js";

/** Elements and edges named by NodeID, before they get the small numbers of a GraphML file. */
export interface GraphPart {
  readonly elements: readonly Readonly<Record<string, string>>[];
  /** `[NodeID, "has" | "connects", NodeID]` */
  readonly edges: readonly (readonly [string, "has" | "connects", string])[];
}

/** The card's port by which a node joins its site's network. */
export interface NodePort {
  readonly nodeName: string;
  readonly name: string;
  readonly nodeId: string;
}

/** The card's names, as FABlib would choose them. */
const nicName = (node: string) => `${node}-nic1`;
const portName = (node: string) => `${nicName(node)}-p1`;

/** The graph of a new slice. The same topology, mark and ids give the same bytes. */
export function toGraph(topology: Topology, mark: SliceMark, ids: ElementIds): PropertyGraph {
  const nodes = topology.nodes.map((node) => nodePart(node, nodeIdOf(node, ids), mark, ids));
  const networks = topology.networks.map((network) => {
    const nodeId = networkIdOf(network, ids);
    const ports = network.nodes.flatMap((name) => nodes.find((n) => n.port.nodeName === name)?.port ?? []);
    return joinParts([
      networkPart(network, nodeId),
      ...ports.map((port) => connectionPart(nodeId, port, ids)),
    ]);
  });
  // Virtual machines first, then what is in them, then networks: the order in which fim writes a slice.
  const machines = nodes.map((n) => ({ elements: n.part.elements.slice(0, 1), edges: [] }));
  const insides = nodes.map((n) => ({ elements: n.part.elements.slice(1), edges: n.part.edges }));
  return appendPart(
    { nodes: [], edges: [] },
    joinParts([...machines, ...insides, ...networks]),
    ids("graph"),
  );
}

export function nodeIdOf(node: PlannedNode, ids: ElementIds): string {
  return ids(`node/${node.name}/${node.generation}`);
}

export function networkIdOf(network: Pick<PlannedNetwork, "site">, ids: ElementIds): string {
  return ids(`network/${network.site}`);
}

/** A virtual machine with its card and other components. */
export function nodePart(
  node: PlannedNode,
  nodeId: string,
  mark: SliceMark,
  ids: ElementIds,
): { readonly part: GraphPart; readonly port: NodePort } {
  const nicId = ids(`${nodeId}/nic1`);
  const switchId = ids(`${nodeId}/nic1/l2ovs`);
  const portId = ids(`${nodeId}/nic1/p1`);
  const nic = nicName(node.name);
  const machine = {
    Class: fimClass.node,
    NodeID: nodeId,
    Name: node.name,
    Type: fimType.vm,
    StitchNode: "false",
    Site: node.site,
    Capacities: capacitiesOf(node),
    ImageRef: node.image,
    UserData: userDataOf(node, mark),
  };
  const inside = [
    componentElement(nic, basicNic, nicId),
    {
      Class: fimClass.service,
      NodeID: switchId,
      Name: `${node.name}-${nic}-l2ovs`,
      Type: fimType.ovs,
      StitchNode: "false",
      Layer: "L2",
      Site: node.site,
    },
    {
      Class: fimClass.port,
      NodeID: portId,
      Name: portName(node.name),
      Type: fimType.sharedPort,
      Capacities: fimJson({ unit: 1 }),
      Labels: fimJson({ local_name: "p1" }),
      StitchNode: "false",
    },
  ];
  const devices = devicesPart(node.name, nodeId, devicesOf(node.components), ids);
  return {
    part: joinParts([
      {
        elements: [machine, ...inside],
        edges: [
          [nodeId, "has", nicId],
          [nicId, "has", switchId],
          [switchId, "connects", portId],
        ],
      },
      devices,
    ]),
    port: { nodeName: node.name, name: portName(node.name), nodeId: portId },
  };
}

/** A component beside the network card: a FABlib model and its number among those of its model on the node. */
export interface Device {
  readonly model: string;
  readonly number: number;
}

/** A plan's components, numbered. */
export function devicesOf(components: readonly string[]): Device[] {
  const count = new Map<string, number>();
  return components.map((model) => {
    const number = (count.get(model) ?? 0) + 1;
    count.set(model, number);
    return { model, number };
  });
}

/** Components of a node, each called after its model and number: `clientone-gpu-a30-1`. */
export function devicesPart(
  nodeName: string,
  nodeId: string,
  devices: readonly Device[],
  ids: ElementIds,
): GraphPart {
  const elements: Record<string, string>[] = [];
  const edges: [string, "has", string][] = [];
  for (const { model, number } of devices) {
    const entry = componentModels[model];
    if (entry === undefined) continue; // refused by the schema before
    const name = deviceName(nodeName, model, number);
    const id = ids(`${nodeId}/${name}`);
    elements.push(componentElement(name, entry, id));
    edges.push([nodeId, "has", id]);
  }
  return { elements, edges };
}

export function deviceName(node: string, model: string, number: number): string {
  return `${node}-${model.toLowerCase().replaceAll("_", "-")}-${number}`;
}

/** A site's FABNetv4 network, without its ports. */
export function networkPart(network: Pick<PlannedNetwork, "name" | "site">, nodeId: string): GraphPart {
  const { name, site } = network;
  return {
    elements: [
      {
        Class: fimClass.service,
        NodeID: nodeId,
        Name: name,
        Type: fimType.fabnetv4,
        StitchNode: "false",
        Layer: "L3",
        Site: site,
      },
    ],
    edges: [],
  };
}

/** What joins a node's port to a network: the network's own port, and the link between the two. */
export function connectionPart(networkId: string, port: NodePort, ids: ElementIds): GraphPart {
  const servicePortId = ids(`${networkId}/${port.nodeId}`);
  const linkId = ids(`${networkId}/${port.nodeId}/link`);
  const name = `${port.nodeName}-${port.name}`;
  return {
    elements: [
      {
        Class: fimClass.port,
        NodeID: servicePortId,
        Name: name,
        Type: fimType.servicePort,
        StitchNode: "false",
      },
      {
        Class: fimClass.link,
        NodeID: linkId,
        Name: `${name}-link`,
        Type: fimType.l2Path,
        StitchNode: "false",
        Layer: "L2",
      },
    ],
    edges: [
      [port.nodeId, "connects", linkId],
      [networkId, "connects", servicePortId],
      [servicePortId, "connects", linkId],
    ],
  };
}

export function capacitiesOf(node: Pick<PlannedNode, "cores" | "ram" | "disk">): string {
  return fimJson({ core: node.cores, ram: node.ram, disk: node.disk });
}

/** A node's UserData: the person's own and the mark. */
export function userDataOf(node: Pick<PlannedNode, "userData">, mark: SliceMark): string {
  return fimJson({ ...node.userData, [markKey]: mark });
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

function componentElement(name: string, model: ComponentModel, nodeId: string): Record<string, string> {
  return {
    Class: fimClass.component,
    NodeID: nodeId,
    Name: name,
    Type: model.type,
    Model: model.model,
    Details: model.details,
    StitchNode: "false",
  };
}
