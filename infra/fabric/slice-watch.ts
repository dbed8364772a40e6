/** Looking at a slice over the API until nothing is in progress, and telling how far it is. Changes nothing but by accepting a modify. */
import { InfraError } from "../problem.js";
import type { FabricApi } from "./api.js";
import { type FabricSliceState, type FabricSliver, noticeOf } from "./api-answers.js";
import { awaitsAccept, isGone, isPartial, isSettled, isSliverFailed, isSliverUp } from "./slice-states.js";
import { waitUntil } from "./wait.js";

/** Hears a line of progress, e.g. `slice vfl is Configuring: 4 of 9 up, waiting for core (Ticketed)`. */
export type Progress = (line: string) => void;

/** Milliseconds of waiting before anything is told, and between two tellings: what is quick needs no words, and each costs a call. */
const usualPace = { quietMs: 2000, betweenMs: 5000 };
/** So many slivers are named in a line of progress. */
const mostNamed = 4;

/** A slice at rest, and what failed on the way there, in FABRIC's words. */
export interface Settled {
  readonly slice: FabricSliceState;
  /** Of a modify that was accepted on the way. Accepting takes what failed out of the slice's graph, so it cannot be asked for later. */
  readonly failures: readonly string[];
}

export class SliceWatch {
  readonly #api: FabricApi;
  readonly #progress: Progress | undefined;
  readonly #pace: typeof usualPace;

  constructor(api: FabricApi, progress?: Progress, pace = usualPace) {
    this.#api = api;
    this.#progress = progress;
    this.#pace = pace;
  }

  /** The slice; undefined when FABRIC knows no such slice. */
  async get(id: string, format: "GRAPHML" | "NONE" = "GRAPHML"): Promise<FabricSliceState | undefined> {
    try {
      return await this.#api.slice(id, format);
    } catch (error) {
      if (hasCode(error, "FAB-NOT-FOUND")) return undefined;
      throw error;
    }
  }

  /**
   * The slice with its graph, once nothing is in progress.
   *
   * @throws InfraError FAB-GONE, FAB-TIMEOUT and the API's
   */
  async settled(id: string, seconds: number): Promise<FabricSliceState> {
    const tell = this.#teller();
    return await waitUntil(
      async () => {
        const state = await this.get(id, "NONE");
        if (state === undefined || isGone(state.state)) throw gone(id);
        if (isSettled(state.state)) {
          const slice = await this.#api.slice(id);
          if (isSettled(slice.state)) return slice;
        }
        await tell(state);
        return undefined;
      },
      { what: `slice ${id} to settle`, seconds },
    );
  }

  /** The same, with a modify accepted that waits for it: of this run, or of one that was killed before it could. */
  async accepted(id: string, seconds: number): Promise<Settled> {
    let failures: readonly string[] = [];
    const slice = await this.stable(id, seconds, async (found) => {
      if (!awaitsAccept(found.state)) return found;
      const last = failuresOf(await this.#api.slivers(id), found);
      await this.accept(id);
      failures = last;
      return undefined;
    });
    return { slice, failures };
  }

  /** Accepts a modify. Doing so twice changes nothing, so a call without an answer is left to the next look. */
  async accept(id: string): Promise<void> {
    try {
      await this.#api.accept(id);
    } catch (error) {
      if (!isUnanswered(error)) throw error;
    }
  }

  /**
   * Does something to a slice that only a slice at rest lets be done, again when FABRIC says that it is "not yet stable", or when `work` says so by
   * undefined. It must look at the slice it is given to see whether there is anything to do still.
   *
   * @throws InfraError FAB-TIMEOUT, FAB-GONE and what `work` throws
   */
  async stable<T>(
    id: string,
    seconds: number,
    work: (slice: FabricSliceState) => Promise<T | undefined>,
  ): Promise<T> {
    return await waitUntil(
      async () => {
        const slice = await this.settled(id, seconds);
        try {
          return await work(slice);
        } catch (error) {
          if (hasCode(error, "FAB-UNSTABLE")) return undefined;
          throw error;
        }
      },
      { what: `slice ${id} to take the change`, seconds, unreachableSeconds: 0 },
    );
  }

  #teller(): (state: FabricSliceState) => Promise<void> {
    const progress = this.#progress;
    if (progress === undefined) return async () => undefined;
    const { quietMs, betweenMs } = this.#pace;
    let next = performance.now() + quietMs;
    let last = "";
    return async (state) => {
      if (performance.now() < next) return;
      next = performance.now() + betweenMs;
      const line = progressLine(state, await this.#api.slivers(state.sliceId));
      if (line !== last) progress(line);
      last = line;
    };
  }
}

/** How far a slice is: `slice vfl is Configuring: 4 of 9 up, waiting for core (Ticketed), net-amst (Nascent)`. Pure. */
export function progressLine(
  slice: Pick<FabricSliceState, "name" | "state">,
  slivers: readonly FabricSliver[],
): string {
  const living = slivers.filter((s) => s.state !== "Closed" && s.state !== "CloseWait");
  const waiting = living.filter((s) => !isSliverUp(s.state));
  const named = waiting.slice(0, mostNamed).map((s) => `${nameOf(s)} (${s.state})`);
  const more = waiting.length > mostNamed ? [`${waiting.length - mostNamed} more`] : [];
  const count = `${living.length - waiting.length} of ${living.length} up`;
  const rest = waiting.length === 0 ? "" : `, waiting for ${[...named, ...more].join(", ")}`;
  return `slice ${slice.name} is ${slice.state}: ${count}${rest}`;
}

/**
 * A line for each sliver that failed, or that is up without what was last asked of it, in FABRIC's words. Words of a sliver that is up count only where
 * the slice as a whole is not well: they may be old.
 */
export function failuresOf(
  slivers: readonly FabricSliver[],
  slice?: Pick<FabricSliceState, "model" | "state">,
): string[] {
  const unwell = slice !== undefined && isPartial(slice.state);
  return slivers
    .filter((s) => {
      // What was taken away on purpose is closed as well: it is no longer in the slice's graph.
      if (isSliverFailed(s.state)) return slice?.model === undefined || inModel(slice.model, s);
      return unwell && isSliverUp(s.state) && /\berr=\S/.test(s.notice ?? "");
    })
    .map((s) => `${nameOf(s)}: ${noticeOf(s)}`);
}

/** Whether a graph's text holds a sliver's element. NodeIDs are long and random, so the text alone tells. */
function inModel(model: string, { nodeId }: FabricSliver): boolean {
  return nodeId !== undefined && model.includes(nodeId);
}

function nameOf(sliver: FabricSliver): string {
  return sliver.name ?? sliver.nodeId ?? sliver.sliverId;
}

export function gone(id: string): InfraError {
  return new InfraError({
    code: "FAB-GONE",
    message: `slice ${id} has ended; its lease may be over`,
    remedy: "run up --refresh, which makes it anew",
  });
}

export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof InfraError && codes.includes(error.code);
}

/** A call that may have worked although it failed. */
export function isUnanswered(error: unknown): boolean {
  return hasCode(error, "FAB-UNREACHABLE", "FAB-ANSWER");
}
