/**
 * A slice's life over the API: made, found again, changed, ended. Knows nothing of Pulumi (slice-provider.ts does).
 */
import { InfraError } from "../problem.js";
import { mustAdoptUnchanged, notToAdopt } from "./adopt.js";
import type { FabricApi } from "./api.js";
import { type FabricSliceState, type FabricSliver, noticeOf } from "./api-answers.js";
import { applyChange } from "./apply-change.js";
import { elementIds } from "./element-ids.js";
import { readGraphml, writeGraphml } from "./graphml.js";
import {
  fabricTime,
  isRenewalDue,
  type LeaseTerms,
  leaseBeyondRights,
  leaseFrom,
  parseFabricTime,
} from "./lease.js";
import { ownership, type SliceMark } from "./mark.js";
import { endSlice } from "./slice-end.js";
import { awaitsAccept, isGone, isSliverFailed, isSliverUp } from "./slice-states.js";
import { fromGraph, type SliceView } from "./slice-view.js";
import { failuresOf, hasCode, isUnanswered, type Progress, type Settled, SliceWatch } from "./slice-watch.js";
import type { SliceSpec } from "./spec.js";
import { planTopology } from "./topology.js";
import { toGraph } from "./topology-graph.js";
import { waitUntil } from "./wait.js";

/** Seconds. FABlib waits 1,800 for a slice and 600 for a modify; a slow site needs more of the latter. */
const patience = { create: 1800, modify: 1800, renew: 600 } as const;
/** Seconds in which a slice shows up whose create was not answered. */
const showsUpWithin = 3;
/** Seconds by which the end of a lease may differ from what was asked: FABRIC's times are whole. */
const leaseTolerance = 60;

/** A slice as it is now. */
export interface KeptSlice {
  readonly id: string;
  readonly state: string;
  readonly leaseEnd?: string;
  readonly view: SliceView;
  /** What is not as asked, a line each, with FABRIC's own words; empty when all is well. */
  readonly failures: readonly string[];
  /** What a person should know although all is well: a lease that FABRIC cut. */
  readonly notes?: readonly string[];
}

export interface KeeperOptions {
  readonly api: FabricApi;
  readonly mark: SliceMark;
  readonly sshKeys: () => readonly string[];
  /** Rights of the token's project, where known. */
  readonly tags?: readonly string[];
  readonly now?: () => Date;
  /** Hears how far the slice is while it is waited for. */
  readonly progress?: Progress;
  /** Called just before a slice is submitted: what must be on the disk by then is written here. */
  readonly beforeSubmit?: () => void;
  /** Called just before a slice's end is asked for. */
  readonly beforeDelete?: () => void;
}

