/** What a slice that is only read shows, from its graph. Pure. */
import { fimType } from "./fim.js";
import type { FabricHost } from "./host.js";
import type { NetworkView, NodeView, SliceView } from "./slice-view.js";
import type { Route } from "./topology.js";

/** A node of a slice that is only read: all that a FabricHost has, and size and state. What is not known (yet) is an empty text. */
export interface ExistingHost extends FabricHost {
  /** FABRIC's word for its sliver, e.g. `Active`, `Failed`. */
  readonly state: string;
  readonly cores: number;
  /** GB */
  readonly ram: number;
  /** GB */
  readonly disk: number;
  /** As FABRIC has it, e.g. `default_rocky_9,qcow2`. */
  readonly image: string;
  /** Devices without ports, by FABlib's model names. */
  readonly components: readonly string[];
}

/** A network of a slice that is only read. What is not known (yet) is an empty text. */
export interface ExistingNetwork {
  readonly name: string;
  /** FIM's word, e.g. `FABNetv4` or `L2Bridge`. */
  readonly type: string;
  /** Empty for a network over several sites. */
  readonly site: string;
  /** e.g. `10.128.3.0/24`; empty for a network without addresses. */
  readonly subnet: string;
  readonly gateway: string;
  readonly state: string;
  /** Names of the nodes on it, sorted. */
  readonly nodes: readonly string[];
}

export function existingHosts(view: SliceView): ExistingHost[] {
  return view.nodes.map((node) => ({
    name: node.name,
    site: node.site,
    managementIp: node.managementIp ?? "",
    address: node.dataAddress ?? "",
    mac: node.mac ?? "",
    routes: routesOf(node, view.networks),
    state: node.reservation.state ?? "",
    cores: node.cores,
    ram: node.ram,
    disk: node.disk,
    image: node.image,
    components: [...node.components],
  }));
}

export function existingNetworks(view: SliceView): ExistingNetwork[] {
  const further = view.services.map((s) => ({
    ...s,
    nodes: [...new Set(s.interfaces.map((i) => i.node))].sort(),
  }));
  const ofSites = view.networks
    .filter((n) => !view.services.some((s) => s.nodeId === n.nodeId))
    .map((n) => ({ ...n, type: fimType.fabnetv4 }));
  return [...ofSites, ...further]
    .map(({ name, type, site, subnet, gateway, reservation, nodes }) => ({
      name,
      type,
      site: site ?? "",
      subnet: subnet ?? "",
      gateway: gateway ?? "",
      state: reservation.state ?? "",
      nodes: [...nodes],
    }))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** To each other network with addresses, through the gateway of the node's own: all FABNet networks of a kind reach each other. */
function routesOf(node: NodeView, networks: readonly NetworkView[]): Route[] {
  const via = networks.find((n) => n.name === node.network)?.gateway;
  if (via === undefined) return [];
  return networks
    .filter((n) => n.name !== node.network && isSix(n.gateway) === isSix(via))
    .flatMap(({ subnet, site }) => (subnet === undefined ? [] : [{ to: subnet, via, site }]));
}

function isSix(address: string | undefined): boolean {
  return address?.includes(":") === true;
}
