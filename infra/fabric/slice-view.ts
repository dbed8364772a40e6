/** What a server's graph says of a slice: `fromGraph`. Pure; tolerant of elements that other tools made. */
import { componentName } from "./components.js";
import { fimClass, fimType, jsonProperty, numberIn, textIn } from "./fim.js";
import { GraphIndex, type GraphNode, type PropertyGraph } from "./graph.js";
import { markKey, markOfElement, type SliceMark } from "./mark.js";
import type { Subnet } from "./topology.js";

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
  /** FABlib's model names, sorted; the network card is not among them. */
  readonly components: readonly string[];
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
  /** Name of the FABNetv4 network it is on. */
  readonly network?: string;
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

export interface SliceView {
  readonly graphId?: string;
  readonly mark?: SliceMark;
  /** Virtual machines, sorted by name. */
  readonly nodes: readonly NodeView[];
  /** FABNetv4 networks, sorted by name. */
  readonly networks: readonly NetworkView[];
}

/** FABlib's own key in UserData. */
const fablibKey = "fablib_data";

export function fromGraph(graph: PropertyGraph): SliceView {
  const index = new GraphIndex(graph);
  const nodes = index.ofClass(fimClass.node, fimType.vm).map((n) => nodeView(index, n));
  const networks = index.ofClass(fimClass.service, fimType.fabnetv4).map((n) => networkView(index, n));
  const graphId = graph.nodes.find((n) => n.props.GraphID !== undefined)?.props.GraphID;
  const mark = nodes.find((n) => n.mark !== undefined)?.mark;
  return defined({ graphId, mark, nodes: nodes.sort(byName), networks: networks.sort(byName) });
}

/** The subnets of a slice by site, as far as they are known. */
export function subnetsOf(view: SliceView): Readonly<Record<string, Subnet>> {
  const known = view.networks.flatMap(({ site, subnet, gateway }): [string, Subnet][] =>
    subnet === undefined || gateway === undefined ? [] : [[site, { subnet, gateway }]],
  );
  return Object.fromEntries(known);
}

/** The ports of a virtual machine's cards: `node has component has service connects port`. */
export function portsOf(index: GraphIndex, node: GraphNode): readonly GraphNode[] {
  return index
    .around(node, fimClass.component)
    .flatMap((component) => index.around(component, fimClass.service))
    .flatMap((service) => index.around(service, fimClass.port));
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

function nodeView(index: GraphIndex, node: GraphNode): NodeView {
  const { [markKey]: _mark, [fablibKey]: _fablib, ...userData } = jsonProperty(node, "UserData");
  const components = index
    .around(node, fimClass.component)
    .flatMap((c) => componentName(c.props.Type, c.props.Model) ?? [])
    .sort();
  const attached = portsOf(index, node)
    .map((port) => ({ port, peer: peersOf(index, port)[0] }))
    .find(({ peer }) => peer !== undefined && networkOf(index, peer) !== undefined);
  const peer = attached?.peer;
  return defined({
    name: node.props.Name ?? "",
    nodeId: node.props.NodeID ?? "",
    site: node.props.Site ?? "",
    cores: numberIn(node, "Capacities", "core"),
    ram: numberIn(node, "Capacities", "ram"),
    disk: numberIn(node, "Capacities", "disk"),
    image: node.props.ImageRef ?? "",
    components,
    userData,
    mark: markOfElement(node),
    reservation: reservationOf(node),
    managementIp: presentText(node.props.MgmtIp),
    dataAddress: peer && (textIn(peer, "LabelAllocations", "ipv4") ?? textIn(peer, "Labels", "ipv4")),
    mac:
      attached &&
      (textIn(attached.port, "LabelAllocations", "mac") ?? textIn(attached.port, "Labels", "mac")),
    network: peer && networkOf(index, peer)?.props.Name,
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
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
