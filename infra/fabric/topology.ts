/** What follows from a slice's specification: networks, cards, generations of nodes, routes. Pure. */
import { createHash } from "node:crypto";
import type { NetworkSpec, NetworkType } from "./network-spec.js";
import type { NodeSpec } from "./node-spec.js";
import { networkName } from "./topology-names.js";

export { networkName };

/** A node and what follows for it. */
export interface PlannedNode extends NodeSpec {
  readonly name: string;
  /** Its image with the format, as FABRIC's `ImageRef` has it: `default_ubuntu_22,qcow2`. */
  readonly image: string;
  /** The name of its site's network, where it is on it. */
  readonly network?: string;
  /** Changes exactly when FABRIC cannot change the node in place: see {@link generationOf}. */
  readonly generation: string;
}

/** One FABNetv4 network: FABRIC allows it one site only. */
export interface PlannedNetwork {
  readonly name: string;
  readonly site: string;
  /** Names of the nodes on it, sorted. */
  readonly nodes: readonly string[];
}

/** How a node is on a network that was asked for. */
export interface PlannedInterface {
  readonly node: string;
  /** Name of the node's card. */
  readonly card: string;
  /** The card is there for this network alone: a NIC_Basic. */
  readonly ownCard: boolean;
  readonly port: number;
  /** Tag of the sub-interface, where it is one. */
  readonly vlan?: number;
}

/** A network that was asked for, beside those that the sites have anyway. */
export interface PlannedService {
  readonly name: string;
  readonly type: NetworkType;
  /** Its site, when it has one only. */
  readonly site?: string;
  /** Gbps. */
  readonly bandwidth?: number;
  /** Sorted. */
  readonly interfaces: readonly PlannedInterface[];
}

/** The topology of a slice; nodes and networks sorted by name, so that equal specifications give equal graphs. */
export interface Topology {
  readonly name: string;
  readonly nodes: readonly PlannedNode[];
  /** One FABNetv4 a site, where some node is on it. */
  readonly networks: readonly PlannedNetwork[];
  /** Further networks. */
  readonly services: readonly PlannedService[];
}

/** Where a site's network got its addresses. Known once FABRIC has allocated them. */
export interface Subnet {
  /** e.g. `10.128.3.0/24` */
  readonly subnet: string;
  /** e.g. `10.128.3.1` */
  readonly gateway: string;
}

/** On `node`, traffic for `to` goes through the local gateway `via`. */
export interface Route {
  readonly to: string;
  readonly via: string;
  /** The site behind it. */
  readonly site: string;
}

/** One FABNetv4 network a site with a card on each node that wants it, and the networks that were asked for. */
export function planTopology(spec: {
  readonly name: string;
  readonly nodes: Readonly<Record<string, NodeSpec>>;
  readonly networks?: Readonly<Record<string, NetworkSpec>> | undefined;
}): Topology {
  const nodes = Object.entries(spec.nodes)
    .map(([name, node]) => planNode(name, node))
    .sort(byName);
  const bySite = new Map<string, string[]>();
  for (const { site, name, network } of nodes) {
    if (network === undefined) continue;
    const there = bySite.get(site);
    if (there === undefined) bySite.set(site, [name]);
    else there.push(name);
  }
  const networks = [...bySite.keys()]
    .sort()
    .map((site) => ({ name: networkName(site), site, nodes: bySite.get(site) ?? [] }));
  const siteOf = new Map(nodes.map((n) => [n.name, n.site]));
  const services = Object.entries(spec.networks ?? {})
    .map(([name, network]) => planService(name, network, siteOf))
    .sort(byName);
  return { name: spec.name, nodes, networks, services };
}

function planService(
  name: string,
  { type, interfaces, bandwidth }: NetworkSpec,
  siteOf: ReadonlyMap<string, string>,
): PlannedService {
  const planned = interfaces
    .map(({ node, nic, port = 1, vlan }): PlannedInterface => {
      const card = { node, card: nic ?? name, ownCard: nic === undefined, port };
      return vlan === undefined ? card : { ...card, vlan };
    })
    .sort(
      (a, b) =>
        compare(a.node, b.node) ||
        compare(a.card, b.card) ||
        a.port - b.port ||
        (a.vlan ?? 0) - (b.vlan ?? 0),
    );
  const sites = new Set(planned.map((i) => siteOf.get(i.node) ?? ""));
  const [site] = sites;
  return {
    name,
    type,
    ...(sites.size === 1 && site !== undefined ? { site } : {}),
    ...(bandwidth === undefined ? {} : { bandwidth }),
    interfaces: planned,
  };
}

function planNode(name: string, node: NodeSpec): PlannedNode {
  return {
    ...node,
    name,
    image: imageRef(node.image),
    ...(node.siteNetwork === false ? {} : { network: networkName(node.site) }),
    generation: generationOf(node),
  };
}

/** What a node's own resource shows of it: what is said, and no more. */
export function nodeArgs(planned: PlannedNode) {
  const { name, site, cores, ram, disk, image, components, host, bootScript, siteNetwork } = planned;
  return {
    ...{ name, site, cores, ram, disk, image, components },
    ...(host === undefined ? {} : { host }),
    ...(bootScript === undefined ? {} : { bootScript }),
    ...(siteNetwork === undefined ? {} : { siteNetwork }),
  };
}

/** FABRIC's `ImageRef`: name and format. */
export function imageRef(image: string): string {
  return image.includes(",") ? image : `${image},qcow2`;
}

/** What decides whether a virtual machine can stay. */
export type Machine = Pick<NodeSpec, "site" | "cores" | "ram" | "disk" | "image"> &
  Partial<Pick<NodeSpec, "host" | "bootScript">>;

/**
 * What a virtual machine cannot change while it lives: FABRIC ignores changes of site, size, image and worker in a modify, and a boot script
 * runs at the first start only. A new generation is a new node. Source: FIM's topology_diff, facts of ControlFramework 30e67e2.
 */
export function generationOf({ site, cores, ram, disk, image, host, bootScript }: Machine): string {
  return [
    ...[site, cores, ram, disk, imageRef(image)],
    ...(host === undefined ? [] : [`host=${host}`]),
    ...(bootScript === undefined ? [] : [`boot=${digest(bootScript)}`]),
  ].join("/");
}

/**
 * Whether the machine that there is will do for the one that is wanted. A wish that leaves the worker open takes any, and one without a boot script
 * does not mind what ran.
 */
export function sameMachine(wanted: Machine, there: Machine): boolean {
  const { host, bootScript, ...rest } = there;
  return (
    generationOf(wanted) ===
    generationOf({
      ...rest,
      ...(wanted.host === undefined || host === undefined ? {} : { host }),
      ...(wanted.bootScript === undefined || bootScript === undefined ? {} : { bootScript }),
    })
  );
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/**
 * For each node, a route to each other site's subnet through the gateway of its own site; none for one that is not on its site's network.
 *
 * @param subnets by site; a site that is missing has no addresses yet and gets no routes
 */
export function planRoutes(
  topology: Topology,
  subnets: Readonly<Record<string, Subnet>>,
): Readonly<Record<string, readonly Route[]>> {
  const routes: [string, Route[]][] = topology.nodes.map((node) => {
    const local = node.network === undefined ? undefined : subnets[node.site];
    const others = topology.networks.filter((n) => n.site !== node.site);
    return [
      node.name,
      others.flatMap(({ site }) => {
        const other = subnets[site];
        return local === undefined || other === undefined
          ? []
          : [{ to: other.subnet, via: local.gateway, site }];
      }),
    ];
  });
  return Object.fromEntries(routes);
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return compare(a.name, b.name);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
