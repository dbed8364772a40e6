/** What a server's graph says of a slice: `fromGraph`. Pure; tolerant of elements that other tools made. */
import { cardName, componentName } from "./components.js";
import { fimClass, fimType, jsonProperty, numberIn, textIn } from "./fim.js";
import { flavourNamed } from "./flavours.js";
import { GraphIndex, type GraphNode, type PropertyGraph } from "./graph.js";
import { markKey, markOfElement, type SliceMark } from "./mark.js";
import { firstCard } from "./node-spec.js";
import { innerServices } from "./service-rules.js";
import type { Subnet } from "./topology.js";
import { networkName } from "./topology-names.js";

/** How the orchestrator sees one element. */
export interface Reservation {
  readonly id?: string;
  /** e.g. `Active`, `Ticketed`, `Failed`, `Closed` */
  readonly state?: string;
  readonly error?: string;
}

export interface NodeView {
  readonly name: string;
  readonly nodeId: string;
  readonly site: string;
  readonly cores: number;
  readonly ram: number;
  readonly disk: number;
  readonly image: string;
  /** FABlib's model names, sorted; cards with ports are not among them. */
  readonly components: readonly string[];
  /** One of FABRIC's sizes, where the node was asked for by its name. */
  readonly instanceType?: string;
  /** The worker that it was asked to be on. */
  readonly host?: string;
  readonly bootScript?: string;
  /** The worker that FABRIC put it on. */
  readonly worker?: string;
  /** Cards beside the one on the site's network: name to FABlib's model. */
  readonly nics?: Readonly<Record<string, string>>;
  /** Names of the volumes that it mounts, sorted. */
  readonly storage?: readonly string[];
  /** The person's own user data, without the mark and without FABlib's. */
  readonly userData: Readonly<Record<string, unknown>>;
  readonly mark?: SliceMark;
  readonly reservation: Reservation;
  /** Where it is reached for management, once it is up. */
  readonly managementIp?: string;
  /** Its address on its site's network. */
  readonly dataAddress?: string;
  /** The hardware address of its card. */
  readonly mac?: string;
  /** Name of its site's FABNetv4 network, where it is on it. */
  readonly network?: string;
  /** It is on no FABNetv4 network of its site. */
  readonly siteNetwork?: false;
}

export interface NetworkView {
  readonly name: string;
  readonly nodeId: string;
  readonly site: string;
  readonly reservation: Reservation;
  readonly subnet?: string;
  readonly gateway?: string;
  /** Names of the nodes on it, sorted. */
  readonly nodes: readonly string[];
}

/** How a node is on a network. */
export interface InterfaceView {
  readonly node: string;
  /** Name of the node's card. */
  readonly card: string;
  readonly port: number;
  /** Tag of the sub-interface, where it is one. */
  readonly vlan?: number;
}

/** A network beside the FABNetv4 of a site, of any type that FABRIC knows. */
export interface ServiceView {
  readonly name: string;
  readonly nodeId: string;
  /** FIM's type, e.g. `L2PTP` or `PortMirror`. */
  readonly type: string;
  readonly site?: string;
  /** Gbps that it was asked with. */
  readonly bandwidth?: number;
  readonly reservation: Reservation;
  readonly subnet?: string;
  readonly gateway?: string;
  /** Sorted; those of facilities and switches are not among them. */
  readonly interfaces: readonly InterfaceView[];
}

export interface SliceView {
  readonly graphId?: string;
  readonly mark?: SliceMark;
  /** Virtual machines, sorted by name. */
  readonly nodes: readonly NodeView[];
  /** FABNetv4 networks, sorted by name. */
  readonly networks: readonly NetworkView[];
  /** All networks but the one FABNetv4 that each site has, sorted by name. */
  readonly services: readonly ServiceView[];
}

/** FABlib's own key in UserData. */
const fablibKey = "fablib_data";

/**
 * @param declared names of networks that a specification asks for, and that are no site's therefore; those that bear a mark need not be named
 * @throws InfraError FAB-GRAPHML-FORM for a graph that is no slice
 */
export function fromGraph(graph: PropertyGraph, declared?: ReadonlySet<string>): SliceView {
  const index = new GraphIndex(graph);
  const usual = usualNetworks(index, declared);
  const nodes = index.ofClass(fimClass.node, fimType.vm).map((n) => nodeView(index, n, usual));
  const networks = index.ofClass(fimClass.service, fimType.fabnetv4).map((n) => networkView(index, n));
  const services = networksOf(index)
    .filter((s) => !usual.has(s))
    .map((s) => serviceView(index, s));
  const graphId = graph.nodes.find((n) => n.props.GraphID !== undefined)?.props.GraphID;
  const mark = nodes.find((n) => n.mark !== undefined)?.mark;
  return defined({
    graphId,
    mark,
    nodes: nodes.sort(byName),
    networks: networks.sort(byName),
    services: services.sort(byName),
  });
}

/** The networks of the slice itself, those inside cards, switches and facilities left out. */
export function networksOf(index: GraphIndex): readonly GraphNode[] {
  return index
    .ofClass(fimClass.service)
    .filter(
      (s) =>
        !innerServices.has(s.props.Type ?? "") &&
        index.around(s, fimClass.component).length === 0 &&
        index.around(s, fimClass.node).length === 0,
    );
}

