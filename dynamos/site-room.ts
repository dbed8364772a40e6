import type { Problem } from "../infra/problem.js";

/** What is free on one machine of a site. GB for RAM and disk. */
export interface Room {
  readonly cores: number;
  readonly ram: number;
  readonly disk: number;
}

/** What is free at a site. A node must fit into one worker, however much the site has in all. */
export interface SiteRoom {
  readonly site: string;
  readonly maintenance?: boolean;
  readonly workers: readonly Room[];
}

/** What a node asks for. */
export interface Wanted extends Room {
  readonly name: string;
  readonly site: string;
  /** What it will take: FABRIC rounds up to a flavour. Default: what it asks for. */
  readonly takes?: Room;
}

const UNITS = ["cores", "ram", "disk"] as const;
/** So many other sites are named in a message. */
const mostAlternatives = 3;

/**
 * The nodes that do not fit where they shall be, given all the others: each goes to the first worker with room, the largest first.
 * A site that the data do not have is left to the check of names.
 *
 * Codes: FAB-SITE-FULL, FAB-SITE-MAINTENANCE; paths `nodes.<name>.<what is short>`.
 */
export function roomProblems(nodes: readonly Wanted[], sites: readonly SiteRoom[]): Problem[] {
  const left = new Map(
    sites.map((s) => [
      s.site,
      { maintenance: s.maintenance ?? false, workers: s.workers.map((w) => ({ ...w })) },
    ]),
  );
  const problems = new Map<string, Problem>();
  const largestFirst = [...nodes].sort(
    (a, b) => b.cores - a.cores || b.ram - a.ram || b.disk - a.disk || (a.name < b.name ? -1 : 1),
  );
  for (const node of largestFirst) {
    const site = left.get(node.site);
    if (site === undefined) continue;
    if (site.maintenance) {
      problems.set(node.name, maintenance(node, alternatives(node, left)));
      continue;
    }
    const takes = node.takes ?? node;
    const worker = site.workers.find((w) => fits(takes, w));
    if (worker === undefined)
      problems.set(node.name, full(node, takes, site.workers, alternatives(node, left)));
    else for (const unit of UNITS) worker[unit] -= takes[unit];
  }
  return nodes.flatMap((node) => problems.get(node.name) ?? []);
}

const fits = (wanted: Room, free: Room): boolean => UNITS.every((unit) => wanted[unit] <= free[unit]);

function full(node: Wanted, takes: Room, workers: readonly Room[], elsewhere: readonly string[]): Problem {
  // What no worker has is what is short; where each lacks something else, the room for cores is what people think of first.
  const unit = UNITS.find((u) => workers.every((w) => w[u] < takes[u])) ?? "cores";
  const most = Math.max(0, ...workers.map((w) => w[unit]));
  const size = unit === "cores" ? "" : " GB";
  return {
    code: "FAB-SITE-FULL",
    path: `nodes.${node.name}.${unit}`,
    message: `${node[unit]}${size} asked${takes[unit] === node[unit] ? "" : ` (${takes[unit]} as FABRIC rounds it)`}, ${node.site} has ${most}${size} free`,
    remedy:
      elsewhere.length === 0 ? "no site has that much; ask for less" : `room at ${elsewhere.join(", ")}`,
  };
}

function maintenance(node: Wanted, elsewhere: readonly string[]): Problem {
  return {
    code: "FAB-SITE-MAINTENANCE",
    path: `nodes.${node.name}.site`,
    message: `${node.site} is in maintenance`,
    remedy: elsewhere.length === 0 ? "try again later" : `room at ${elsewhere.join(", ")}`,
  };
}

function alternatives(
  node: Wanted,
  left: ReadonlyMap<string, { readonly maintenance: boolean; readonly workers: readonly Room[] }>,
): string[] {
  return [...left]
    .filter(
      ([name, site]) =>
        name !== node.site && !site.maintenance && site.workers.some((w) => fits(node.takes ?? node, w)),
    )
    .map(([name]) => name)
    .sort()
    .slice(0, mostAlternatives);
}
