/** PUT slices/modify and its acceptance. */
import type { PropertyGraph } from "../graph.js";
import { allocate, gatewayIn, portGrants, reservable, wishOfSliver } from "./allocate.js";
import { ApiError } from "./api-error.js";
import {
  type Call,
  checkedGraph,
  checkMaintenance,
  checkSlivers,
  type Outcome,
  replaced,
  replaceSliver,
} from "./call.js";
import { holds } from "./capacity.js";
import { countsOf, strikeSliver, withCounts } from "./faults.js";
import type { EmulatorState, SliceRecord, SliverRecord } from "./model.js";
import { type ModifyPlan, needsWork, planModify } from "./modify.js";
import { extendVm } from "./place.js";
import { closed } from "./render.js";
import { hasFailed, isModified, isStable, sliceState } from "./states.js";
import { GraphView, nameOf, nodeId, withoutElements } from "./view.js";

/** @throws ApiError */
export function modifySlice(call: Call, sliceId: string, graphml: string): Outcome {
  const { scenario, now } = call;
  const slice = call.state.slices.find((s) => s.id === sliceId);
  if (slice === undefined) throw new ApiError(404, "User# has no Slices");
  if (!isStable(sliceState(slice, now))) {
    throw new ApiError(500, `Unable to modify Slice# ${sliceId} that is not yet stable, try again later`);
  }
  const submitted = checkedGraph(graphml, call.who);
  const plan = planModify(slice.graph, submitted);
  checkReservationIds(slice, submitted);
  checkSlivers(submitted);
  checkMaintenance(call, submitted);
  if (!needsWork(plan)) {
    const kept: SliceRecord = plan.userData ? { ...slice, graph: plan.graph, graphId: call.newId() } : slice;
    return { ...replaced(call.state, kept), slivers: new Set() };
  }
  const removed = new Set(plan.removed);
  const closing = slice.slivers.map((s) => (removed.has(s.nodeId) ? closed(slice, s, now) : s));
  const next = { ...slice, slivers: closing, graph: plan.graph, graphId: call.newId() };
  const {
    slice: extended,
    changed,
    state: after,
  } = changeSlivers({ ...call, state: replaced(call.state, next).state }, next, plan);
  const { state: counted, slivers: made } = allocate(scenario, replaced(after, extended).state, {
    view: new GraphView(plan.graph),
    nodes: plan.addedNodes,
    services: plan.addedServices,
    existing: extended.slivers,
    now,
    startAt: now,
    newId: call.newId,
    slice: slice.name,
  });
  // ports of networks that were there may join a VM that is new: they get their addresses once it has its card
  const whole = readdress({ ...extended, slivers: [...extended.slivers, ...made] }, plan);
  const done: SliceRecord = { ...whole, operation: { kind: "modify", at: now } };
  return { ...replaced(counted, done), slivers: new Set([...made.map((s) => s.id), ...changed]) };
}

