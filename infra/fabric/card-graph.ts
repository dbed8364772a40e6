/** Cards, storage and further networks of a slice as elements of FABRIC's graph, in the shape that fabric-fim 2.0.0 writes. Pure. */
import { type ComponentModel, cardModels, storageModel } from "./components.js";
import type { ElementIds } from "./element-ids.js";
import { addressedForFablib } from "./fablib-data.js";
import { fimClass, fimJson, fimType } from "./fim.js";
import type { GraphPart } from "./graph-part.js";
import { markKey, type SliceMark } from "./mark.js";
import { serviceRule } from "./service-rules.js";
import type { PlannedNode, PlannedService, Topology } from "./topology.js";
import { cardComponent } from "./topology-names.js";

/** A port of a node by which it joins a network. */
export interface NodePort {
  readonly nodeName: string;
  readonly name: string;
  readonly nodeId: string;
  /** A port, or a sub-interface of one, that the node shares with nobody. */
  readonly dedicated?: boolean;
}

/** A card beside the one on the site's network. */
export interface PlannedCard {
  /** Unique on its node. */
  readonly name: string;
  /** FABlib's model name. */
  readonly model: string;
}

/** The cards of each node: those that it asks for, and those that networks bring. Sorted by name. */
export function plannedCards(topology: Topology): ReadonlyMap<string, readonly PlannedCard[]> {
  const cards = new Map(
    topology.nodes.map((n) => [
      n.name,
      Object.entries(n.nics ?? {}).map(([name, model]) => ({ name, model })),
    ]),
  );
  for (const service of topology.services) {
    for (const { node, card, ownCard } of service.interfaces)
      if (ownCard) cards.get(node)?.push({ name: card, model: "NIC_Basic" });
  }
  for (const list of cards.values()) list.sort((a, b) => (a.name < b.name ? -1 : 1));
  return cards;
}

/** Where a card's elements get their ids from. Another model is another card. */
export function cardPath(nodeId: string, { name, model }: PlannedCard): string {
  return `${nodeId}/card/${name}/${model}`;
}

/** A card with its inner switch and its ports. */
export function cardPart(
  node: Pick<PlannedNode, "name" | "site">,
  nodeId: string,
  name: string,
  model: ComponentModel,
  path: string,
  ids: ElementIds,
): { readonly part: GraphPart; readonly ports: readonly NodePort[] } {
  const component = cardComponent(node.name, name);
  const cardId = ids(path);
  const fpga = model.type === "FPGA";
  const switchPath = `${path}/${fpga ? "l2p4" : "l2ovs"}`;
  const switchId = ids(switchPath);
  const { count = 0, bandwidth } = model.ports ?? {};
  const dedicated = bandwidth !== undefined;
  const ports = Array.from({ length: count }, (_, i) => ({
    nodeName: node.name,
    name: `${component}-p${i + 1}`,
    nodeId: ids(`${path}/p${i + 1}`),
    ...(dedicated ? { dedicated } : {}),
  }));
  const elements = [
    componentElement(component, model, cardId),
    {
      Class: fimClass.service,
      NodeID: switchId,
      Name: `${node.name}-${component}-${fpga ? "l2p4" : "l2ovs"}`,
      Type: fpga ? fimType.p4 : fimType.ovs,
      StitchNode: "false",
      Layer: "L2",
      Site: node.site,
    },
    ...ports.map((port, i) => ({
      Class: fimClass.port,
      NodeID: port.nodeId,
      Name: port.name,
      Type: dedicated ? fimType.dedicatedPort : fimType.sharedPort,
      Capacities: fimJson(dedicated ? { unit: 1, bw: bandwidth } : { unit: 1 }),
      Labels: fimJson({ local_name: `p${i + 1}` }),
      StitchNode: "false",
    })),
  ];
  return {
    part: {
      elements,
      edges: [
        [nodeId, "has", cardId],
        [cardId, "has", switchId],
        ...ports.map((port) => [switchId, "connects", port.nodeId] as const),
      ],
    },
    ports,
  };
}

