/**
 * Which machines and networks should be there: a pure function of what the emulator keeps and the time. Making it so is the adapters' work.
 */
import type { GraphNode } from "../graph.js";
import { loginOf } from "../ssh-config.js";
import type { EmulatorState, SliceRecord, SliverRecord } from "./model.js";
import { sliverState } from "./states.js";
import { nodePorts } from "./validate.js";
import { GraphView, nameOf, nodeId } from "./view.js";

/** A virtual machine that is up. */
export interface DesiredHost {
  /** Of its sliver: a node that was replaced is another host. */
  readonly id: string;
  readonly sliceId: string;
  readonly sliceName: string;
  readonly name: string;
  readonly site: string;
  /** The user that its image has, e.g. `ubuntu`. */
  readonly login: string;
  /** Its management address, as FABRIC's API tells it. */
  readonly address: string;
  /** Public keys that open it. */
  readonly keys: readonly string[];
  /** Id of the last call that asked for a reboot. */
  readonly reboot?: string;
  /** Its network cards' ports, in the order of its bus. */
  readonly cards: readonly DesiredCard[];
}

export interface DesiredCard {
  /** In small letters. */
  readonly mac: string;
  /** {@link DesiredNetwork.id} of the network it is on. */
  readonly network?: string;
}

/** A network that is up: one broadcast domain. */
export interface DesiredNetwork {
  /** Of its sliver; of services that share one subnet, the first's. */
  readonly id: string;
  readonly name: string;
  /** The router's address on it with the prefix's length, e.g. `10.128.1.1/24`; none for layer 2. */
  readonly gateways: readonly string[];
}

export interface HostPlan {
  readonly hosts: readonly DesiredHost[];
  readonly networks: readonly DesiredNetwork[];
}

/** Hosts and networks that should be up at `now`, in milliseconds since 1970. */
export function planHosts(state: EmulatorState, now: number): HostPlan {
  const hosts: DesiredHost[] = [];
  const networks: DesiredNetwork[] = [];
  const bySubnet = new Map<string, string>();
  for (const slice of state.slices) {
    const up = slice.slivers.filter((s) => isUp(s, slice, now));
    if (up.length === 0) continue;
    const view = new GraphView(slice.graph);
    const networkOfPort = new Map<string, string>();
    for (const sliver of up) {
      const service = sliver.kind === "NetworkServiceSliver" ? view.find(sliver.nodeId) : undefined;
      if (service === undefined) continue;
      const gateways = gatewaysOf(sliver);
      const subnet = gateways.map((g) => g.subnet).join(" ");
      const id = bySubnet.get(subnet) ?? sliver.id;
      if (id === sliver.id) {
        networks.push({ id, name: nameOf(service), gateways: gateways.map((g) => g.address) });
        if (subnet !== "") bySubnet.set(subnet, id);
      }
      for (const port of nodePorts(view, service)) networkOfPort.set(nodeId(port), id);
    }
    for (const sliver of up) {
      const node = sliver.kind === "NodeSliver" ? view.find(sliver.nodeId) : undefined;
      const address = sliver.grants[sliver.nodeId]?.MgmtIp;
      if (node?.props.Type !== "VM" || address === undefined) continue;
      const reboot = state.poas.findLast((p) => p.sliverId === sliver.id && p.operation === "reboot")?.id;
      hosts.push({
        id: sliver.id,
        sliceId: slice.id,
        sliceName: slice.name,
        name: nameOf(node),
        site: node.props.Site ?? "",
        login: loginOf(node.props.ImageRef ?? ""),
        address,
        keys: slice.sshKeys,
        ...(reboot === undefined ? {} : { reboot }),
        cards: cardsOf(view, node, sliver, networkOfPort),
      });
    }
  }
  return { hosts, networks };
}

/** The next moment at which {@link planHosts} may answer differently without any call; undefined when there is none. */
export function nextChange(state: EmulatorState, now: number): number | undefined {
  let next: number | undefined;
  for (const slice of state.slices) {
    for (const s of slice.slivers) {
      if (s.closedAt !== undefined) continue;
      for (const at of [s.ticketedAt, s.activeAt, s.failsAt ?? 0, s.change?.until ?? 0, slice.leaseEnd]) {
        if (at > now && (next === undefined || at < next)) next = at;
      }
    }
  }
  return next;
}

function isUp(sliver: SliverRecord, slice: SliceRecord, now: number): boolean {
  const { state } = sliverState(sliver, slice, now);
  return state === "Active" || state === "ActiveTicketed";
}

function cardsOf(
  view: GraphView,
  node: GraphNode,
  sliver: SliverRecord,
  networkOfPort: ReadonlyMap<string, string>,
): readonly DesiredCard[] {
  return view
    .components(node)
    .flatMap((component) => view.servicesOf(component))
    .flatMap((service) => view.ports(service))
    .flatMap((port) => {
      const mac = jsonText(sliver.grants[nodeId(port)]?.LabelAllocations).mac;
      if (typeof mac !== "string") return [];
      const network = networkOfPort.get(nodeId(port));
      return [{ mac: mac.toLowerCase(), ...(network === undefined ? {} : { network }) }];
    });
}

function gatewaysOf(sliver: SliverRecord): readonly { address: string; subnet: string }[] {
  const gateway = jsonText(sliver.grants[sliver.nodeId]?.Gateway);
  return [4, 6].flatMap((version) => {
    const address = gateway[`ipv${version}`];
    const subnet = gateway[`ipv${version}_subnet`];
    if (typeof address !== "string" || typeof subnet !== "string") return [];
    return [{ address: `${address}/${subnet.split("/")[1] ?? ""}`, subnet }];
  });
}

/** The emulator's own text, so it is JSON. */
function jsonText(text: string | undefined): Readonly<Record<string, unknown>> {
  return text === undefined ? {} : (JSON.parse(text) as Record<string, unknown>);
}
