/**
 * The part of a change that concerns cards, storage and further networks: what of the server's graph stays, goes and is added. Pure; used by
 * apply-change.ts, which decides on the nodes. What other tools put beside our own networks stays, and with it the cards that are on it.
 */
import {
  cardsPart,
  interfacePart,
  type NodePort,
  plannedCards,
  portKey,
  serviceGeneration,
  serviceIdOf,
  servicePart,
  storagePart,
} from "./card-graph.js";
import { cardName } from "./components.js";
import type { ElementIds } from "./element-ids.js";
import { fimClass, fimJson, fimType, jsonProperty, numberIn, textIn } from "./fim.js";
import type { GraphIndex, GraphNode } from "./graph.js";
import type { GraphPart } from "./graph-part.js";
import { markKey, markOfElement, type SliceMark } from "./mark.js";
import { cardNameOf, firstCardOf, interfaceOf, networksOf, peersOf, volumeOf } from "./slice-view.js";
import type { PlannedNode, PlannedService, Topology } from "./topology.js";

export interface Attachments {
  readonly index: GraphIndex;
  /** The networks of the sites. */
  readonly usual: ReadonlySet<GraphNode>;
  readonly topology: Topology;
  readonly mark: SliceMark;
  readonly ids: ElementIds;
  /** Machines that stay, by name. */
  readonly kept: ReadonlyMap<string, GraphNode>;
  /** Ports of new machines' cards, by `portKey`. */
  readonly newPorts: ReadonlyMap<string, NodePort>;
  /** NodeIDs of what did not come up. */
  readonly failed?: ReadonlySet<string> | undefined;
  /** Names of the networks that the last known specification had: with those that bear our mark, the ones that may be removed. */
  readonly before?: readonly string[] | undefined;
  /** Ids in the file of what goes; added to. */
  readonly remove: Set<string>;
  /** Properties of what stays and changes, by id in the file; added to. */
  readonly rewrite: Map<string, Readonly<Record<string, string>>>;
}

/** @returns what is added */
export function planAttachments(change: Attachments): GraphPart[] {
  const { topology, kept, newPorts, ids, mark } = change;
  const wanted = new Map(topology.services.map((s) => [s.name, s]));
  const services = keepServices(change, wanted);
  const cards = plannedCards(topology);
  const ports = new Map(newPorts);
  const add: GraphPart[] = [];
  // Before the cards: one that no network needs any more goes.
  const joined = new Map(
    topology.services.map((s) => {
      const there = services.get(s.name);
      return [s.name, there === undefined ? new Set<string>() : keepInterfaces(change, there, s)];
    }),
  );
  for (const node of topology.nodes) {
    const machine = kept.get(node.name);
    if (machine === undefined) continue;
    add.push(...changeCards(change, machine, node, cards.get(node.name) ?? [], ports));
    add.push(...changeStorage(change, machine, node));
  }
  for (const service of topology.services) {
    const there = services.get(service.name);
    const nodeId = there?.props.NodeID ?? serviceIdOf(service, ids);
    if (there === undefined) add.push(servicePart(service, nodeId, mark));
    for (const { node, card, port: number, vlan } of service.interfaces) {
      if (joined.get(service.name)?.has(interfaceKey({ node, card, port: number, vlan }))) continue;
      const port = ports.get(portKey(node, card, number));
      if (port !== undefined)
        add.push(...interfacePart(nodeId, port, { vlan, bandwidth: service.bandwidth }, ids));
    }
  }
  return add;
}

/** A machine's cards, switches, ports and sub-interfaces, and what joins these to networks. */
export function inside(index: GraphIndex, machine: GraphNode): GraphNode[] {
  return index.around(machine, fimClass.component).flatMap((c) => wholeCard(index, c));
}

function wholeCard(index: GraphIndex, card: GraphNode): GraphNode[] {
  const switches = index.around(card, fimClass.service);
  const ports = switches.flatMap((s) => index.around(s, fimClass.port));
  const all = [...ports, ...ports.flatMap((p) => subInterfaces(index, p))];
  return [card, ...switches, ...all, ...all.flatMap((p) => connection(index, p))];
}

function subInterfaces(index: GraphIndex, port: GraphNode): GraphNode[] {
  return index.around(port, fimClass.port).filter((p) => p.props.Type === fimType.subInterface);
}

/** The links of a node's port, and the networks' ports at their other ends. */
function connection(index: GraphIndex, port: GraphNode): GraphNode[] {
  return [...index.around(port, fimClass.link), ...peersOf(index, port)];
}

/** The networks that stay, by name; the others of ours go. */
function keepServices(
  { index, usual, mark, failed, before, remove, rewrite }: Attachments,
  wanted: ReadonlyMap<string, PlannedService>,
): ReadonlyMap<string, GraphNode> {
  const kept = new Map<string, GraphNode>();
  for (const service of networksOf(index)) {
    if (usual.has(service)) continue;
    const name = service.props.Name ?? "";
    const plan = wanted.get(name);
    const ours = markOfElement(service)?.id === mark.id || before?.includes(name) === true;
    if (plan === undefined && !ours) continue;
    const fits =
      plan !== undefined &&
      serviceGeneration(plan) === generationOfElement(service) &&
      failed?.has(service.props.NodeID ?? "") !== true;
    if (!fits) {
      for (const element of wholeService(index, service)) remove.add(element.id);
      continue;
    }
    kept.set(name, service);
    const userData = fimJson({ ...jsonProperty(service, "UserData"), [markKey]: mark });
    if (fimJson(jsonProperty(service, "UserData")) !== userData)
      rewrite.set(service.id, { ...service.props, UserData: userData });
  }
  return kept;
}