/** Cards of a node, and their ports by {@link portKey}. */
export function cardsPart(
  node: Pick<PlannedNode, "name" | "site">,
  nodeId: string,
  cards: readonly PlannedCard[],
  ids: ElementIds,
): { readonly parts: readonly GraphPart[]; readonly ports: ReadonlyMap<string, NodePort> } {
  const ports = new Map<string, NodePort>();
  const parts = cards.flatMap((card) => {
    const model = cardModels[card.model];
    if (model === undefined) return []; // refused by the schema before
    const made = cardPart(node, nodeId, card.name, model, cardPath(nodeId, card), ids);
    for (const [i, port] of made.ports.entries()) ports.set(portKey(node.name, card.name, i + 1), port);
    return [made.part];
  });
  return { parts, ports };
}

/** The key of a port in look-ups of a whole slice. */
export function portKey(node: string, card: string, port: number): string {
  return `${node}\n${card}\n${port}`;
}

/** Volumes of the site's storage that a node mounts. FABlib calls the component after its volume. */
export function storagePart(nodeId: string, volumes: readonly string[], ids: ElementIds): GraphPart {
  const elements = volumes.map(
    (name): Record<string, string> => ({
      ...componentElement(name, storageModel, ids(`${nodeId}/storage/${name}`)),
      Labels: fimJson({ local_name: name }),
      Flags: fimJson({ auto_config: false, auto_mount: true, ipv4_management: false, ptp: false }),
    }),
  );
  return { elements, edges: elements.map((e) => [nodeId, "has", e.NodeID ?? ""] as const) };
}

/** What a network cannot change while it lives. A new generation is a new network. */
export function serviceGeneration({
  type,
  site,
  bandwidth,
}: Omit<PlannedService, "name" | "interfaces" | "type"> & { readonly type: string }): string {
  return [type, site ?? "", bandwidth ?? ""].join("/");
}

export function serviceIdOf(service: PlannedService, ids: ElementIds): string {
  return ids(`service/${service.name}/${serviceGeneration(service)}`);
}

/** A network without what is on it. It bears the slice's mark, so that it is known again when the specification names it no more. */
export function servicePart(service: PlannedService, nodeId: string, mark: SliceMark): GraphPart {
  const element: Record<string, string> = {
    Class: fimClass.service,
    NodeID: nodeId,
    Name: service.name,
    Type: service.type,
    StitchNode: "false",
    Layer: serviceRule(service.type)?.layer ?? "L2",
    ...(service.bandwidth === undefined ? {} : { Capacities: fimJson({ bw: service.bandwidth }) }),
    // In a modify the server takes the graph as it is, so the site is not left to it.
    ...(service.site === undefined ? {} : { Site: service.site }),
    UserData: fimJson({ ...(service.type.startsWith("FABNet") ? addressedForFablib : {}), [markKey]: mark }),
  };
  return { elements: [element], edges: [] };
}

/** A sub-interface of a port, and as what it joins a network. */
export function subInterfacePart(
  port: NodePort,
  vlan: number,
  bandwidth: number | undefined,
  ids: ElementIds,
): { readonly part: GraphPart; readonly port: NodePort } {
  const nodeId = ids(`${port.nodeId}/vlan/${vlan}`);
  const name = `${port.name}-${vlan}`;
  const local = /-(p\d+)$/.exec(port.name)?.[1] ?? "p1";
  const element: Record<string, string> = {
    Class: fimClass.port,
    NodeID: nodeId,
    Name: name,
    Type: fimType.subInterface,
    ...(bandwidth === undefined ? {} : { Capacities: fimJson({ bw: bandwidth }) }),
    Labels: fimJson({ local_name: local, vlan: String(vlan) }),
    StitchNode: "false",
  };
  return {
    part: { elements: [element], edges: [[port.nodeId, "connects", nodeId]] },
    port: { nodeName: port.nodeName, name, nodeId, dedicated: true },
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
        Type: port.dedicated ? fimType.patch : fimType.l2Path,
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

/** How one interface joins its network: the sub-interface, where it is one, and the connection. */
export function interfacePart(
  serviceId: string,
  port: NodePort,
  { vlan, bandwidth }: { readonly vlan: number | undefined; readonly bandwidth: number | undefined },
  ids: ElementIds,
): GraphPart[] {
  if (vlan === undefined) return [connectionPart(serviceId, port, ids)];
  const sub = subInterfacePart(port, vlan, bandwidth, ids);
  return [sub.part, connectionPart(serviceId, sub.port, ids)];
}

export function componentElement(
  name: string,
  model: ComponentModel,
  nodeId: string,
): Record<string, string> {
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
