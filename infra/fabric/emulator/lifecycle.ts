/** Renewing and deleting slices, and calls on running slivers. */
import { ApiError } from "./api-error.js";
import { type Call, maintenanceText, type Outcome, replaced } from "./call.js";
import { clampedEnd } from "./lease.js";
import type { EmulatorState, SliceRecord } from "./model.js";
import { closed } from "./render.js";
import { hasFailed, isAllocated, isEnded, isModified, isStable, sliceState, sliverState } from "./states.js";

/** @throws ApiError */
export function renewSlice(call: Call, sliceId: string, end: number): Outcome {
  const { now, scenario } = call;
  const slice = call.state.slices.find((s) => s.id === sliceId);
  if (slice === undefined) throw new ApiError(404, `Slice# ${sliceId} not found`);
  const state = sliceState(slice, now);
  if (isEnded(state)) throw new ApiError(400, `Slice# ${sliceId} already closed`);
  if (!isStable(state) && !isModified(state)) {
    throw new ApiError(500, `Unable to renew Slice# ${sliceId} that is not yet stable, try again later`);
  }
  if (scenario.maintenance) throw new ApiError(500, maintenanceText);
  const leaseEnd = clampedEnd({ end, unlimited: call.who.tags.includes("Slice.NoLimitLifetime") }, now);
  // the API's times are whole seconds, and so is its comparison to anyone who reads the end and sends it back
  const seconds = (ms: number) => Math.floor(ms / 1000);
  if (seconds(leaseEnd) < seconds(slice.leaseEnd)) {
    throw new ApiError(500, "Attempted new term end time is shorter than current slice end time");
  }
  if (seconds(leaseEnd) === seconds(slice.leaseEnd)) return { state: call.state, slice, slivers: new Set() };
  const until = now + scenario.delays.renew;
  const slivers = slice.slivers.map((s) =>
    s.closedAt === undefined && !hasFailed(s, now)
      ? {
          ...s,
          change: {
            how: "renew" as const,
            until,
            ...(s.change?.error === undefined ? {} : { error: s.change.error }),
          },
        }
      : s,
  );
  return {
    ...replaced(call.state, { ...slice, slivers, leaseEnd, operation: { kind: "renew", at: now } }),
    slivers: new Set(),
  };
}

/**
 * Closes one slice of the caller, or with no id all of them. `early`: those that are still under way and stay; when there are any the
 * real one fails the call, after it has closed the others.
 * @throws ApiError 404
 */
export function deleteSlices(
  call: Call,
  sliceId?: string,
): { readonly state: EmulatorState; readonly early: readonly string[] } {
  const { now, who } = call;
  const own = (s: SliceRecord) =>
    s.owner.id === who.id && s.project.id === who.project.id && (sliceId === undefined || s.id === sliceId);
  if (sliceId !== undefined && !call.state.slices.some(own))
    throw new ApiError(404, `Slice# ${sliceId} not found`);
  const early: string[] = [];
  const slices = call.state.slices.map((s) => {
    const state = sliceState(s, now);
    if (!own(s) || isEnded(state)) return s;
    if (!isStable(state) && !isModified(state) && !isAllocated(state)) {
      // asked to close all, the real one does not look at those that are being made or changed, only at nascent ones
      if (sliceId !== undefined || state === "Nascent") early.push(s.id);
      return s;
    }
    return {
      ...s,
      slivers: s.slivers.map((x) => closed(s, x, now)),
      operation: { kind: "delete" as const, at: now },
    };
  });
  return { state: { ...call.state, slices }, early };
}

/** The refusal for slices that {@link deleteSlices} had to leave. */
export function notYetStable(ids: readonly string[]): ApiError {
  return new ApiError(
    500,
    `Unable to delete Slices [${ids.map((i) => `'${i}'`).join(", ")}] that are not yet stable, try again later`,
  );
}

/** A call on a running sliver. @throws ApiError */
export function createPoa(
  call: Call,
  sliverId: string,
  operation: string,
): { readonly state: EmulatorState; readonly id: string; readonly sliceId: string } {
  if (operation === "rescan" && !call.who.tags.includes("Component.FPGA")) {
    throw new ApiError(401, "POA rescan not authorized - missing permissions Component.FPGA");
  }
  const slice = call.state.slices.find(
    (s) => s.owner.id === call.who.id && s.slivers.some((x) => x.id === sliverId),
  );
  const sliver = slice?.slivers.find((x) => x.id === sliverId);
  if (slice === undefined || sliver === undefined)
    throw new ApiError(404, `Reservation# ${sliverId} not found`);
  if (sliverState(sliver, slice, call.now).state !== "Active") {
    throw new ApiError(500, `Cannot trigger POA; Reservation# ${sliverId} is not Active`);
  }
  const id = call.newId();
  const poa = {
    id,
    operation,
    sliverId,
    sliceId: slice.id,
    projectId: call.who.project.id,
    at: call.now,
    doneAt: call.now + call.scenario.delays.poa,
  };
  return { state: { ...call.state, poas: [...call.state.poas, poa] }, id, sliceId: slice.id };
}