/**
 * The FABNetv4 of each site: the one that this library calls so, or the first by name where another tool made them. Never one that a specification
 * asks for by name: those are declared, or bear a mark.
 */
export function usualNetworks(
  index: GraphIndex,
  declared: ReadonlySet<string> = new Set(),
): ReadonlySet<GraphNode> {
  const bySite = new Map<string, GraphNode>();
  for (const network of index.ofClass(fimClass.service, fimType.fabnetv4)) {
    const site = network.props.Site ?? "";
    const name = network.props.Name ?? "";
    if (declared.has(name) || markOfElement(network) !== undefined) continue;
    const other = bySite.get(site)?.props.Name;
    if (other === networkName(site)) continue;
    if (other === undefined || name === networkName(site) || name < other) bySite.set(site, network);
  }
  return new Set(bySite.values());
}

/** The subnets of a slice by site, as far as they are known. */
export function subnetsOf(view: SliceView): Readonly<Record<string, Subnet>> {
  const known = view.networks.flatMap(({ site, subnet, gateway }): [string, Subnet][] =>
    subnet === undefined || gateway === undefined ? [] : [[site, { subnet, gateway }]],
  );
  return Object.fromEntries(known);
}

/** The ports at the other ends of a port's links. */
export function peersOf(index: GraphIndex, port: GraphNode): readonly GraphNode[] {
  return index
    .around(port, fimClass.link)
    .flatMap((link) => index.around(link, fimClass.port))
    .filter((other) => other.id !== port.id);
}

/** The node that a port belongs to, if it is one of a node's card. */
function ownerOf(index: GraphIndex, port: GraphNode): GraphNode | undefined {
  return index
    .around(port, fimClass.service)
    .flatMap((service) => index.around(service, fimClass.component))
    .flatMap((component) => index.around(component, fimClass.node))[0];
}

function nodeView(index: GraphIndex, node: GraphNode, usual: ReadonlySet<GraphNode>): NodeView {
  const { [markKey]: _mark, [fablibKey]: _fablib, ...userData } = jsonProperty(node, "UserData");
  const inside = index.around(node, fimClass.component);
  const components = inside.flatMap((c) => componentName(c.props.Type, c.props.Model) ?? []).sort();
  const storage = inside.flatMap((c) => (c.props.Type === "Storage" ? (volumeOf(c) ?? []) : [])).sort();
  const first = joinedCardOf(index, node, usual);
  const nics = inside.flatMap((c): [string, string][] => {
    const model = c === first?.card ? undefined : cardName(c.props.Type, c.props.Model);
    return model === undefined ? [] : [[cardNameOf(c, node), model]];
  });
  const peer = first?.peer;
  const instanceType = textIn(node, "CapacityHints", "instance_type");
  // A node that another tool asked for by its size's name alone has no capacities of its own.
  const flavour = instanceType === undefined ? undefined : flavourNamed(instanceType);
  return defined({
    name: node.props.Name ?? "",
    nodeId: node.props.NodeID ?? "",
    site: node.props.Site ?? "",
    cores: numberIn(node, "Capacities", "core") || (flavour?.core ?? 0),
    ram: numberIn(node, "Capacities", "ram") || (flavour?.ram ?? 0),
    disk: numberIn(node, "Capacities", "disk") || (flavour?.disk ?? 0),
    image: node.props.ImageRef ?? "",
    components,
    instanceType,
    host: textIn(node, "Labels", "instance_parent"),
    worker: textIn(node, "LabelAllocations", "instance_parent"),
    bootScript: presentText(node.props.BootScript),
    nics: nics.length === 0 ? undefined : Object.fromEntries(nics.sort(([a], [b]) => (a < b ? -1 : 1))),
    storage: storage.length === 0 ? undefined : storage,
    userData,
    mark: markOfElement(node),
    reservation: reservationOf(node),
    managementIp: presentText(node.props.MgmtIp),
    dataAddress: peer && (textIn(peer, "LabelAllocations", "ipv4") ?? textIn(peer, "Labels", "ipv4")),
    mac: first && (textIn(first.port, "LabelAllocations", "mac") ?? textIn(first.port, "Labels", "mac")),
    network: peer && networkOf(index, peer)?.props.Name,
    siteNetwork: first === undefined ? false : undefined,
  });
}

/** A volume's name; the component of a NAS is called after it as well. */
export function volumeOf(component: GraphNode): string | undefined {
  return textIn(component, "Labels", "local_name") ?? component.props.Name;
}

/** A card's name on its node: its component's without the node's. */
export function cardNameOf(card: GraphNode, node: GraphNode): string {
  const name = card.props.Name ?? "";
  const prefix = `${node.props.Name ?? ""}-`;
  return name.startsWith(prefix) ? name.slice(prefix.length) : name;
}

export interface FirstCard {
  readonly card: GraphNode;
  readonly port: GraphNode;
  /** The network's port at the other end. */
  readonly peer?: GraphNode;
}

