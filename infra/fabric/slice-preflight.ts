/** What would keep a slice from being made or changed as asked, said at the preview: rights that the token's project lacks, the lease, room. */
import { join } from "node:path";
import { projectFolder } from "../local/package-folder.js";
import type { Problem } from "../problem.js";
import { keepsTopology, planChange } from "./change.js";
import { lookAt } from "./endpoint-look.js";
import { samePlace } from "./endpoint-schema.js";
import { fimJson } from "./fim.js";
import { leaseBeyondRights } from "./lease.js";
import { permissionProblems } from "./permissions.js";
import { projectRights, type SiteData, siteData } from "./site-data.js";
import { roomProblems, type SiteRoom, wantedOf } from "./site-room.js";
import type { SliceInputs } from "./slice-inputs.js";
import type { NodeSpec, SliceSpec } from "./spec.js";
import { planTopology, sameMachine } from "./topology.js";

/** What is known of a testbed and a project at this moment. */
export interface Known {
  readonly sites: readonly SiteRoom[];
  /** That something does not fit says nothing: see SiteData. */
  readonly ownUnknown?: true;
  /** Rights of the token's project, where known. */
  readonly tags?: readonly string[] | undefined;
}

/**
 * What of a slice cannot be had. Pure. Codes: FAB-LEASE-TOO-LONG, FAB-PERMISSION, FAB-SITE-FULL, FAB-SITE-MAINTENANCE.
 *
 * @param settled names of nodes that ask for no room: they have it, or are not well themselves
 */
export function unobtainable(
  { nodes, networks, lease }: Pick<SliceSpec, "nodes"> & Partial<Pick<SliceSpec, "networks" | "lease">>,
  { sites, ownUnknown, tags }: Known,
  settled: ReadonlySet<string> = new Set(),
): Problem[] {
  const asking = Object.entries(nodes).filter(([name]) => !settled.has(name));
  return [
    ...(lease === undefined ? [] : leaseBeyondRights(lease, tags)),
    ...permissionProblems(planTopology({ name: "", nodes, networks }), tags),
    ...(ownUnknown
      ? []
      : roomProblems(
          asking.map(([name, node]) => wantedOf(name, node)),
          sites,
        )),
  ];
}

/** Nodes that keep their machine and ask for nothing that they have not. */
export function settledNodes(before: SliceSpec["nodes"], after: SliceSpec["nodes"]): ReadonlySet<string> {
  const asks = (node: NodeSpec) => fimJson(wantedOf("", node));
  return new Set(
    Object.entries(after).flatMap(([name, now]) => {
      const was = Object.hasOwn(before, name) ? before[name] : undefined;
      return was !== undefined && sameMachine(now, was) && asks(was) === asks(now) ? [name] : [];
    }),
  );
}

/**
 * Looks whether a slice can be had: files, and FABRIC for at most 3 s. Where nothing is asked for that there was not, nobody is called; nor for a slice
 * that is taken over, since that changes nothing of it.
 *
 * @param before the slice as the last run asked for it
 * @param folder that of Pulumi.yaml, or below
 */
export async function slicePreflight(
  inputs: SliceInputs,
  before: SliceInputs | undefined,
  folder: string = process.cwd(),
): Promise<{ readonly problems: readonly Problem[]; readonly notes: readonly Problem[] }> {
  const kept =
    before !== undefined && before.name === inputs.name && samePlace(before.endpoint, inputs.endpoint)
      ? before
      : undefined;
  const sameTopology = kept !== undefined && keepsTopology(planChange(kept, inputs));
  if (sameTopology && kept.lease === inputs.lease) return { problems: [], notes: [] };
  const look = lookAt(inputs.endpoint, folder);
  const { tags, notes } = projectRights(look);
  if (sameTopology) return { problems: leaseBeyondRights(inputs.lease, tags), notes };

  const settled = kept === undefined ? new Set<string>() : settledNodes(kept.nodes, inputs.nodes);
  const takenOver = kept === undefined && inputs.adopt !== undefined;
  const asksRoom = !takenOver && Object.keys(inputs.nodes).some((name) => !settled.has(name));
  const own = {
    ...{ name: inputs.name, owner: inputs.owner, settled },
    state: join(projectFolder(folder) ?? folder, inputs.state),
    made: kept !== undefined,
  };
  const data: SiteData = asksRoom ? await siteData(look, own) : { sites: [], notes: [] };
  return {
    problems: unobtainable(inputs, { ...data, tags }, settled),
    notes: [...notes, ...data.notes],
  };
}
