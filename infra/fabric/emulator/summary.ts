/** Site data as the orchestrator's JSON summary has it. Source: aggregate_bqm_plugin.py of the ControlFramework. */
import type { Amount, SiteCapacity } from "./capacity.js";

export interface SummaryWish {
  /** 0 and 2: with workers. */
  readonly level: number;
  readonly includes?: string | undefined;
  readonly excludes?: string | undefined;
  /** Comma-separated: sites, hosts, links, facility_ports. */
  readonly types?: string | undefined;
}

/** The sites of a query, by its `includes` and `excludes`. */
export function chosenSites<T extends { readonly site: string }>(
  sites: readonly T[],
  includes?: string,
  excludes?: string,
): readonly T[] {
  const list = (text?: string) =>
    (text ?? "")
      .split(",")
      .map((s) => s.trim().toUpperCase())
      .filter((s) => s !== "");
  const wanted = list(includes);
  const unwanted = list(excludes);
  return sites.filter((s) => (wanted.length === 0 || wanted.includes(s.site)) && !unwanted.includes(s.site));
}

/** The one element of `data`. */
export function resourceSummary(
  sites: readonly SiteCapacity[],
  wish: SummaryWish,
): Readonly<Record<string, unknown>> {
  const chosen = chosenSites(sites, wish.includes, wish.excludes).filter((s) => s.workers.length > 0);
  const hosts = chosen.flatMap((s) =>
    s.workers.map((w) => ({
      name: w.name,
      ...common(s),
      site: s.site,
      ...amounts(w),
      components: mapped(w.components, (a) => ({ capacity: a.total, allocated: a.total - a.free })),
    })),
  );
  const all: Readonly<Record<string, unknown>> = {
    sites: chosen.map((s) => ({
      name: s.site,
      ...common(s),
      ...amounts(s),
      components: mapped(s.components, (a) => ({
        capacity: a.total,
        allocated: a.total - a.free,
        available: a.free,
      })),
      hosts_count: s.workers.length,
    })),
    hosts: wish.level === 2 || wish.level === 0 ? hosts : [],
    links: [],
    facility_ports: [],
  };
  if (wish.types === undefined || wish.types === "") return all;
  const types = wish.types.split(",").map((t) => t.trim().toLowerCase());
  return Object.fromEntries(Object.entries(all).filter(([name]) => types.includes(name)));
}

function common(s: SiteCapacity): Readonly<Record<string, unknown>> {
  return { state: s.maintenance ? "Maint" : "Active", ptp_capable: false, ipv4_management: false };
}

function amounts(of: {
  readonly cores: Amount;
  readonly ram: Amount;
  readonly disk: Amount;
}): Readonly<Record<string, number>> {
  const three = (name: string, a: Amount) => ({
    [`${name}_capacity`]: a.total,
    [`${name}_allocated`]: a.total - a.free,
    [`${name}_available`]: a.free,
  });
  return { ...three("cores", of.cores), ...three("ram", of.ram), ...three("disk", of.disk) };
}

function mapped<T>(of: Readonly<Record<string, Amount>>, to: (a: Amount) => T): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(of).map(([key, amount]) => [key, to(amount)]));
}
