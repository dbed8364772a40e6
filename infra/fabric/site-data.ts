/** What is free at the sites, as FABRIC says itself: in public, and in one's own slice. It never holds up a preview: what is not known is a note. */
import { z } from "zod";
import { InfraError, type Problem } from "../problem.js";
import { baseUrl, FabricApi } from "./api.js";
import { boundedText } from "./api-text.js";
import { parseJson } from "./bounded-json.js";
import { projectTags } from "./credentials.js";
import type { EndpointLook } from "./endpoint-look.js";
import { readGraphml } from "./graphml.js";
import type { SliceMark } from "./mark.js";
import { knownMarks } from "./mark-file.js";
import { type SiteRoom, withoutSlice } from "./site-room.js";
import { sitesInSummary } from "./site-summary.js";
import { datedSites, sitesAsOf } from "./sites.js";
import { isGone } from "./slice-states.js";
import { fromGraph, type NodeView } from "./slice-view.js";

/** No token is asked for. Source: ControlFramework, orchestrator's API. */
const publicSummary = "/portalresources/summary?level=2&type=sites,hosts";
/** For the summary and one's own slice together. */
const lookSeconds = 3;
/** Bytes; 33 sites with their workers have some 100 KB. */
const summaryLimit = 8 * 1024 * 1024;

/** The slice whose share counts as free. */
export interface OwnSlice {
  readonly name: string;
  readonly owner: { readonly project: string; readonly stack: string };
  /** The stack's state folder, absolute. */
  readonly state: string;
  /** It was made by an earlier run, whatever the state folder knows of it. */
  readonly made?: boolean;
  /** Names of nodes that stay as they are: what they hold stays taken. Default: none. */
  readonly settled?: ReadonlySet<string>;
}

export interface SiteData {
  /** Empty when nobody says. */
  readonly sites: readonly SiteRoom[];
  readonly notes: readonly Problem[];
  /** What one's own slice holds is not known and counts as taken: that something does not fit says nothing then. */
  readonly ownUnknown?: true;
}

/** What is free at each site where an endpoint is, what one's own slice holds included. Takes at most 3 s. */
export async function siteData(look: EndpointLook, own: OwnSlice): Promise<SiteData> {
  const signal = AbortSignal.timeout(lookSeconds * 1000);
  const [known, held] = await Promise.all([publicSites(look, signal), ownNodes(look, own, signal)]);
  if (known.sites.length === 0) return known;
  if ("why" in held) return { ...known, notes: [...known.notes, ownShareNote(held.why)], ownUnknown: true };
  return { ...known, sites: withoutSlice(known.sites, held.nodes) };
}

/** The rights of the token's project, or a note why they are not known. */
export function projectRights(look: EndpointLook): {
  readonly tags?: readonly string[];
  readonly notes: readonly Problem[];
} {
  try {
    const tags = projectTags(look.token());
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

async function publicSites(look: EndpointLook, signal: AbortSignal): Promise<SiteData> {
  try {
    const host = look.host();
    if (host === undefined) return { sites: [], notes: [] };
    const response = await fetch(baseUrl(host) + publicSummary, { signal });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return { sites: sitesInSummary(parseJson(await boundedText(response.body, summaryLimit))), notes: [] };
  } catch (error) {
    return { sites: [], notes: [datedNote(reasonOf(error))] };
  }
}

/** The nodes of one's own slice as FABRIC has them; none where there is no such slice. */
async function ownNodes(
  look: EndpointLook,
  { name, owner, state, made, settled }: OwnSlice,
  signal: AbortSignal,
): Promise<{ readonly nodes: readonly NodeView[] } | { readonly why: string }> {
  try {
    const host = look.host();
    const asked = made === true || Object.hasOwn(knownMarks(state), name);
    if (!asked || host === undefined) return { nodes: [] };
    const api = new FabricApi({ host, token: look.token, readSeconds: lookSeconds, signal });
    const slice = (await api.slices({ name })).find((s) => s.name === name && !isGone(s.state));
    const model = slice === undefined ? undefined : (await api.slice(slice.sliceId)).model;
    if (model === undefined) return { nodes: [] };
    const { mark, nodes } = fromGraph(readGraphml(model));
    // One of the name that is another's stays where it is, and holds what it holds.
    return { nodes: isOurs(mark, owner) ? nodes.filter((n) => settled?.has(n.name) !== true) : [] };
  } catch (error) {
    return { why: reasonOf(error) };
  }
}

/** Whether a mark is of this project and stack. */
export function isOurs(mark: SliceMark | undefined, owner: OwnSlice["owner"]): boolean {
  return mark?.project === owner.project && mark.stack === owner.stack;
}

function reasonOf(error: unknown): string {
  if (error instanceof InfraError) return error.problems[0]?.message ?? error.code;
  // One line for each value that is wrong would be a page.
  if (error instanceof z.ZodError) return "its answer is not understood";
  if (!(error instanceof Error)) return String(error);
  return (error.cause as { readonly code?: string } | undefined)?.code ?? error.message;
}

function ownShareNote(why: string): Problem {
  return {
    code: "FAB-OWN-SHARE",
    message: `what this stack's slice holds already is not counted as free (${why})`,
    remedy: "a site may look fuller than it is, so room shows when the slice is made or changed",
  };
}

function datedNote(reason: string): Problem {
  return {
    code: "FAB-SITES-DATED",
    message: `FABRIC does not say what is free at its sites (${reason}); names are checked against the ${datedSites.length} sites of ${sitesAsOf}`,
    remedy: "room shows when the slice is made",
  };
}
