import { readFileSync } from "node:fs";
import { join } from "node:path";
import { freeCapacity } from "../infra/fabric/emulator/capacity.js";
import { type EmulatorState, emptyState } from "../infra/fabric/emulator/model.js";
import { parseScenario } from "../infra/fabric/emulator/scenario.js";
import { lookAt } from "../infra/fabric/endpoint-look.js";
import { markOfElement } from "../infra/fabric/mark.js";
import { isOurs, type SiteData, siteData as sitesOfFabric } from "../infra/fabric/site-data.js";
import type { SiteRoom } from "../infra/fabric/site-room.js";
import { OUTSIDE_NODE } from "./placement.js";
import { EMULATOR, EMULATOR_STATE } from "./services.js";

/** Whose slice's share counts as free. */
export interface SiteDataFor {
  /** The stack's state folder, absolute. */
  readonly state: string;
  readonly project: string;
  readonly stack: string;
}

/** What is free at each site: on this machine from the emulator's files, with FABRIC from itself (at most 3 s). */
export async function siteData(target: "local" | "fabric", who: SiteDataFor): Promise<SiteData> {
  if (target === "local") return { sites: emulatedSites(who), notes: [] };
  const { state, project, stack } = who;
  const own = { name: `${project}-${stack}`, owner: { project, stack }, state };
  return await sitesOfFabric(lookAt({ kind: "fabric" }), own);
}

/** The emulator's sites as its saved state has them, whether it runs or not. */
export function emulatedSites({ state, project, stack }: SiteDataFor): SiteRoom[] {
  const saved = savedState(state);
  const own = saved.slices.findLast((slice) =>
    slice.graph.nodes.some((node) => isOurs(markOfElement(node), { project, stack })),
  );
  return freeCapacity(parseScenario(), saved, own === undefined ? {} : { without: own.id }).map(
    ({ site, maintenance, workers }) => ({
      site,
      maintenance,
      workers: workers.map(({ name, cores, ram, disk, components }) => ({
        name,
        ...{ cores: cores.free, ram: ram.free, disk: disk.free },
        devices: Object.fromEntries(Object.entries(components).map(([key, { free }]) => [key, free])),
      })),
    }),
  );
}

function savedState(state: string): EmulatorState {
  try {
    return JSON.parse(
      readFileSync(join(state, "nodes", OUTSIDE_NODE, EMULATOR, EMULATOR_STATE), "utf8"),
    ) as EmulatorState;
  } catch (error) {
    // No file: no emulator yet, so all is free. A damaged one is told of by the emulator itself, at its start.
    if ((error as NodeJS.ErrnoException).code === "ENOENT" || error instanceof SyntaxError) return emptyState;
    throw error;
  }
}
