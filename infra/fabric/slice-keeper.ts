/**
 * A slice's life over the API: made, found again, changed, ended. Knows nothing of Pulumi (slice-provider.ts does).
 */
import { InfraError } from "../problem.js";
import type { FabricApi } from "./api.js";
import { type FabricSliceState, type FabricSliver, noticeOf } from "./api-answers.js";
import { applyChange } from "./apply-change.js";
import { elementIds } from "./element-ids.js";
import { readGraphml, writeGraphml } from "./graphml.js";
import { fabricTime, leaseHours, parseFabricTime, usualLeaseHours } from "./lease.js";
import { ownership, type SliceMark } from "./mark.js";
import { awaitsAccept, isGone, isPartial, isSettled, isSliverFailed, isSliverUp } from "./slice-states.js";
import { fromGraph, type SliceView } from "./slice-view.js";
import type { SliceSpec } from "./spec.js";
import { planTopology } from "./topology.js";
import { toGraph } from "./topology-graph.js";
import { waitUntil } from "./wait.js";

/** Seconds. FABlib waits 1,800 for a slice and 600 for a modify; a slow site needs more of the latter. */
const patience = { create: 1800, modify: 1800, renew: 600, delete: 900 } as const;

/** A slice as it is now. */
export interface KeptSlice {
  readonly id: string;
  readonly state: string;
  readonly leaseEnd?: string;
  readonly view: SliceView;
  /** What is not as asked, a line each, with FABRIC's own words; empty when all is well. */
  readonly failures: readonly string[];
}

export interface KeeperOptions {
  readonly api: FabricApi;
  readonly mark: SliceMark;
  readonly sshKeys: () => readonly string[];
  /** Rights of the token's project, where known. */
  readonly tags?: readonly string[];
  readonly now?: () => Date;
}

/** An error after which the slice exists: what is known of it belongs in the state. */
export class UnfinishedSlice extends Error {
  constructor(
    readonly sliceId: string,
    override readonly cause: unknown,
  ) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = "UnfinishedSlice";
  }
}

