/** Which machines are up, for who runs machines for them: pure functions of the saved state and the time. */
import type { EmulatorState, SliceRecord, SliverRecord } from "./model.js";
import { closeTime, sliverState } from "./states.js";

/** A VM's sliver that is up. */
export interface ActiveNode {
  readonly slice: SliceRecord;
  readonly sliver: SliverRecord;
}

/** VMs that are up at this moment, in the order of their making. */
export function activeNodes(state: EmulatorState, now: number): readonly ActiveNode[] {
  return state.slices.flatMap((slice) =>
    slice.slivers
      .filter(
        (s) =>
          s.kind === "NodeSliver" &&
          ["Active", "ActiveTicketed"].includes(sliverState(s, slice, now).state) &&
          isVm(slice, s),
      )
      .map((sliver) => ({ slice, sliver })),
  );
}

/** The next moment at which {@link activeNodes} may answer otherwise without any call; undefined when there is none. */
export function nextNodeChange(state: EmulatorState, now: number): number | undefined {
  const moments = state.slices.flatMap((slice) =>
    slice.slivers
      .filter((s) => s.kind === "NodeSliver")
      .flatMap((s) => [s.activeAt, s.failsAt ?? 0, closeTime(s, slice)]),
  );
  const later = moments.filter((m) => m > now && Number.isFinite(m));
  return later.length === 0 ? undefined : later.reduce((a, b) => Math.min(a, b));
}

function isVm(slice: SliceRecord, sliver: SliverRecord): boolean {
  return slice.graph.nodes.some((n) => n.props.NodeID === sliver.nodeId && n.props.Type === "VM");
}
