/**
 * States of slices and slivers as functions of what was written down and the time. Source: slice_state_machine.py and
 * reservation_states.py of the ControlFramework (30e67e2).
 */
import type { PoaRecord, SliceRecord, SliverRecord } from "./model.js";

/** Every state a slice can be in. */
export const sliceStates = [
  "Nascent", "Configuring", "StableError", "StableOK", "Closing", "Dead", "Modifying", "ModifyOK", "ModifyError", "AllocatedOK", "AllocatedError",
] as const; // biome-ignore format: in the order of the API's own list

export type SliceState = (typeof sliceStates)[number];

export type SliverStateName =
  | "Nascent"
  | "Ticketed"
  | "Active"
  | "ActiveTicketed"
  | "CloseWait"
  | "Closed"
  | "Failed";

export interface SliverState {
  readonly state: SliverStateName;
  readonly pending: "None_" | "Ticketing" | "Redeeming" | "ModifyingLease" | "ExtendingTicket";
  readonly join: "None_" | "NoJoin";
  readonly error?: string;
  readonly closedAt?: number;
}

/** When a sliver is, or will be, closed: by a call or by its lease's end. */
export function closeTime(sliver: SliverRecord, slice: SliceRecord): number {
  return Math.min(sliver.closedAt ?? Number.POSITIVE_INFINITY, slice.leaseEnd);
}

/** Whether it has failed by now. */
export function hasFailed(sliver: SliverRecord, now: number): boolean {
  return sliver.problem !== undefined && now >= (sliver.failsAt ?? sliver.ticketedAt);
}

/** Whether it fails before it is up. */
export function neverComesUp(sliver: SliverRecord): boolean {
  return sliver.problem !== undefined && (sliver.failsAt ?? sliver.ticketedAt) <= sliver.activeAt;
}

/** Whether it takes room at its site: from its request until it is asked to close or fails. One that the broker refused never took any. */
export function holdsCapacity(sliver: SliverRecord, slice: SliceRecord, now: number): boolean {
  if (sliver.problem !== undefined && (sliver.failsAt === undefined || now >= sliver.failsAt)) return false;
  return now < closeTime(sliver, slice);
}

export function sliverState(sliver: SliverRecord, slice: SliceRecord, now: number): SliverState {
  if (now < sliver.ticketedAt && now < closeTime(sliver, slice))
    return { state: "Nascent", pending: "Ticketing", join: "None_" };
  if (sliver.problem !== undefined && hasFailed(sliver, now))
    return { state: "Failed", pending: "None_", join: "None_", error: sliver.problem };
  const closedAt = closeTime(sliver, slice);
  if (now >= closedAt + slice.closeMs) return { state: "Closed", pending: "None_", join: "NoJoin", closedAt };
  if (now >= closedAt) return { state: "CloseWait", pending: "None_", join: "NoJoin", closedAt };
  if (now < sliver.startAt) return { state: "Ticketed", pending: "None_", join: "None_" };
  if (now < sliver.activeAt) return { state: "Ticketed", pending: "Redeeming", join: "None_" };
  const change = sliver.change;
  if (change !== undefined && now < change.until) {
    return change.how === "renew"
      ? { state: "ActiveTicketed", pending: "ExtendingTicket", join: "NoJoin" }
      : { state: "Active", pending: "ModifyingLease", join: "NoJoin" };
  }
  return {
    state: "Active",
    pending: "None_",
    join: "NoJoin",
    ...(change?.error === undefined ? {} : { error: change.error }),
  };
}

/** When the last call on the slice has done its work, its end by lease not counted. */
function settledAt(slice: SliceRecord): number {
  let latest = slice.operation.at;
  for (const s of slice.slivers) {
    const answered = neverComesUp(s) ? (s.failsAt ?? s.ticketedAt) : s.activeAt;
    latest = Math.max(latest, answered, s.change?.until ?? 0);
    if (s.closedAt !== undefined && s.closedAt >= slice.operation.at && !hasFailed(s, s.closedAt)) {
      latest = Math.max(latest, s.closedAt + slice.closeMs);
    }
  }
  return latest;
}

export function sliceState(slice: SliceRecord, now: number): SliceState {
  const end =
    slice.operation.kind === "delete" ? Math.min(slice.operation.at, slice.leaseEnd) : slice.leaseEnd;
  if (now >= end) return now < end + slice.closeMs ? "Closing" : "Dead";
  const living = slice.slivers.filter((s) => s.closedAt === undefined);
  const failed = living.filter((s) => hasFailed(s, now));
  if (slice.operation.kind === "accept")
    return slice.operation.ok && failed.length === 0 ? "StableOK" : "StableError";
  if (slice.operation.kind === "create" && now < slice.operation.begunAt) return "Nascent";
  const ok = failed.length === 0 && living.every((s) => s.change?.error === undefined);
  const settled = settledAt(slice);
  // an advance reservation rests between its ticket and its start
  const ticketed = Math.max(...living.map((s) => s.ticketedAt), slice.operation.at);
  const start = Math.max(...living.map((s) => s.startAt), slice.operation.at);
  const resting = slice.operation.kind === "create" && start > ticketed && now >= ticketed && now < settled;
  if (resting && failed.length < living.length) return ok ? "AllocatedOK" : "AllocatedError";
  if (now < settled) return slice.operation.kind === "modify" ? "Modifying" : "Configuring";
  if (living.every(neverComesUp)) return now < settled + slice.closeMs ? "Closing" : "Dead"; // nothing came up: it ends
  if (slice.operation.kind === "modify") return ok ? "ModifyOK" : "ModifyError";
  return ok ? "StableOK" : "StableError";
}

export const isStable = (s: SliceState): boolean => s === "StableOK" || s === "StableError";
export const isModified = (s: SliceState): boolean => s === "ModifyOK" || s === "ModifyError";
export const isAllocated = (s: SliceState): boolean => s === "AllocatedOK" || s === "AllocatedError";
export const isEnded = (s: SliceState): boolean => s === "Closing" || s === "Dead";

export function poaState(poa: PoaRecord, now: number): "SentToAuthority" | "Success" {
  return now < poa.doneAt ? "SentToAuthority" : "Success";
}
