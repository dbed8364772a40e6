import { readFileSync } from "node:fs";
import { join } from "node:path";
import { freeCapacity } from "../infra/fabric/emulator/capacity.js";
import { type EmulatorState, emptyState } from "../infra/fabric/emulator/model.js";
import { parseScenario } from "../infra/fabric/emulator/scenario.js";
import { markOfElement } from "../infra/fabric/mark.js";
import { productionSites, sitesAsOf } from "../infra/fabric/sites.js";
import type { Problem } from "../infra/problem.js";
import { OUTSIDE_NODE } from "./placement.js";
import { EMULATOR } from "./services.js";
import type { SiteRoom } from "./site-room.js";

/** Whose slice's share counts as free. */
export interface SiteDataFor {
  /** The stack's state folder, absolute. */
  readonly state: string;
  readonly project: string;
  readonly stack: string;
}

export interface SiteData {
  readonly sites: readonly SiteRoom[];
  readonly notes: readonly Problem[];
}

/** What is free at each site: on this machine from the emulator's files, with FABRIC from its public summary. */
export async function siteData(target: "local" | "fabric", who: SiteDataFor): Promise<SiteData> {
  return target === "local" ? { sites: emulatedSites(who), notes: [] } : await fabricSites();
}

/** The emulator's sites as its saved state has them, whether it runs or not. */
export function emulatedSites({ state, project, stack }: SiteDataFor): SiteRoom[] {
  const saved = savedState(state);
  const own = saved.slices.find((slice) => slice.graph.nodes.some((node) => isOurs(markOfElement(node), project, stack)));
  return freeCapacity(parseScenario(), saved, own === undefined ? {} : { without: own.id }).map(({ site, maintenance, workers }) => ({
    site,
    maintenance,
    workers: workers.map(({ cores, ram, disk }) => ({ cores: cores.free, ram: ram.free, disk: disk.free })),
  }));
}

function isOurs(mark: ReturnType<typeof markOfElement>, project: string, stack: string): boolean {
  return mark?.project === project && mark.stack === stack;
}

function savedState(state: string): EmulatorState {
  try {
    return JSON.parse(readFileSync(join(state, "nodes", OUTSIDE_NODE, EMULATOR, "state.json"), "utf8")) as EmulatorState;
  } catch (error) {
    // No file: no emulator yet, so all is free. A damaged one is told of by the emulator itself, at its start.
    if ((error as NodeJS.ErrnoException).code === "ENOENT" || error instanceof SyntaxError) return emptyState;
    throw error;
  }
}

async function fabricSites(): Promise<SiteData> {
  return {
    sites: [],
    notes: [{ code: "FAB-SITES-DATED", message: `room at sites is not known; names are checked against ${productionSites.length} sites as of ${sitesAsOf}` }],
  };
}