/** Gives running VMs their new components, and takes back those that went. */
function changeSlivers(
  call: Call,
  slice: SliceRecord,
  plan: ModifyPlan,
): { slice: SliceRecord; changed: readonly string[]; state: EmulatorState } {
  const view = new GraphView(plan.graph);
  const ids: string[] = [];
  const before = countsOf(call.state);
  let counts = before;
  let current = slice;
  for (const sliver of slice.slivers) {
    if (sliver.closedAt !== undefined || hasFailed(sliver, call.now) || !plan.changed.includes(sliver.nodeId))
      continue;
    ids.push(sliver.id);
    const until = call.now + call.scenario.delays.modify;
    const element = view.find(sliver.nodeId);
    const parts = new Set(element === undefined ? [] : view.subtree(element).map(nodeId));
    const grants = Object.fromEntries(Object.entries(sliver.grants).filter(([id]) => parts.has(id)));
    const struck =
      element === undefined
        ? { counts }
        : strikeSliver(call.scenario, counts, wishOfSliver(element, slice.name), true);
    counts = struck.counts;
    if (struck.fault?.kind === "fail" && element !== undefined) {
      const error = struck.fault.text.replaceAll("{name}", nameOf(element));
      const inside = sliver.kind === "NodeSliver" ? view.components(element) : view.ports(element);
      const failedParts = inside
        .map(nodeId)
        .filter((id) => sliver.grants[id] === undefined && !sliver.hold.devices.some((d) => d.nodeId === id));
      const change = { how: "modify" as const, until, error };
      current = replaceSliver(current, {
        ...sliver,
        change,
        ...(failedParts.length === 0 ? {} : { failedParts }),
      });
      continue;
    }
    let next: SliverRecord = { ...sliver, grants, change: { how: "modify", until } };
    if (sliver.kind === "NodeSliver" && element !== undefined) {
      const hold = { ...sliver.hold, devices: sliver.hold.devices.filter((d) => parts.has(d.nodeId)) };
      const known = new Set([...hold.devices.map((d) => d.nodeId), ...Object.keys(sliver.grants)]);
      const added = view.components(element).filter((c) => !known.has(nodeId(c)));
      const taken = holds(replaced(call.state, replaceSliver(current, { ...next, hold })).state, call.now);
      const result = extendVm(call.scenario, taken, view, element, hold, added);
      const error = result.failed.length > 0 ? "Insufficient resources : Component not available" : undefined;
      next = {
        ...next,
        hold: result.hold,
        grants: { ...grants, ...result.grants },
        change: { how: "modify", until, ...(error === undefined ? {} : { error }) },
        ...(result.failed.length > 0 ? { failedParts: result.failed } : {}),
      };
    }
    current = replaceSliver(current, next);
  }
  return {
    slice: current,
    changed: ids,
    state: counts === before ? call.state : withCounts(call.state, counts),
  };
}

function readdress(slice: SliceRecord, plan: ModifyPlan): SliceRecord {
  const view = new GraphView(plan.graph);
  let current = slice;
  for (const sliver of slice.slivers) {
    const service = view.find(sliver.nodeId);
    if (
      sliver.kind !== "NetworkServiceSliver" ||
      service === undefined ||
      sliver.closedAt !== undefined ||
      sliver.change?.error !== undefined ||
      !plan.changed.includes(sliver.nodeId)
    )
      continue;
    const ports = portGrants(
      view,
      service,
      gatewayIn(sliver.grants, sliver.nodeId),
      slice.slivers,
      sliver.grants,
    );
    current = replaceSliver(current, { ...sliver, grants: { ...sliver.grants, ...ports } });
  }
  return current;
}

/** Takes what a modify made, without what failed. On a slice that was not modified it changes nothing. */
export function acceptModify(call: Call, sliceId: string): Outcome {
  const slice = call.state.slices.find((s) => s.id === sliceId);
  if (slice === undefined) throw new ApiError(404, "User# has no Slices");
  const state = sliceState(slice, call.now);
  if (!isModified(state)) return { state: call.state, slice, slivers: new Set() };
  const failed = slice.slivers.filter((s) => s.closedAt === undefined && hasFailed(s, call.now));
  const gone = new Set([
    ...failed.map((s) => s.nodeId),
    ...slice.slivers.flatMap((s) => s.failedParts ?? []),
  ]);
  const slivers = slice.slivers.map((s) => {
    if (failed.includes(s)) return closed(slice, s, call.now);
    const { failedParts: _parts, change: _change, ...rest } = s;
    return rest;
  });
  return {
    ...replaced(call.state, {
      ...slice,
      slivers,
      graph: withoutElements(slice.graph, gone),
      operation: { kind: "accept", at: call.now, ok: state === "ModifyOK" },
    }),
    slivers: new Set(),
  };
}

/** The real one reads the reservation ids of nodes that stay from the graph it is sent, and stumbles where they are missing. */
function checkReservationIds(slice: SliceRecord, submitted: PropertyGraph): void {
  const known = new GraphView(slice.graph);
  for (const n of reservable(new GraphView(submitted)).nodes) {
    if (known.find(nodeId(n)) !== undefined && !n.props.ReservationInfo) {
      throw new ApiError(500, "'NoneType' object has no attribute 'reservation_id'");
    }
  }
}