export class SliceKeeper {
  readonly #options: KeeperOptions;
  readonly #api: FabricApi;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#api = options.api;
  }

  /**
   * Makes the slice, or goes on with one of that name which bears our mark: a run that was killed has made it. Waits until it is up.
   *
   * @param adopt the id of a slice to take over although it bears no mark of ours
   * @throws InfraError FAB-NAME-TAKEN, FAB-LEASE-TOO-LONG, FAB-CREATE-FAILED and the API's; UnfinishedSlice once the slice exists
   */
  async create(spec: SliceSpec, adopt?: string): Promise<KeptSlice> {
    const found = await this.#find(spec.name);
    if (found !== undefined) return await this.#takeOver(found.sliceId, spec, adopt);
    let id: string;
    try {
      id = await this.#submit(spec);
    } catch (error) {
      // It was made between our look and our call.
      const rival = hasCode(error, "FAB-NAME-TAKEN") ? await this.#find(spec.name) : undefined;
      if (rival === undefined) throw error;
      return await this.#takeOver(rival.sliceId, spec, adopt);
    }
    try {
      return await this.#describe(await this.#settled(id, patience.create));
    } catch (error) {
      if (!hasCode(error, "FAB-GONE")) throw new UnfinishedSlice(id, error);
      const reasons = failuresOf(await this.#api.slivers(id));
      throw new InfraError({
        code: "FAB-CREATE-FAILED",
        message: `FABRIC gave up slice ${spec.name} (${id}): ${reasons.join("; ") || "without a reason"}`,
      });
    }
  }

  /** The slice as it is; undefined when it is gone. */
  async read(id: string): Promise<KeptSlice | undefined> {
    const slice = await this.#get(id);
    return slice === undefined || isGone(slice.state) ? undefined : await this.#describe(slice);
  }

  /**
   * Brings the slice to what the specification says, one modify and one renewal at most. What failed before is made anew.
   *
   * @param before what the last known specification said
   * @throws InfraError FAB-NOT-OURS, FAB-GONE, FAB-TIMEOUT and the API's
   */
  async update(id: string, before: SliceSpec, spec: SliceSpec): Promise<KeptSlice> {
    const slice = await this.#acceptedAndSettled(id);
    this.#mustBeOurs(slice);
    return await this.#bring(slice, before, spec);
  }

  /** Ends the slice and waits until it is gone. Fine when it is gone already. */
  async delete(id: string): Promise<void> {
    const options = { what: `slice ${id} to be gone`, seconds: patience.delete };
    let asked = false;
    await waitUntil(async () => {
      const slice = await this.#get(id);
      if (slice === undefined || slice.state === "Dead") return true;
      if (slice.state === "Closing" || asked || !isSettled(slice.state)) return undefined;
      this.#mustBeOurs(slice);
      try {
        await this.#api.deleteSlice(id);
        asked = true;
      } catch (error) {
        // It began to change just now, or the answer was lost: the next look tells.
        if (!isUnanswered(error) && !hasCode(error, "FAB-UNSTABLE", "FAB-NOT-FOUND")) throw error;
      }
      return undefined;
    }, options);
  }

  async #submit(spec: SliceSpec): Promise<string> {
    const leaseEnd = this.#leaseEnd(spec.lease);
    const { mark, sshKeys } = this.#options;
    const graph = writeGraphml(toGraph(planTopology(spec), mark, elementIds(mark.id)));
    let id: string | undefined;
    try {
      const slivers = await this.#api.createSlice({ name: spec.name, graph, sshKeys: sshKeys(), leaseEnd });
      id = slivers[0]?.sliceId;
    } catch (error) {
      // Nobody knows whether a call without an answer worked, so we look before we say that it failed.
      id = isUnanswered(error) ? (await this.#find(spec.name))?.sliceId : undefined;
      if (id === undefined) throw error;
    }
    id ??= (await this.#find(spec.name))?.sliceId;
    if (id !== undefined) return id;
    throw new InfraError({
      code: "FAB-ANSWER",
      message: `FABRIC took slice ${spec.name} but gives no id for it`,
      remedy: "run up again, which looks for it",
    });
  }

  async #takeOver(id: string, spec: SliceSpec, adopt: string | undefined): Promise<KeptSlice> {
    const { model } = await this.#api.slice(id);
    const ours = model !== undefined && ownership(readGraphml(model), this.#options.mark) === "ours";
    if (!ours && adopt !== id) {
      throw new InfraError({
        code: "FAB-NAME-TAKEN",
        path: "name",
        message: `a slice named ${spec.name} exists (${id}) and is not this stack's`,
        remedy: `choose another name, delete that slice, or take it over with adopt: "${id}"`,
      });
    }
    try {
      return await this.#bring(await this.#acceptedAndSettled(id), spec, spec);
    } catch (error) {
      throw new UnfinishedSlice(id, error);
    }
  }

  async #bring(slice: FabricSliceState, before: SliceSpec, spec: SliceSpec): Promise<KeptSlice> {
    const id = slice.sliceId;
    const failures = await this.#modify(slice, spec, Object.keys(before.nodes));
    if (before.lease !== spec.lease) await this.#extend(id, spec.lease);
    const kept = await this.#describe(await this.#settled(id, patience.modify));
    return { ...kept, failures: [...new Set([...failures, ...kept.failures])] };
  }

  /** @returns what failed, in FABRIC's words. */
  async #modify(
    slice: FabricSliceState,
    spec: SliceSpec,
    before: readonly string[],
  ): Promise<readonly string[]> {
    const id = slice.sliceId;
    const slivers = await this.#api.slivers(id);
    const up = new Set(slivers.filter((s) => isSliverUp(s.state)).map((s) => s.nodeId));
    const failed = slivers
      .filter((s) => isSliverFailed(s.state) && !up.has(s.nodeId))
      .flatMap((s) => s.nodeId ?? []);
    const { mark } = this.#options;
    const { graph, changed } = applyChange(readGraphml(slice.model ?? ""), spec, {
      mark,
      ids: elementIds(mark.id),
      before,
      failed: new Set(failed),
      inUse: new Set(slivers.flatMap((s) => s.nodeId ?? [])),
    });
    if (!changed) return [];
    const known = new Set(slivers.map((s) => s.sliverId));
    await this.#api.modify(id, writeGraphml(graph));
    const modified = await this.#settled(id, patience.modify);
    // Read before accept, which takes what failed out of the graph.
    const news = isPartial(modified.state)
      ? (await this.#api.slivers(id)).filter((s) => !known.has(s.sliverId))
      : [];
    await this.#acceptedAndSettled(id);
    return failuresOf(news);
  }

  async #extend(id: string, lease: string): Promise<void> {
    const wanted = this.#leaseEnd(lease);
    const slice = await this.#settled(id, patience.modify);
    const ends = slice.leaseEnd === undefined ? undefined : parseFabricTime(slice.leaseEnd);
    const later = parseFabricTime(wanted);
    // FABRIC cannot shorten a lease; it would answer 500.
    if (ends !== undefined && later !== undefined && later <= ends) return;
    await this.#api.renew(id, wanted);
    await this.#settled(id, patience.renew);
  }

  /** A modify that an earlier run left without accept is accepted first. */
  async #acceptedAndSettled(id: string): Promise<FabricSliceState> {
    const slice = await this.#settled(id, patience.modify);
    if (!awaitsAccept(slice.state)) return slice;
    await this.#api.accept(id);
    return await this.#settled(id, patience.modify);
  }

  async #settled(id: string, seconds: number): Promise<FabricSliceState> {
    return await waitUntil(
      async () => {
        const state = await this.#get(id, "NONE");
        if (state === undefined || isGone(state.state)) throw gone(id);
        if (!isSettled(state.state)) return undefined;
        const slice = await this.#api.slice(id);
        return isSettled(slice.state) ? slice : undefined;
      },
      { what: `slice ${id} to settle`, seconds },
    );
  }

  async #describe(slice: FabricSliceState): Promise<KeptSlice> {
    const slivers = await this.#api.slivers(slice.sliceId);
    const view = fromGraph(readGraphml(slice.model ?? ""));
    const inGraph = new Set([...view.nodes, ...view.networks].map((e) => e.nodeId));
    const failures = failuresOf(slivers.filter((s) => inGraph.has(s.nodeId ?? "")));
    if (isPartial(slice.state) && failures.length === 0)
      failures.push(`FABRIC says ${slice.state} without a reason`);
    return {
      id: slice.sliceId,
      state: slice.state,
      view,
      failures,
      ...(slice.leaseEnd === undefined ? {} : { leaseEnd: slice.leaseEnd }),
    };
  }

  async #find(name: string): Promise<FabricSliceState | undefined> {
    return (await this.#api.slices({ name })).find((s) => s.name === name && !isGone(s.state));
  }

  async #get(id: string, format: "GRAPHML" | "NONE" = "GRAPHML"): Promise<FabricSliceState | undefined> {
    try {
      return await this.#api.slice(id, format);
    } catch (error) {
      if (hasCode(error, "FAB-NOT-FOUND")) return undefined;
      throw error;
    }
  }

  #mustBeOurs(slice: FabricSliceState): void {
    const owner = ownership(readGraphml(slice.model ?? ""), this.#options.mark);
    // A slice without nodes cannot bear a mark: that we know its id must do.
    if (owner === "ours" || owner === "empty") return;
    throw new InfraError({
      code: "FAB-NOT-OURS",
      message: `slice ${slice.name} (${slice.sliceId}) does not bear this stack's mark${owner === "foreign" ? " but another's" : ""}`,
      remedy: "it is left as it is; if it is yours, delete it in FABRIC's portal",
    });
  }

  #leaseEnd(lease: string): string {
    const hours = leaseHours(lease) ?? 24;
    const { tags } = this.#options;
    if (hours > usualLeaseHours && tags !== undefined && !tags.includes("Slice.NoLimitLifetime")) {
      throw new InfraError({
        code: "FAB-LEASE-TOO-LONG",
        path: "lease",
        message: `${lease} asked; without the permission Slice.NoLimitLifetime FABRIC gives 15 days, silently`,
        remedy: "ask for 15d at most and renew, or ask the project's lead for the permission",
      });
    }
    const now = this.#options.now?.() ?? new Date();
    return fabricTime(new Date(now.getTime() + hours * 3_600_000));
  }
}

/** A line for each sliver that failed, in FABRIC's words. */
function failuresOf(slivers: readonly FabricSliver[]): string[] {
  return slivers
    .filter((s) => isSliverFailed(s.state))
    .map((s) => `${s.name ?? s.nodeId ?? s.sliverId}: ${noticeOf(s)}`);
}

function gone(id: string): InfraError {
  return new InfraError({
    code: "FAB-GONE",
    message: `slice ${id} has ended; its lease may be over`,
    remedy: "run up --refresh, which makes it anew",
  });
}

function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof InfraError && codes.includes(error.code);
}

/** A call that may have worked although it failed. */
function isUnanswered(error: unknown): boolean {
  return hasCode(error, "FAB-UNREACHABLE", "FAB-ANSWER");
}
