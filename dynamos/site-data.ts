import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { freeCapacity } from "../infra/fabric/emulator/capacity.js";
import { type EmulatorState, emptyState } from "../infra/fabric/emulator/model.js";
import { parseScenario } from "../infra/fabric/emulator/scenario.js";
import { markOfElement } from "../infra/fabric/mark.js";
import { productionSites, sitesAsOf } from "../infra/fabric/sites.js";
import type { Problem } from "../infra/problem.js";
import { OUTSIDE_NODE } from "./placement.js";
import { EMULATOR, EMULATOR_STATE } from "./services.js";
import type { SiteRoom } from "./site-room.js";

/** Source: ControlFramework, orchestrator's API; no token is asked for. */
const publicSummary =
  "https://orchestrator.fabric-testbed.net/portalresources/summary?level=2&type=sites,hosts";
const summarySeconds = 3;

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
  const own = saved.slices.findLast((slice) =>
    slice.graph.nodes.some((node) => isOurs(markOfElement(node), project, stack)),
  );
  return freeCapacity(parseScenario(), saved, own === undefined ? {} : { without: own.id }).map(
    ({ site, maintenance, workers }) => ({
      site,
      maintenance,
      workers: workers.map(({ cores, ram, disk }) => ({ cores: cores.free, ram: ram.free, disk: disk.free })),
    }),
  );
}

function isOurs(mark: ReturnType<typeof markOfElement>, project: string, stack: string): boolean {
  return mark?.project === project && mark.stack === stack;
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

/** What FABRIC says in public of its sites, without an account; it must not hold up a preview. */
async function fabricSites(url = publicSummary): Promise<SiteData> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(summarySeconds * 1000) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return { sites: sitesInSummary(await response.json()), notes: [] };
  } catch (error) {
    const cause =
      error instanceof Error ? (error.cause as { readonly code?: string } | undefined)?.code : undefined;
    const reason = cause ?? (error instanceof Error ? error.message : String(error));
    return { sites: [], notes: [{ code: "FAB-SITES-DATED", ...datedNote(reason) }] };
  }
}

function datedNote(reason: string): Pick<Problem, "message" | "remedy"> {
  return {
    message: `FABRIC does not say what is free at its sites (${reason}); names are checked against the ${productionSites.length} sites of ${sitesAsOf}`,
    remedy: "room shows when the slice is made",
  };
}

const amounts = {
  cores_available: z.number().default(0),
  ram_available: z.number().default(0),
  disk_available: z.number().default(0),
};
const summarySchema = z.object({
  data: z
    .array(
      z.object({
        sites: z
          .array(z.looseObject({ name: z.string(), state: z.string().optional(), ...amounts }))
          .default([]),
        hosts: z.array(z.looseObject({ site: z.string(), ...amounts })).default([]),
      }),
    )
    .min(1),
});

/** The answer of `/portalresources/summary`, level 2: a site's workers are its hosts. A site whose hosts are not told counts as one. */
export function sitesInSummary(answer: unknown): SiteRoom[] {
  const { sites, hosts } = summarySchema.parse(answer).data[0] ?? { sites: [], hosts: [] };
  return sites.map((site) => {
    const own = hosts.filter((host) => host.site === site.name);
    return {
      site: site.name,
      maintenance: site.state !== undefined && site.state !== "Active",
      workers: (own.length > 0 ? own : [site]).map((w) => ({
        cores: w.cores_available,
        ram: w.ram_available,
        disk: w.disk_available,
      })),
    };
  });
}
