import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { FabricApi } from "../infra/fabric/api.js";
import { boundedText } from "../infra/fabric/api-text.js";
import { parseJson } from "../infra/fabric/bounded-json.js";
import { projectTags, readSettings } from "../infra/fabric/credentials.js";
import { freeCapacity } from "../infra/fabric/emulator/capacity.js";
import { type EmulatorState, emptyState } from "../infra/fabric/emulator/model.js";
import { parseScenario } from "../infra/fabric/emulator/scenario.js";
import { readGraphml } from "../infra/fabric/graphml.js";
import { markOfElement } from "../infra/fabric/mark.js";
import { datedSites, sitesAsOf } from "../infra/fabric/sites.js";
import { isGone } from "../infra/fabric/slice-states.js";
import { fromGraph } from "../infra/fabric/slice-view.js";
import { readTokenFile } from "../infra/fabric/token-file.js";
import { InfraError, type Problem } from "../infra/problem.js";
import { OUTSIDE_NODE } from "./placement.js";
import { EMULATOR, EMULATOR_STATE } from "./services.js";
import { type SiteRoom, withoutSlice } from "./site-room.js";

/** Source: ControlFramework, orchestrator's API; no token is asked for. */
const publicSummary =
  "https://orchestrator.fabric-testbed.net/portalresources/summary?level=2&type=sites,hosts";
const summarySeconds = 3;
/** Bytes; 33 sites with their workers have some 100 KB. */
const summaryLimit = 8 * 1024 * 1024;
/** More are not read; FABRIC has 33 sites and some 200 workers. */
const mostSites = 1_000;
const mostHosts = 20_000;

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
  if (target === "local") return { sites: emulatedSites(who), notes: [] };
  const { sites, notes } = await fabricSites();
  if (sites.length === 0 || !existsSync(markFolder(who))) return { sites, notes };
  try {
    return { sites: withoutSlice(sites, await ownNodes(who)), notes };
  } catch (error) {
    const why = error instanceof InfraError ? error.problems[0]?.message : String(error);
    return { sites, notes: [...notes, { code: "FAB-OWN-SHARE", ...ownShareNote(why ?? "") }] };
  }
}

/** Where marks are kept: a stack without any has made no slice. */
function markFolder({ state }: SiteDataFor): string {
  return join(state, "slices");
}

function ownShareNote(why: string): Pick<Problem, "message" | "remedy"> {
  return {
    message: `what this stack's slice holds already is not counted as free (${why})`,
    remedy: "a site may look fuller than it is for this stack",
  };
}

/** The nodes of this stack's slice as FABRIC has them; none where there is no such slice. */
async function ownNodes({ project, stack }: SiteDataFor) {
  const settings = readSettings();
  const { idToken } = readTokenFile(settings.tokenFile);
  const api = new FabricApi({ host: settings.host, token: () => idToken, readSeconds: summarySeconds });
  const name = `${project}-${stack}`;
  const slice = (await api.slices({ name })).find((s) => s.name === name && !isGone(s.state));
  if (slice === undefined) return [];
  const { model } = await api.slice(slice.sliceId);
  const view = model === undefined ? undefined : fromGraph(readGraphml(model));
  // One of the name that is another's stays where it is, and holds what it holds.
  return view !== undefined && isOurs(view.mark, project, stack) ? view.nodes : [];
}

/** The rights of the token's project, or a note why they are not known. */
export function projectRights(
  target: "local" | "fabric",
  { state }: Pick<SiteDataFor, "state">,
): { readonly tags?: readonly string[]; readonly notes: readonly Problem[] } {
  // The emulator takes any token unless its scenario says otherwise; then this file has the one.
  const local = join(state, "secrets", "fabric-token");
  if (target === "local" && !existsSync(local)) return { notes: [] };
  try {
    const file = target === "local" ? local : readSettings().tokenFile;
    const tags = projectTags(readTokenFile(file).idToken);
    return tags === undefined ? { notes: [] } : { tags, notes: [] };
  } catch (error) {
    if (!(error instanceof InfraError)) throw error;
    return {
      notes: error.problems.map((p) => ({
        ...p,
        message: `${p.message}; what the project may do is not checked`,
      })),
    };
  }
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
      workers: workers.map(({ name, cores, ram, disk, components }) => ({
        name,
        ...{ cores: cores.free, ram: ram.free, disk: disk.free },
        devices: Object.fromEntries(Object.entries(components).map(([key, { free }]) => [key, free])),
      })),
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
    return { sites: sitesInSummary(parseJson(await boundedText(response.body, summaryLimit))), notes: [] };
  } catch (error) {
    const cause =
      error instanceof Error ? (error.cause as { readonly code?: string } | undefined)?.code : undefined;
    const reason =
      cause ??
      // One line for each value that is wrong would be a page.
      (error instanceof z.ZodError
        ? "its answer is not understood"
        : error instanceof Error
          ? error.message
          : String(error));
    return { sites: [], notes: [{ code: "FAB-SITES-DATED", ...datedNote(reason) }] };
  }
}

function datedNote(reason: string): Pick<Problem, "message" | "remedy"> {
  return {
    message: `FABRIC does not say what is free at its sites (${reason}); names are checked against the ${datedSites.length} sites of ${sitesAsOf}`,
    remedy: "room shows when the slice is made",
  };
}

const amounts = {
  cores_available: z.number().default(0),
  ram_available: z.number().default(0),
  disk_available: z.number().default(0),
  components: z
    .record(
      z.string(),
      z.looseObject({
        capacity: z.number().default(0),
        allocated: z.number().default(0),
        available: z.number().optional(),
      }),
    )
    .optional(),
};
const summarySchema = z.object({
  data: z
    .array(
      z.object({
        sites: z
          .array(z.looseObject({ name: z.string(), state: z.string().optional(), ...amounts }))
          .max(mostSites)
          .default([]),
        hosts: z
          .array(z.looseObject({ name: z.string().optional(), site: z.string(), ...amounts }))
          .max(mostHosts)
          .default([]),
      }),
    )
    .min(1),
});

/** The answer of `/portalresources/summary`, level 2: a site's workers are its hosts. A site whose hosts are not told counts as one. */
export function sitesInSummary(answer: unknown): SiteRoom[] {
  const { sites, hosts } = summarySchema.parse(answer).data[0] ?? { sites: [], hosts: [] };
  const workers = Map.groupBy(hosts, (host) => host.site);
  return sites.map((site) => {
    const own = workers.get(site.name) ?? [];
    return {
      site: site.name,
      maintenance: site.state !== undefined && site.state !== "Active",
      workers: (own.length > 0 ? own : [{ ...site, name: undefined }]).map((w) => ({
        ...(w.name === undefined ? {} : { name: w.name }),
        ...{ cores: w.cores_available, ram: w.ram_available, disk: w.disk_available },
        ...(w.components === undefined
          ? {}
          : {
              devices: Object.fromEntries(
                Object.entries(w.components).map(([key, { capacity, allocated, available }]) => [
                  key,
                  available ?? Math.max(0, capacity - allocated),
                ]),
              ),
            }),
      })),
    };
  });
}
