/** What follows from a slice's specification: networks, cards, generations of nodes, routes. Pure. */
import type { NodeSpec } from "./spec.js";

/** A node and what follows for it. */
export interface PlannedNode extends NodeSpec {
  readonly name: string;
  /** Its image with the format, as FABRIC's `ImageRef` has it: `default_ubuntu_22,qcow2`. */
  readonly image: string;
  /** The name of its site's network. */
  readonly network: string;
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

/** The topology of a slice; nodes and networks sorted by name, so that equal specifications give equal graphs. */
export interface Topology {
  readonly name: string;
  readonly nodes: readonly PlannedNode[];
  readonly networks: readonly PlannedNetwork[];
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

/** One FABNetv4 network a site, a card on each node. */
export function planTopology(spec: {
  readonly name: string;
  readonly nodes: Readonly<Record<string, NodeSpec>>;
}): Topology {
  const nodes = Object.entries(spec.nodes)
    .map(([name, node]) => planNode(name, node))
    .sort(byName);
  const sites = [...new Set(nodes.map((n) => n.site))].sort();
  const networks = sites.map((site) => ({
    name: networkName(site),
    site,
    nodes: nodes.filter((n) => n.site === site).map((n) => n.name),
  }));
  return { name: spec.name, nodes, networks };
}

function planNode(name: string, node: NodeSpec): PlannedNode {
  return {
    ...node,
    name,
    image: imageRef(node.image),
    network: networkName(node.site),
    generation: generationOf(node),
  };
}

/** The name of a site's network inside the slice: `net-amst`. */
export function networkName(site: string): string {
  return `net-${site.toLowerCase()}`;
}

/** FABRIC's `ImageRef`: name and format. */
export function imageRef(image: string): string {
  return image.includes(",") ? image : `${image},qcow2`;
}

/**
 * What a virtual machine cannot change while it lives: FABRIC ignores changes of site, size and image in a modify. A new generation is a
 * new node. Source: FIM's topology_diff, facts of ControlFramework 30e67e2.
 */
export function generationOf(node: Pick<NodeSpec, "site" | "cores" | "ram" | "disk" | "image">): string {
  return [node.site, node.cores, node.ram, node.disk, imageRef(node.image)].join("/");
}

/**
 * For each node, a route to each other site's subnet through the gateway of its own site.
 *
 * @param subnets by site; a site that is missing has no addresses yet and gets no routes
 */
export function planRoutes(
  topology: Topology,
  subnets: Readonly<Record<string, Subnet>>,
): Readonly<Record<string, readonly Route[]>> {
  const routes: [string, Route[]][] = topology.nodes.map((node) => {
    const local = subnets[node.site];
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
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
