/**
 * What a site has and what is free of it: pure functions of the scenario and the saved state, so a preview needs no running emulator.
 */
import type { EmulatorState, Hold } from "./model.js";
import type { Scenario, Site, Worker } from "./scenario.js";
import { holdsCapacity } from "./states.js";

export interface Amount {
  readonly total: number;
  readonly free: number;
}

export interface WorkerCapacity {
  readonly name: string;
  readonly cores: Amount;
  /** GB */
  readonly ram: Amount;
  /** GB */
  readonly disk: Amount;
  /** `Type-Model` to how many. */
  readonly components: Readonly<Record<string, Amount>>;
}

export interface SiteCapacity {
  readonly site: string;
  readonly maintenance: boolean;
  readonly cores: Amount;
  readonly ram: Amount;
  readonly disk: Amount;
  readonly components: Readonly<Record<string, Amount>>;
  /** A VM must fit into one of these, however much the site has in all. */
  readonly workers: readonly WorkerCapacity[];
}

export interface CapacityOptions {
  /** Milliseconds since 1970. Default: this moment. */
  readonly now?: number;
  /** Id of a slice whose own share counts as free: what it would have if it were asked for anew. */
  readonly without?: string;
}

/** What every living sliver holds. */
export function holds(state: EmulatorState, now: number, without?: string): readonly Hold[] {
  return state.slices
    .filter((slice) => slice.id !== without)
    .flatMap((slice) => slice.slivers.filter((s) => holdsCapacity(s, slice, now)).map((s) => s.hold));
}

/** Capacity of every site of the scenario, in its order. */
export function freeCapacity(
  scenario: Scenario,
  state: EmulatorState,
  options: CapacityOptions = {},
): readonly SiteCapacity[] {
  const taken = holds(state, options.now ?? Date.now(), options.without);
  return [...scenario.sites.values()].map((site) => siteCapacity(site, taken));
}

/** Capacity of one site when these holds are taken. */
export function siteCapacity(site: Site, taken: readonly Hold[]): SiteCapacity {
  const workers = site.workers.map((w) =>
    workerCapacity(
      w,
      taken.filter((h) => h.worker === w.name),
    ),
  );
  return {
    site: site.name,
    maintenance: site.maintenance,
    cores: sum(workers.map((w) => w.cores)),
    ram: sum(workers.map((w) => w.ram)),
    disk: sum(workers.map((w) => w.disk)),
    components: sumComponents(workers),
    workers,
  };
}

function workerCapacity(worker: Worker, taken: readonly Hold[]): WorkerCapacity {
  const left = (total: number, used: number): Amount => ({ total, free: Math.max(0, total - used) });
  const used = (of: (h: Hold) => number) => taken.reduce((n, h) => n + of(h), 0);
  const components: Record<string, Amount> = {};
  for (const [key, total] of Object.entries(worker.components)) {
    components[key] = left(
      total,
      used((h) => h.devices.filter((d) => d.key === key).length),
    );
  }
  return {
    name: worker.name,
    cores: left(
      worker.cores,
      used((h) => h.cores),
    ),
    ram: left(
      worker.ram,
      used((h) => h.ram),
    ),
    disk: left(
      worker.disk,
      used((h) => h.disk),
    ),
    components,
  };
}

function sum(amounts: readonly Amount[]): Amount {
  return amounts.reduce((a, b) => ({ total: a.total + b.total, free: a.free + b.free }), {
    total: 0,
    free: 0,
  });
}

function sumComponents(workers: readonly WorkerCapacity[]): Record<string, Amount> {
  const all: Record<string, Amount> = {};
  for (const w of workers) {
    for (const [key, amount] of Object.entries(w.components))
      all[key] = sum([all[key] ?? { total: 0, free: 0 }, amount]);
  }
  return all;
}
