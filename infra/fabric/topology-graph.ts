/** A planned topology as FABRIC's graph. The shape is what fabric-fim 2.0.0 writes (facts/fabric.md section 2). */
import {
  cardPart,
  cardsPart,
  componentElement,
  connectionPart,
  interfacePart,
  type NodePort,
  type PlannedCard,
  plannedCards,
  portKey,
  serviceIdOf,
  servicePart,
  storagePart,
} from "./card-graph.js";
import { basicNic, componentModels } from "./components.js";
import type { ElementIds } from "./element-ids.js";
import { addressedForFablib } from "./fablib-data.js";
import { fimClass, fimJson, fimType } from "./fim.js";
import type { PropertyGraph } from "./graph.js";
import { appendPart, type GraphPart, joinParts } from "./graph-part.js";
import { markKey, type SliceMark } from "./mark.js";
import { firstCard } from "./node-spec.js";
import type { PlannedNetwork, PlannedNode, PlannedService, Topology } from "./topology.js";
import { type Device, deviceName, devicesOf } from "./topology-names.js";

export { connectionPart, type NodePort } from "./card-graph.js";
export { appendPart, type GraphPart, joinParts } from "./graph-part.js";
export { type Device, deviceName, devicesOf } from "./topology-names.js";

/** The graph of a new slice. The same topology, mark and ids give the same bytes. */
export function toGraph(topology: Topology, mark: SliceMark, ids: ElementIds): PropertyGraph {
  const cards = plannedCards(topology);
  const nodes = topology.nodes.map((node) =>
    nodePart(node, nodeIdOf(node, ids), mark, ids, cards.get(node.name)),
  );
  const firstPorts = new Map(
    nodes.flatMap(({ port }) => (port === undefined ? [] : [[port.nodeName, port]])),
  );
  const ports = new Map(nodes.flatMap((n) => [...n.ports]));
  const networks = topology.networks.map((network) => {
    const nodeId = networkIdOf(network, ids);
    const joined = network.nodes.flatMap((name) => firstPorts.get(name) ?? []);
    return joinParts([
      networkPart(network, nodeId),
      ...joined.map((port) => connectionPart(nodeId, port, ids)),
    ]);
  });
  const services = topology.services.map((service) => {
    const nodeId = serviceIdOf(service, ids);
    return joinParts([servicePart(service, nodeId, mark), ...interfaceParts(service, nodeId, ports, ids)]);
  });
  // Virtual machines first, then what is in them, then networks: the order in which fim writes a slice.
  const machines = nodes.map((n) => ({ elements: n.part.elements.slice(0, 1), edges: [] }));
  const insides = nodes.map((n) => ({ elements: n.part.elements.slice(1), edges: n.part.edges }));
  return appendPart(
    { nodes: [], edges: [] },
    joinParts([...machines, ...insides, ...networks, ...services]),
    ids("graph"),
  );
}

/** What is on a network: sub-interfaces where they are asked for, the network's ports and the links. */
function interfaceParts(
  service: PlannedService,
  serviceId: string,
  ports: ReadonlyMap<string, NodePort>,
  ids: ElementIds,
): GraphPart[] {
  const { bandwidth } = service;
  return service.interfaces.flatMap(({ node, card, port: number, vlan }) => {
    const port = ports.get(portKey(node, card, number));
    // A port that is not there was refused by the schema before.
    return port === undefined ? [] : interfacePart(serviceId, port, { vlan, bandwidth }, ids);
  });
}

export function nodeIdOf(node: PlannedNode, ids: ElementIds): string {
  return ids(`node/${node.name}/${node.generation}`);
}

export function networkIdOf(network: Pick<PlannedNetwork, "site">, ids: ElementIds): string {
  return ids(`network/${network.site}`);
}

/**
 * A virtual machine with its cards and other components.
 *
 * @param cards beside the one on the site's network; default: those that the node itself asks for
 */
export function nodePart(
  node: PlannedNode,
  nodeId: string,
  mark: SliceMark,
  ids: ElementIds,
  cards: readonly PlannedCard[] = Object.entries(node.nics ?? {}).map(([name, model]) => ({ name, model })),
): {
  readonly part: GraphPart;
  /** The port on the site's network, where the node is on it. */
  readonly port?: NodePort;
  /** The ports of the other cards, by `portKey`. */
  readonly ports: ReadonlyMap<string, NodePort>;
} {
  const machine: Record<string, string> = {
    Class: fimClass.node,
    NodeID: nodeId,
    Name: node.name,
    Type: fimType.vm,
    StitchNode: "false",
    Site: node.site,
    Capacities: capacitiesOf(node),
    ...(node.instanceType === undefined
      ? {}
      : { CapacityHints: fimJson({ instance_type: node.instanceType }) }),
    ...(node.host === undefined ? {} : { Labels: fimJson({ instance_parent: node.host }) }),
    ImageRef: node.image,
    ...(node.bootScript === undefined ? {} : { BootScript: node.bootScript }),
    UserData: userDataOf(node, mark),
  };
  const first = node.network === undefined ? undefined : siteCardPart(node, nodeId, ids);
  const others = cardsPart(node, nodeId, cards, ids);
  return {
    part: joinParts([
      { elements: [machine], edges: [] },
      ...(first === undefined ? [] : [first.part]),
      devicesPart(node.name, nodeId, devicesOf(node.components), ids),
      storagePart(nodeId, node.storage ?? [], ids),
      ...others.parts,
    ]),
    ...(first === undefined ? {} : { port: first.port }),
    ports: others.ports,
  };
}

/** A node's card for its site's network. */
export function siteCardPart(
  node: Pick<PlannedNode, "name" | "site">,
  nodeId: string,
  ids: ElementIds,
): { readonly part: GraphPart; readonly port: NodePort } {
  const { part, ports } = cardPart(node, nodeId, firstCard, basicNic, `${nodeId}/${firstCard}`, ids);
  const [port] = ports;
  if (port === undefined) throw new RangeError("a NIC_Basic has a port");
  return { part, port };
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
        UserData: fimJson(addressedForFablib),
      },
    ],
    edges: [],
  };
}

export function capacitiesOf(node: Pick<PlannedNode, "cores" | "ram" | "disk">): string {
  return fimJson({ core: node.cores, ram: node.ram, disk: node.disk });
}

/** A node's UserData: the person's own and the mark. */
export function userDataOf(node: Pick<PlannedNode, "userData">, mark: SliceMark): string {
  return fimJson({ ...node.userData, [markKey]: mark });
}
