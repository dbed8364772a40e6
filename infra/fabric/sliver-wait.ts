/** What Node and Network do: wait for their own sliver of a slice and read it. They own nothing. */
import { InfraError } from "../problem.js";
import type { FabricApi } from "./api.js";
import { noticeOf } from "./api-answers.js";
import { readGraphml } from "./graphml.js";
import { isGone, isSettled, isSliverFailed, isSliverUp } from "./slice-states.js";
import { fromGraph, type SliceView } from "./slice-view.js";
import { waitUntil } from "./wait.js";

/** One element of a slice that has a sliver of its own. */
export interface Element {
  readonly name: string;
  readonly nodeId: string;
}

export interface FoundSliver<T> {
  readonly element: T;
  readonly sliverId: string;
  readonly state: string;
}

/** Seconds. The slice has come up before its nodes are looked at, so this is for what follows within it. */
const patience = 900;

/**
 * The element of a slice and its sliver; undefined when the slice is gone or holds no such element.
 *
 * @throws InfraError the API's; being out of reach is an error, never gone
 */
export async function readSliver<T extends Element>(
  api: FabricApi,
  slice: string,
  find: (view: SliceView) => T | undefined,
): Promise<FoundSliver<T> | undefined> {
  const found = await look(api, slice, find);
  return found === undefined || found.element === undefined
    ? undefined
    : sliverOf(found.slivers, found.element);
}

/**
 * The same, once the sliver is active.
 *
 * @throws InfraError FAB-SLIVER-MISSING, FAB-SLIVER-FAILED with FABRIC's words, FAB-TIMEOUT
 */
export async function waitForSliver<T extends Element>(
  api: FabricApi,
  slice: string,
  what: string,
  find: (view: SliceView) => T | undefined,
): Promise<FoundSliver<T>> {
  return await waitUntil(
    async () => {
      const found = await look(api, slice, find);
      if (found === undefined) throw missing(what, `slice ${slice} has ended`);
      if (found.element === undefined) {
        if (isSettled(found.state)) throw missing(what, `slice ${slice} does not hold it`);
        return undefined;
      }
      const { element } = found;
      const own = found.slivers.filter((s) => s.nodeId === element.nodeId);
      const up = own.find((s) => isSliverUp(s.state));
      if (up !== undefined) return { element, sliverId: up.sliverId, state: up.state };
      const failed = own.find((s) => isSliverFailed(s.state));
      if (failed === undefined) return undefined;
      throw new InfraError({
        code: "FAB-SLIVER-FAILED",
        message: `${what}: ${noticeOf(failed)}`,
        remedy: "run up again, which makes it anew",
      });
    },
    { what: `${what} to be active`, seconds: patience },
  );
}

async function look<T>(api: FabricApi, id: string, find: (view: SliceView) => T | undefined) {
  try {
    const slice = await api.slice(id);
    if (isGone(slice.state)) return undefined;
    const element = find(fromGraph(readGraphml(slice.model ?? "")));
    return { state: slice.state, element, slivers: await api.slivers(id) };
  } catch (error) {
    if (error instanceof InfraError && error.code === "FAB-NOT-FOUND") return undefined;
    throw error;
  }
}

function sliverOf<T extends Element>(
  slivers: readonly { readonly sliverId: string; readonly state: string; readonly nodeId?: string }[],
  element: T,
): FoundSliver<T> | undefined {
  const own = slivers.filter((s) => s.nodeId === element.nodeId);
  const sliver = own.find((s) => isSliverUp(s.state)) ?? own.find((s) => !isSliverFailed(s.state));
  return sliver === undefined ? undefined : { element, sliverId: sliver.sliverId, state: sliver.state };
}

function missing(what: string, why: string): InfraError {
  return new InfraError({
    code: "FAB-SLIVER-MISSING",
    message: `${what}: ${why}`,
    remedy: "run up --refresh, which looks what is there",
  });
}
