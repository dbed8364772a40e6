/** What an update of a slice does, in one line for people: the message on the Slice at preview and at up. Pure. */
import { type ChangeableSlice, describeChange, isNothing, keepsTopology, planChange } from "./change.js";
import { describeLease, isRenewalDue, parseFabricTime } from "./lease.js";
import { isGood } from "./slice-states.js";

/** The slice as the last run left it. */
export interface SliceBefore extends ChangeableSlice {
  /** `2026-12-06 10:00:00 +0000`; empty where FABRIC has not said. */
  readonly leaseEnd?: string;
  /** FABRIC's word, e.g. `StableOK`. */
  readonly sliceState?: string;
}

/** The message; undefined when a person would see no consequence. */
export function consequences(before: SliceBefore, after: ChangeableSlice, now: Date): string | undefined {
  const change = planChange(before, after);
  const end = parseFabricTime(before.leaseEnd ?? "");
  const lease = describeLease(before, after, { end, now });
  const unwell = before.sliceState !== undefined && !isGood(before.sliceState);
  const again = unwell ? ["what is not up yet is completed"] : [];
  if (!keepsTopology(change)) return [describeChange(change, lease), ...again].join("; ");
  const aboutLease =
    !isNothing(change) || before.renewWithin !== after.renewWithin || isRenewalDue(after, end, now);
  if (!aboutLease && !unwell) return undefined;
  return [...again, lease].filter((text) => text !== "").join("; ");
}