function generationOfElement(service: GraphNode): string {
  const bandwidth = numberIn(service, "Capacities", "bw");
  const { Type: type = "", Site: site } = service.props;
  return serviceGeneration({
    type,
    ...(site === undefined ? {} : { site }),
    ...(bandwidth === 0 ? {} : { bandwidth }),
  });
}

/** A network, what joins nodes to it, and their sub-interfaces, which are there for it alone. */
function wholeService(index: GraphIndex, service: GraphNode): GraphNode[] {
  return [service, ...index.around(service, fimClass.port).flatMap((port) => wholeConnection(index, port))];
}

function wholeConnection(index: GraphIndex, servicePort: GraphNode): GraphNode[] {
  const subs = peersOf(index, servicePort).filter((p) => p.props.Type === fimType.subInterface);
  return [servicePort, ...index.around(servicePort, fimClass.link), ...subs];
}

/** What of a network's interfaces stays; the rest goes. */
function keepInterfaces(
  { index, remove }: Attachments,
  there: GraphNode,
  service: PlannedService,
): ReadonlySet<string> {
  const wanted = new Set(service.interfaces.map(interfaceKey));
  const joined = new Set<string>();
  for (const servicePort of index.around(there, fimClass.port)) {
    if (remove.has(servicePort.id)) continue;
    const peers = peersOf(index, servicePort).map((p) => interfaceOf(index, p));
    // A port of a facility or a switch: another tool's, which knows why.
    if (peers.length > 0 && peers.every((p) => p === undefined)) continue;
    const [key] = peers.flatMap((p) => (p === undefined ? [] : [interfaceKey(p)]));
    if (key !== undefined && wanted.has(key)) joined.add(key);
    else for (const element of wholeConnection(index, servicePort)) remove.add(element.id);
  }
  return joined;
}

function interfaceKey(i: {
  readonly node: string;
  readonly card: string;
  readonly port: number;
  readonly vlan?: number | undefined;
}): string {
  return `${portKey(i.node, i.card, i.port)}\n${i.vlan ?? ""}`;
}

/** Brings a machine that stays to the cards that it shall have, and tells their ports. */
function changeCards(
  { index, usual, failed, ids, remove }: Attachments,
  machine: GraphNode,
  node: PlannedNode,
  cards: readonly { readonly name: string; readonly model: string }[],
  ports: Map<string, NodePort>,
): GraphPart[] {
  const first = node.network === undefined ? undefined : firstCardOf(index, machine, usual)?.card;
  const missing = new Map(cards.map((c) => [c.name, c]));
  for (const there of index.around(machine, fimClass.component)) {
    const model = cardName(there.props.Type, there.props.Model);
    if (model === undefined || there === first || remove.has(there.id)) continue;
    const name = cardNameOf(there, machine);
    if (missing.get(name)?.model === model && failed?.has(there.props.NodeID ?? "") !== true) {
      missing.delete(name);
      for (const port of portsOfCard(index, there, node.name))
        ports.set(portKey(node.name, name, port.number), port);
      continue;
    }
    const whole = wholeCard(index, there);
    if (!missing.has(name) && isUsed(index, whole, remove)) continue;
    for (const element of whole) remove.add(element.id);
  }
  const nodeId = machine.props.NodeID ?? "";
  const made = cardsPart(node, nodeId, [...missing.values()], ids);
  for (const [key, port] of made.ports) ports.set(key, port);
  return [...made.parts];
}

/** Whether some network that stays is joined to one of these ports. */
function isUsed(index: GraphIndex, elements: readonly GraphNode[], removed: ReadonlySet<string>): boolean {
  return elements.some(
    (e) =>
      e.props.Type === fimType.servicePort &&
      !removed.has(e.id) &&
      index.around(e, fimClass.service).some((s) => !removed.has(s.id)),
  );
}

function portsOfCard(
  index: GraphIndex,
  card: GraphNode,
  nodeName: string,
): (NodePort & { readonly number: number })[] {
  return index
    .around(card, fimClass.service)
    .flatMap((s) => index.around(s, fimClass.port))
    .map((port) => ({
      nodeName,
      name: port.props.Name ?? "",
      nodeId: port.props.NodeID ?? "",
      dedicated: port.props.Type === fimType.dedicatedPort,
      number: Number(
        /(\d{1,3})$/.exec(textIn(port, "Labels", "local_name") ?? port.props.Name ?? "")?.[1] ?? 1,
      ),
    }));
}

function changeStorage(
  { index, failed, ids, remove }: Attachments,
  machine: GraphNode,
  node: PlannedNode,
): GraphPart[] {
  const missing = new Set(node.storage ?? []);
  for (const there of index.around(machine, fimClass.component)) {
    const volume = there.props.Type === "Storage" ? volumeOf(there) : undefined;
    if (volume === undefined) continue;
    if (missing.has(volume) && failed?.has(there.props.NodeID ?? "") !== true) missing.delete(volume);
    else remove.add(there.id);
  }
  return missing.size === 0 ? [] : [storagePart(machine.props.NodeID ?? "", [...missing], ids)];
}
