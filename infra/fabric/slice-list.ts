/** All slices of a project as their owner may want to see them: whose each is, and until when. I/O. */
import { InfraError } from "../problem.js";
import type { FabricApi } from "./api.js";
import type { FabricSliceState } from "./api-answers.js";
import { readGraphml } from "./graphml.js";
import { parseFabricTime } from "./lease.js";
import type { SliceMark } from "./mark.js";
import { isGone } from "./slice-states.js";
import { fromGraph } from "./slice-view.js";
import { hasCode } from "./slice-watch.js";

/** A slice as it is listed. Times are absent where FABRIC does not say. */
export interface ListedSlice {
  readonly id: string;
  readonly name: string;
  /** FABRIC's word, e.g. `StableOK`. */
  readonly state: string;
  /** The mark that a node of it bears; absent when none does. */
  readonly mark?: SliceMark;
  /** `name at SITE`, sorted; absent where the graph cannot be read. */
  readonly nodes?: readonly string[];
  /** The mail address of its user. */
  readonly owner?: string;
  readonly leaseStart?: Date;
  readonly leaseEnd?: Date;
}

/** Slices whose graphs are asked for at the same time. */
const atOnce = 4;

/**
 * The living slices, one's own or those of all members of the project, by name.
 *
 * @param filter `name`: only those of this name; `all`: also those that have ended, whose graphs are not asked for
 * @throws InfraError the API's
 */
export async function listSlices(
  api: FabricApi,
  filter: { readonly name?: string; readonly everyones?: boolean; readonly all?: boolean } = {},
): Promise<ListedSlice[]> {
  const { name, everyones = false, all = false } = filter;
  const found = await api.slices({ everyones, ...(name === undefined ? {} : { name }) });
  const wanted = found.filter((s) => (name === undefined || s.name === name) && (all || !isGone(s.state)));
  const listed: ListedSlice[] = [];
  const queue = [...wanted];
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const slice = isGone(next.state) ? next : await whole(api, next, everyones);
      if (slice !== undefined) listed.push(listing(slice));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return listed.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1));
}

/** The slice with its graph; undefined when it has ended since it was listed. */
async function whole(
  api: FabricApi,
  slice: FabricSliceState,
  everyones: boolean,
): Promise<FabricSliceState | undefined> {
  try {
    return await api.slice(slice.sliceId, "GRAPHML", { everyones });
  } catch (error) {
    if (hasCode(error, "FAB-NOT-FOUND")) return undefined;
    throw error;
  }
}

function listing(slice: FabricSliceState): ListedSlice {
  const { sliceId: id, name, state, owner, model } = slice;
  const view = model === undefined ? undefined : viewOf(model);
  const [start, end] = [slice.leaseStart, slice.leaseEnd].map((text) => parseFabricTime(text ?? ""));
  return {
    ...{ id, name, state },
    ...(owner === undefined ? {} : { owner }),
    ...(view?.mark === undefined ? {} : { mark: view.mark }),
    ...(view === undefined ? {} : { nodes: view.nodes.map((n) => `${n.name} at ${n.site}`) }),
    ...(start === undefined ? {} : { leaseStart: start }),
    ...(end === undefined ? {} : { leaseEnd: end }),
  };
}

/** Other people's graphs may hold what this library does not read: such a slice is listed all the same. */
function viewOf(model: string) {
  try {
    return fromGraph(readGraphml(model));
  } catch (error) {
    if (error instanceof InfraError && /^FAB-GRAPHML-/.test(error.code)) return undefined;
    throw error;
  }
}