/** What became of a lease. */
export interface RenewedLease {
  readonly renewed: boolean;
  readonly leaseEnd?: Date;
  readonly notes: readonly string[];
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
  readonly #watch: SliceWatch;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#api = options.api;
    this.#watch = new SliceWatch(options.api, options.progress);
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
    if (adopt !== undefined) throw notToAdopt(adopt, (await this.#watch.get(adopt))?.name, spec.name);
    const leaseEnd = this.#leaseEnd(spec.lease);
    let id: string;
    try {
      id = await this.#submit(spec, leaseEnd);
    } catch (error) {
      // Made between our look and our call, or by our call although it was not answered: its mark tells whose it is.
      const made = await this.#madeAfterAll(spec.name, error);
      if (made === undefined) throw error;
      return await this.#takeOver(made.sliceId, spec, adopt);
    }
    const up = async (): Promise<KeptSlice> => {
      const kept = await this.#describe(await this.#watch.settled(id, patience.create));
      return { ...kept, notes: cutLease(kept.leaseEnd, leaseEnd) };
    };
    return await this.#making(id, spec.name, up);
  }

  /** The id of a living slice of this name, whoever's it is; the other methods check the mark. */
  async find(name: string): Promise<string | undefined> {
    return (await this.#find(name))?.sliceId;
  }

  /** The slice as it is; undefined when it is gone. */
  async read(id: string): Promise<KeptSlice | undefined> {
    const slice = await this.#watch.get(id);
    return slice === undefined || isGone(slice.state) ? undefined : await this.#describe(slice);
  }

  /**
   * Brings the slice to what the specification says, one renewal and one modify at most. What failed before is made anew.
   *
   * @param before what the last known specification said
   * @throws InfraError FAB-NOT-OURS, FAB-GONE, FAB-TIMEOUT and the API's
   */
  async update(id: string, before: SliceSpec, spec: SliceSpec): Promise<KeptSlice> {
    const { slice } = await this.#watch.accepted(id, patience.modify);
    this.#mustBeOurs(slice);
    return await this.#bring(slice, before, spec);
  }

  /**
   * Renews the lease when its end is near.
   *
   * @param now renew also when the end is not near
   * @throws InfraError FAB-NOT-OURS, FAB-GONE, FAB-LEASE-TOO-LONG, FAB-TIMEOUT and the API's
   */
  async renew(
    id: string,
    terms: LeaseTerms,
    options: { readonly now?: boolean } = {},
  ): Promise<RenewedLease> {
    const slice = await this.#watch.settled(id, patience.modify);
    this.#mustBeOurs(slice);
    const end = endOf(slice);
    if (options.now !== true && !isRenewalDue(terms, end, this.#now()))
      return { renewed: false, notes: [], ...(end === undefined ? {} : { leaseEnd: end }) };
    const notes = await this.#extend(id, terms.lease);
    const after = endOf(await this.#watch.settled(id, patience.renew));
    const renewed = after !== undefined && (end === undefined || after > end);
    return { renewed, notes, ...(after === undefined ? {} : { leaseEnd: after }) };
  }

  /** Ends the slice and waits until it is gone. Fine when it is gone already. */
  async delete(id: string): Promise<void> {
    const mayEnd = (slice: FabricSliceState): void => {
      this.#mustBeOurs(slice);
      this.#options.beforeDelete?.();
    };
    await endSlice(this.#api, id, mayEnd, this.#options.progress);
  }

  async #submit(spec: SliceSpec, leaseEnd: string): Promise<string> {
    const { mark, sshKeys } = this.#options;
    const graph = writeGraphml(toGraph(planTopology(spec), mark, elementIds(mark.id)));
    const keys = sshKeys();
    this.#options.beforeSubmit?.();
    const slivers = await this.#api.createSlice({ name: spec.name, graph, sshKeys: keys, leaseEnd });
    const id = slivers[0]?.sliceId;
    if (id !== undefined && id !== "") return id;
    throw new InfraError({
      code: "FAB-ANSWER",
      message: `FABRIC took slice ${spec.name} but gives no id for it`,
      remedy: "run up again, which looks for it",
    });
  }

  /** The slice of that name that is there after our create failed, where the failure leaves that possible. */
  async #madeAfterAll(name: string, error: unknown): Promise<FabricSliceState | undefined> {
    if (hasCode(error, "FAB-NAME-TAKEN")) return await this.#find(name);
    if (!isUnanswered(error)) return undefined;
    try {
      // Nobody knows whether a call without an answer worked, and it may be at work still.
      return await waitUntil(async () => await this.#find(name), {
        what: `slice ${name} to show up`,
        seconds: showsUpWithin,
        firstMs: 300,
        unreachableSeconds: showsUpWithin,
      });
    } catch {
      return undefined; // the create's own error says more
    }
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
    if (!ours) mustAdoptUnchanged(readGraphml(model ?? ""), spec, this.#options.mark);
    return await this.#making(id, spec.name, async () => {
      const { slice } = await this.#watch.accepted(id, patience.create);
      return await this.#bring(slice, spec, spec);
    });
  }

  /** What fails leaves a slice to go on with, unless FABRIC ended it: it does so when nothing of a slice came up. */
  async #making(id: string, name: string, work: () => Promise<KeptSlice>): Promise<KeptSlice> {
    try {
      return await work();
    } catch (error) {
      if (!hasCode(error, "FAB-GONE")) throw new UnfinishedSlice(id, error);
      const reasons = failuresOf(await this.#api.slivers(id));
      throw new InfraError({
        code: "FAB-CREATE-FAILED",
        message: `FABRIC gave up slice ${name} (${id}): ${reasons.join("; ") || "without a reason"}`,
        remedy: "change what the reasons name, and run up again",
      });
    }
  }

  async #bring(slice: FabricSliceState, before: SliceSpec, spec: SliceSpec): Promise<KeptSlice> {
    const id = slice.sliceId;
    // The lease first: a modify may take longer than what is left of it.
    const due = before.lease !== spec.lease || isRenewalDue(spec, endOf(slice), this.#now());
    const notes = due ? await this.#extend(id, spec.lease) : [];
    const changed = await this.#modify(id, spec, before);
    const kept = await this.#describe(changed.slice);
    return { ...kept, notes, failures: [...new Set([...changed.failures, ...kept.failures])] };
  }

  /** One modify, accepted, where the slice is not as asked; with what failed, in FABRIC's words. */
  async #modify(id: string, spec: SliceSpec, before: SliceSpec): Promise<Settled> {
    const graph = await this.#watch.stable(id, patience.modify, async (slice) => {
      if (awaitsAccept(slice.state)) return void (await this.#watch.accept(id));
      const edit = await this.#edit(slice, spec, before);
      if (!edit.changed) return { slice, sent: false };
      try {
        await this.#api.modify(id, writeGraphml(edit.graph));
      } catch (error) {
        if (!isUnanswered(error)) throw error;
        const now = await this.#watch.settled(id, patience.modify);
        if (!awaitsAccept(now.state) && (await this.#edit(now, spec, before)).changed) throw error;
      }
      return { slice, sent: true };
    });
    if (!graph.sent) return { slice: graph.slice, failures: [] };
    const { slice, failures } = await this.#watch.accepted(id, patience.modify);
    const { missing } = await this.#edit(slice, spec, before);
    const unsaid = missing.filter((name) => !failures.some((line) => line.startsWith(`${name}: `)));
    // A part of a node, say a GPU, is told of by its node's sliver.
    const silent =
      failures.length > 0 ? [] : unsaid.map((name) => `${name}: FABRIC did not make it and gave no reason`);
    return { slice, failures: [...failures, ...silent] };
  }

  async #edit(slice: FabricSliceState, spec: SliceSpec, before: SliceSpec) {
    const slivers = await this.#api.slivers(slice.sliceId);
    const up = new Set(slivers.filter((s) => isSliverUp(s.state)).map((s) => s.nodeId));
    const failed = slivers
      .filter((s) => isSliverFailed(s.state) && !up.has(s.nodeId))
      .flatMap((s) => s.nodeId ?? []);
    const { mark } = this.#options;
    return applyChange(readGraphml(slice.model ?? ""), spec, {
      mark,
      ids: elementIds(mark.id),
      before: Object.keys(before.nodes),
      userDataBefore: Object.fromEntries(
        Object.entries(before.nodes).map(([name, node]) => [name, Object.keys(node.userData)]),
      ),
      networksBefore: Object.keys(before.networks ?? {}),
      failed: new Set(failed),
      inUse: new Set(slivers.flatMap((s) => s.nodeId ?? [])),
    });
  }

  /** Asks for the lease as from now. @returns what a person should know of it */
  async #extend(id: string, lease: string): Promise<readonly string[]> {
    const wanted = this.#leaseEnd(lease);
    const end = parseFabricTime(wanted);
    const reached = (slice: FabricSliceState) => {
      const now = endOf(slice);
      return now !== undefined && end !== undefined && now >= end;
    };
    const before = await this.#watch.stable(id, patience.modify, async (slice) => {
      // FABRIC cannot shorten a lease; it would answer 500.
      if (reached(slice)) return slice;
      // A renewal would end a modify that waits for accept as if there had been none.
      if (awaitsAccept(slice.state)) return void (await this.#watch.accept(id));
      try {
        await this.#api.renew(id, wanted);
      } catch (error) {
        // It may have worked without an answer, and another may have renewed it further in between.
        if (!isUnanswered(error) && !hasCode(error, "FAB-SERVER")) throw error;
        if (!reached(await this.#watch.settled(id, patience.renew))) throw error;
      }
      return slice;
    });
    if (reached(before)) return [];
    return cutLease((await this.#watch.settled(id, patience.renew)).leaseEnd, wanted);
  }

  async #describe(slice: FabricSliceState): Promise<KeptSlice> {
    const slivers = await this.#api.slivers(slice.sliceId);
    const view = fromGraph(readGraphml(slice.model ?? ""));
    return {
      id: slice.sliceId,
      state: slice.state,
      view,
      failures: [...view.nodes, ...view.networks, ...view.services].flatMap((e) => whyNotUp(e, slivers)),
      ...(slice.leaseEnd === undefined ? {} : { leaseEnd: slice.leaseEnd }),
    };
  }

  async #find(name: string): Promise<FabricSliceState | undefined> {
    return (await this.#api.slices({ name })).find((s) => s.name === name && !isGone(s.state));
  }

  #mustBeOurs(slice: FabricSliceState): void {
    const owner = ownership(readGraphml(slice.model ?? ""), this.#options.mark);
    // A slice without nodes cannot bear a mark: that we know its id must do.
    if (owner === "ours" || owner === "empty") return;
    throw new InfraError({
      code: "FAB-NOT-OURS",
      message: `slice ${slice.name} (${slice.sliceId}) does not bear this stack's mark${owner === "foreign" ? " but another's" : ""}`,
      remedy: "it is left as it is; if it is yours, delete it with dynamos-fabric slices delete",
    });
  }

  #leaseEnd(lease: string): string {
    const problems = leaseBeyondRights(lease, this.#options.tags);
    if (problems.length > 0) throw new InfraError(problems);
    return fabricTime(leaseFrom(lease, this.#now()));
  }

  #now(): Date {
    return this.#options.now?.() ?? new Date();
  }
}

function endOf(slice: Pick<FabricSliceState, "leaseEnd">): Date | undefined {
  return slice.leaseEnd === undefined ? undefined : parseFabricTime(slice.leaseEnd);
}

/** A note when FABRIC gave less than was asked: it cuts a lease without a word. */
function cutLease(given: string | undefined, asked: string): string[] {
  const [got, wanted] = [parseFabricTime(given ?? ""), parseFabricTime(asked)];
  if (got === undefined || wanted === undefined) return [];
  return wanted.getTime() - got.getTime() <= leaseTolerance * 1000
    ? []
    : [`FABRIC cut the lease to ${given}; ${asked} was asked for`];
}

/** Why an element of the graph is not up, in FABRIC's words; nothing when it is. */
function whyNotUp(
  element: { readonly name: string; readonly nodeId: string },
  slivers: readonly FabricSliver[],
): string[] {
  const own = slivers.filter((s) => s.nodeId === element.nodeId);
  if (own.length === 0 || own.some((s) => isSliverUp(s.state))) return [];
  const failed = own.find((s) => isSliverFailed(s.state));
  return failed === undefined ? [] : [`${element.name}: ${noticeOf(failed)}`];
}
