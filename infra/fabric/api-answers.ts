/** The shapes of the orchestrator's answers, as far as they are used. Unknown fields are left alone; nulls are dropped by the server. */
import { z } from "zod";

const text = z.string();

export const sliceSchema = z
  .object({
    slice_id: text,
    name: text,
    state: text,
    graph_id: text.nullish(),
    model: text.nullish(),
    project_id: text.nullish(),
    project_name: text.nullish(),
    owner_email: text.nullish(),
    lease_start_time: text.nullish(),
    lease_end_time: text.nullish(),
  })
  .transform((s) => ({
    sliceId: s.slice_id,
    name: s.name,
    state: s.state,
    ...(s.model ? { model: s.model } : {}),
    ...(s.project_name ? { projectName: s.project_name } : {}),
    ...(s.owner_email ? { owner: s.owner_email } : {}),
    ...(s.lease_start_time ? { leaseStart: s.lease_start_time } : {}),
    ...(s.lease_end_time ? { leaseEnd: s.lease_end_time } : {}),
  }));

export const sliverSchema = z
  .object({
    sliver_id: text,
    slice_id: text,
    graph_node_id: text.nullish(),
    sliver_type: text.nullish(),
    state: text,
    pending_state: text.nullish(),
    notice: text.nullish(),
    sliver: z.record(z.string(), z.unknown()).nullish(),
  })
  .transform((s) => {
    const name = s.sliver?.Name;
    return {
      sliverId: s.sliver_id,
      state: s.state,
      ...(s.graph_node_id ? { nodeId: s.graph_node_id } : {}),
      ...(s.sliver_type ? { type: s.sliver_type } : {}),
      ...(s.notice ? { notice: s.notice } : {}),
      ...(typeof name === "string" ? { name } : {}),
    };
  });

/** The answer around each answer: `{data, type, size, status}`. */
export function envelope<T extends z.ZodType>(item: T) {
  return z.object({ data: z.array(item).nullish() }).transform((e) => e.data ?? []);
}

/** A slice as the orchestrator describes it. */
export interface FabricSliceState {
  readonly sliceId: string;
  readonly name: string;
  /** e.g. `StableOK`; see slice-states.ts. */
  readonly state: string;
  /** GraphML, where it was asked for. */
  readonly model?: string;
  readonly projectName?: string;
  /** The mail address of the user whose it is. */
  readonly owner?: string;
  /** When it was made, or shall begin: `2026-11-22 10:00:00 +0000` */
  readonly leaseStart?: string;
  /** `2026-12-06 10:00:00 +0000` */
  readonly leaseEnd?: string;
}

/** A sliver: what FABRIC made of one node or network. */
export interface FabricSliver {
  readonly sliverId: string;
  /** e.g. `Active`, `Failed`, `Closed` */
  readonly state: string;
  /** The NodeID of the node or network in the slice's graph. */
  readonly nodeId?: string;
  readonly type?: string;
  /** Why it failed, in FABRIC's words. */
  readonly notice?: string;
  readonly name?: string;
}

/**
 * Why a sliver is in its state, without what everybody knows: of `Reservation <id> (Slice ...) is in state (Failed,None_), err=<why>` the why.
 */
export function noticeOf(sliver: Pick<FabricSliver, "notice" | "state">): string {
  const { notice, state } = sliver;
  if (notice === undefined || notice === "") return `${state}, without a reason`;
  const why = /\berr=(.+)$/s.exec(notice)?.[1]?.trim();
  return why === undefined || why === "" ? notice : why;
}
