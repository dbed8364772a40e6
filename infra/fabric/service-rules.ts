/**
 * What FABRIC's information model asks of network services: how many interfaces, at how many sites, what must be set. One place for networks that a
 * person writes (network-rules.ts) and for those in a graph (graph-rules.ts). Sources: fabric-fim 2.0.0 (slivers/network_service.py) and, for
 * the least number of sites and for shared cards, FABlib 2.0.9 (network_service.py), which FIM leaves to the server.
 */
import type { Problem } from "../problem.js";

export interface ServiceRule {
  readonly layer: "L2" | "L3";
  readonly interfaces: { readonly least: number; readonly most?: number };
  readonly sites: { readonly least?: number; readonly most?: number };
}

const oneSite = { most: 1 } as const;
const fabnet: ServiceRule = { layer: "L3", interfaces: { least: 1 }, sites: oneSite };
const inner: ServiceRule = { layer: "L2", interfaces: { least: 1 }, sites: oneSite };

const rules: Readonly<Record<string, ServiceRule>> = {
  FABNetv4: fabnet,
  FABNetv6: fabnet,
  FABNetv4Ext: fabnet,
  FABNetv6Ext: fabnet,
  L2Bridge: { layer: "L2", interfaces: { least: 1 }, sites: oneSite },
  L2STS: { layer: "L2", interfaces: { least: 2 }, sites: { least: 2, most: 2 } },
  L2PTP: { layer: "L2", interfaces: { least: 2, most: 2 }, sites: { least: 2, most: 2 } },
  L3VPN: { layer: "L3", interfaces: { least: 1 }, sites: {} },
  PortMirror: { layer: "L2", interfaces: { least: 1, most: 1 }, sites: oneSite },
  P4: inner,
  OVS: inner,
  MPLS: inner,
  VLAN: inner,
};

/** The rule for FIM's type of a service; undefined for one that FABRIC does not make. */
export function serviceRule(type: string): ServiceRule | undefined {
  return Object.hasOwn(rules, type) ? rules[type] : undefined;
}

/** Services inside cards, switches and facilities; the others are networks of the slice. */
export const innerServices: ReadonlySet<string> = new Set(["P4", "OVS", "MPLS", "VLAN"]);

/** One interface of a node on a service. */
export interface JoinedInterface {
  /** For messages. */
  readonly name: string;
  readonly site: string;
  readonly node: string;
  /** A port that the node shares with others. */
  readonly shared: boolean;
  /** The worker that its node is pinned to. */
  readonly host?: string | undefined;
}

/** Counts of interfaces and sites, and what cards the type can do with. */
export function serviceProblems(
  type: string,
  interfaces: readonly JoinedInterface[],
): Pick<Problem, "code" | "message" | "remedy">[] {
  const rule = serviceRule(type);
  if (rule === undefined) return [];
  const sites = [...new Set(interfaces.map((i) => i.site))].sort();
  const problems = [
    countProblem(type, rule, interfaces.length),
    siteProblem(type, rule, sites, interfaces.length),
  ];
  const shared = interfaces.filter((i) => i.shared);
  if (type === "L2PTP" && shared.length > 0) {
    problems.push({
      code: "FAB-NETWORK-SHARED",
      message: `an L2PTP cannot use the shared port ${shared[0]?.name}`,
      remedy: "give the node a card of its own under nics, e.g. NIC_ConnectX_5, or use L2STS",
    });
  }
  if (type === "L2STS" && interfaces.length > 2) problems.push(hostProblem(shared));
  return problems.filter((p) => p !== undefined);
}

type Found = Pick<Problem, "code" | "message" | "remedy"> | undefined;

function countProblem(type: string, { interfaces: { least, most } }: ServiceRule, n: number): Found {
  if (n >= least && (most === undefined || n <= most)) return undefined;
  const limit = least === most ? `exactly ${least}` : n < least ? `at least ${least}` : `at most ${most}`;
  return {
    code: "FAB-NETWORK-INTERFACES",
    message: `${n} ${n === 1 ? "interface" : "interfaces"}, ${type} takes ${limit}`,
    remedy: n < least ? "name more interfaces" : "use one network for each pair",
  };
}

function siteProblem(
  type: string,
  { sites: { least = 1, most } }: ServiceRule,
  sites: readonly string[],
  interfaces: number,
): Found {
  const n = sites.length;
  // Too few interfaces are told of as that.
  const few = n < least && interfaces >= least;
  if (!few && (most === undefined || n <= most)) return undefined;
  const named = `${n === 1 ? "one site" : `${n} sites`} (${sites.join(", ")})`;
  if (few) {
    return {
      code: "FAB-NETWORK-SITES",
      message: `${type} at ${named}, it joins two`,
      remedy: "use L2Bridge within a site",
    };
  }
  return {
    code: "FAB-NETWORK-SITES",
    message: `${type} spans ${named}, it takes ${most === 1 ? "one" : most}`,
    remedy: type.startsWith("FABNet")
      ? `write one ${type} for each site: FABRIC routes between them`
      : type === "L2Bridge"
        ? "use L2STS between two sites, or one FABNetv4 for each site"
        : "join the sites in pairs, or use one FABNetv4 for each site",
  };
}

/** FABlib: with more than two interfaces, shared cards at one site must be on different workers, which only a pin makes sure. */
function hostProblem(shared: readonly JoinedInterface[]): Found {
  const bySite = new Map<string, JoinedInterface[]>();
  for (const i of shared) bySite.set(i.site, [...(bySite.get(i.site) ?? []), i]);
  for (const [site, list] of bySite) {
    const nodes = new Set(list.map((i) => i.node));
    const hosts = new Set(list.map((i) => i.host));
    if (nodes.size < 2 || (hosts.size === nodes.size && !hosts.has(undefined))) continue;
    return {
      code: "FAB-NETWORK-HOSTS",
      message: `an L2STS of more than two interfaces takes shared cards at ${site} only on different workers`,
      remedy: `pin the nodes there to different workers (host), or give them dedicated cards`,
    };
  }
  return undefined;
}