/** The card on the site's FABNetv4. */
function joinedCardOf(
  index: GraphIndex,
  node: GraphNode,
  usual: ReadonlySet<GraphNode>,
): Required<FirstCard> | undefined {
  for (const card of cardsOf(index, node)) {
    for (const port of portsOfCard(index, card)) {
      const peer = peersOf(index, port).find((p) => {
        const network = networkOf(index, p);
        return network !== undefined && usual.has(network);
      });
      if (peer !== undefined) return { card, port, peer };
    }
  }
  return undefined;
}

/** The card on the site's FABNetv4; failing that, a NIC_Basic on no network, of the name that this library gives it. */
export function firstCardOf(
  index: GraphIndex,
  node: GraphNode,
  usual: ReadonlySet<GraphNode>,
): FirstCard | undefined {
  const joined = joinedCardOf(index, node, usual);
  if (joined !== undefined) return joined;
  for (const card of cardsOf(index, node)) {
    const [port] = portsOfCard(index, card);
    const free = port !== undefined && peersOf(index, port).length === 0;
    if (free && card.props.Type === fimType.sharedNic && cardNameOf(card, node) === firstCard)
      return { card, port };
  }
  return undefined;
}

function cardsOf(index: GraphIndex, node: GraphNode): readonly GraphNode[] {
  return index
    .around(node, fimClass.component)
    .filter((c) => cardName(c.props.Type, c.props.Model) !== undefined);
}

function portsOfCard(index: GraphIndex, card: GraphNode): readonly GraphNode[] {
  return index.around(card, fimClass.service).flatMap((s) => index.around(s, fimClass.port));
}

function serviceView(index: GraphIndex, service: GraphNode): ServiceView {
  const interfaces = index
    .around(service, fimClass.port)
    .flatMap((port) => peersOf(index, port))
    .flatMap((port) => interfaceOf(index, port) ?? []);
  return defined({
    name: service.props.Name ?? "",
    nodeId: service.props.NodeID ?? "",
    type: service.props.Type ?? "",
    site: presentText(service.props.Site),
    bandwidth: numberIn(service, "Capacities", "bw") || undefined,
    reservation: reservationOf(service),
    subnet: textIn(service, "Gateway", "ipv4_subnet") ?? textIn(service, "Gateway", "ipv6_subnet"),
    gateway: textIn(service, "Gateway", "ipv4") ?? textIn(service, "Gateway", "ipv6"),
    interfaces: interfaces.sort(
      (a, b) =>
        compare(a.node, b.node) ||
        compare(a.card, b.card) ||
        a.port - b.port ||
        (a.vlan ?? 0) - (b.vlan ?? 0),
    ),
  });
}

/** A node's port, or a sub-interface of one, as people name it; undefined for a port of a facility or a switch. */
export function interfaceOf(index: GraphIndex, port: GraphNode): InterfaceView | undefined {
  const sub = port.props.Type === fimType.subInterface;
  const whole = sub
    ? index.around(port, fimClass.port).find((p) => p.props.Type === fimType.dedicatedPort)
    : port;
  const card =
    whole && index.around(whole, fimClass.service).flatMap((s) => index.around(s, fimClass.component))[0];
  const node = card && index.around(card, fimClass.node)[0];
  if (whole === undefined || card === undefined || node === undefined) return undefined;
  const local = textIn(whole, "Labels", "local_name") ?? whole.props.Name ?? "";
  const vlan = Number(textIn(port, "Labels", "vlan"));
  return defined({
    node: node.props.Name ?? "",
    card: cardNameOf(card, node),
    port: Number(/(\d{1,3})$/.exec(local)?.[1] ?? 1),
    vlan: sub && Number.isInteger(vlan) ? vlan : undefined,
  });
}

function networkOf(index: GraphIndex, servicePort: GraphNode): GraphNode | undefined {
  return index.around(servicePort, fimClass.service).find((s) => s.props.Type === fimType.fabnetv4);
}

function networkView(index: GraphIndex, service: GraphNode): NetworkView {
  const nodes = index
    .around(service, fimClass.port)
    .flatMap((port) => peersOf(index, port))
    .flatMap((port) => ownerOf(index, port)?.props.Name ?? []);
  return defined({
    name: service.props.Name ?? "",
    nodeId: service.props.NodeID ?? "",
    site: service.props.Site ?? "",
    reservation: reservationOf(service),
    subnet: textIn(service, "Gateway", "ipv4_subnet"),
    gateway: textIn(service, "Gateway", "ipv4"),
    nodes: nodes.sort(),
  });
}

function reservationOf(element: GraphNode): Reservation {
  const field = (name: string) => presentText(textIn(element, "ReservationInfo", name));
  return defined({
    id: field("reservation_id"),
    state: field("reservation_state"),
    error: field("error_message"),
  });
}

/** Neo4j writes a missing value as the word None. */
function presentText(text: string | undefined): string | undefined {
  return text === undefined || text === "" || text === "None" ? undefined : text;
}

/** Leaves out what is undefined: Pulumi's outputs must hold no undefined. */
function defined<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T;
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return compare(a.name, b.name);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
