/** What a client is shown of a slice at a moment: its graph with the server's properties, its slivers, its summary. */
import { fimClass, fimJson } from "../fim.js";
import type { GraphNode, PropertyGraph } from "../graph.js";
import { writeTime } from "./lease.js";
import type { PoaRecord, SliceRecord, SliverRecord } from "./model.js";
import { poaState, sliceState, sliverState } from "./states.js";
import { classOf, GraphView, nodeId } from "./view.js";

/** The stored graph with the server's properties, as they are at `now`. */
export function renderGraph(slice: SliceRecord, now: number): PropertyGraph {
  const extra = new Map<string, Record<string, string>>();
  const add = (id: string, props: Readonly<Record<string, string>>): void => {
    extra.set(id, { ...extra.get(id), ...props });
  };
  for (const sliver of slice.slivers) {
    const { state, error } = sliverState(sliver, slice, now);
    const message = error === undefined ? {} : { error_message: error };
    add(sliver.nodeId, {
      ReservationInfo: fimJson({ ...message, reservation_id: sliver.id, reservation_state: state }),
    });
    for (const part of sliver.failedParts ?? []) {
      add(part, {
        ReservationInfo: fimJson({ ...message, reservation_id: sliver.id, reservation_state: "Failed" }),
      });
    }
    if (state === "Nascent" || state === "Failed") continue;
    for (const [id, { MgmtIp, ...props }] of Object.entries(sliver.grants)) {
      add(id, state === "Ticketed" || MgmtIp === undefined ? props : { ...props, MgmtIp });
    }
  }
  return {
    nodes: slice.graph.nodes.map((n) => ({
      ...n,
      props: { ...n.props, ...extra.get(nodeId(n)), GraphID: slice.graphId },
    })),
    edges: slice.graph.edges,
  };
}

export interface SliceBody extends Readonly<Record<string, unknown>> {
  readonly slice_id: string;
  readonly state: string;
}

/** One entry of `slices` and `slice_details`. */
export function sliceBody(slice: SliceRecord, now: number, model?: string): SliceBody {
  return {
    slice_id: slice.id,
    name: slice.name,
    graph_id: slice.graphId,
    state: sliceState(slice, now),
    owner_email: slice.owner.email,
    owner_user_id: slice.owner.id,
    project_id: slice.project.id,
    project_name: slice.project.name,
    lease_start_time: writeTime(slice.leaseStart),
    lease_end_time: writeTime(slice.leaseEnd),
    ...(model === undefined ? {} : { model }),
  };
}

/** Entries of `slivers`: all of the slice, or those with the given ids. */
export function sliverBodies(
  slice: SliceRecord,
  now: number,
  only?: ReadonlySet<string>,
): readonly Readonly<Record<string, unknown>>[] {
  const view = new GraphView(renderGraph(slice, now));
  return slice.slivers
    .filter((s) => only === undefined || only.has(s.id))
    .map((s) => {
      const { state, pending, join, error, closedAt } = sliverState(s, slice, now);
      const notice = `Reservation ${s.id} (Slice ${slice.name}(${slice.id}) Graph Id:${slice.graphId} Owner:${slice.owner.email}) is in state (${state},${pending})`;
      return {
        slice_id: slice.id,
        sliver_id: s.id,
        state,
        pending_state: pending,
        join_state: join,
        graph_node_id: s.nodeId,
        sliver_type: s.kind,
        sliver: s.lastBody ?? sliverDictionary(view, s.nodeId),
        lease_start_time: writeTime(s.startAt),
        lease_end_time: writeTime(slice.leaseEnd),
        notice: error === undefined ? notice : `${notice}, err=${error}`,
        ...(closedAt === undefined ? {} : { closed_at: writeTime(closedAt) }),
      };
    });
}

/** A sliver as FIM's `sliver_to_dict` has it: properties as in the graph, parts as lists named in small letters. */
export function sliverDictionary(view: GraphView, id: string): Readonly<Record<string, unknown>> {
  const element = view.find(id);
  return element === undefined ? {} : dictionary(view, element, 0);
}

function dictionary(view: GraphView, n: GraphNode, depth: number): Readonly<Record<string, unknown>> {
  const { GraphID: _graph, NodeID: _id, Class: cls, ...props } = n.props;
  const list = (name: string, parts: readonly GraphNode[]) =>
    parts.length === 0 || depth > 6 ? {} : { [name]: parts.map((p) => dictionary(view, p, depth + 1)) };
  switch (cls ?? classOf(n)) {
    case fimClass.node:
      return {
        ...props,
        ...list("components", view.components(n)),
        ...list("network_services", view.servicesOf(n)),
      };
    case fimClass.component:
      return { ...props, ...list("network_services", view.servicesOf(n)) };
    default:
      return { ...props, ...list("interfaces", view.ports(n)) };
  }
}

/** Marks a sliver closed and keeps how it last looked. */
export function closed(slice: SliceRecord, sliver: SliverRecord, now: number): SliverRecord {
  if (sliver.closedAt !== undefined) return sliver;
  const lastBody = sliverDictionary(new GraphView(renderGraph(slice, now)), sliver.nodeId);
  return { ...sliver, closedAt: now, lastBody };
}

/** One entry of `poas`. */
export function poaBody(poa: PoaRecord, now: number): Readonly<Record<string, unknown>> {
  const state = poaState(poa, now);
  return {
    poa_id: poa.id,
    operation: poa.operation,
    sliver_id: poa.sliverId,
    slice_id: poa.sliceId,
    state,
    ...(state === "Success" && poa.operation.endsWith("info") ? { info: { [poa.sliverId]: {} } } : {}),
  };
}
