/**
 * What every call on slices shares: who calls, on which state, and the checks of a submitted graph. The calls are pure functions from a
 * state to the next. Source: orchestrator_handler.py of the ControlFramework (30e67e2): the same checks in the same order, with the same words.
 */
import type { PropertyGraph } from "../graph.js";
import { readGraphml } from "../graphml.js";
import { reservable } from "./allocate.js";
import { ApiError } from "./api-error.js";
import type { EmulatorState, SliceRecord, SliverRecord } from "./model.js";
import { permissionFault } from "./permissions.js";
import type { Scenario } from "./scenario.js";
import type { Identity } from "./token.js";
import { fimFault, supportedServices } from "./validate.js";
import { GraphView } from "./view.js";

export interface Call {
  readonly scenario: Scenario;
  readonly state: EmulatorState;
  readonly who: Identity;
  readonly now: number;
  readonly newId: () => string;
}

/** What a call leaves behind: the next state and the slivers it made or changed. */
export interface Outcome {
  readonly state: EmulatorState;
  readonly slice: SliceRecord;
  readonly slivers: ReadonlySet<string>;
}

/** The real one's words. */
export const maintenanceText =
  "Testbed is in maintenance mode: Create, Modify and Renew Slice(s) are disabled!";

/** @throws ApiError 500 as FIM and the policy decision point word it */
export function checkedGraph(graphml: string, who: Identity): PropertyGraph {
  let graph: PropertyGraph;
  try {
    graph = readGraphml(graphml);
  } catch (error) {
    throw new ApiError(
      500,
      `Unable to load graph: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  const fault = fimFault(graph) ?? permissionFault(graph, who.tags);
  if (fault !== undefined) throw new ApiError(500, fault);
  return graph;
}

export function checkSlivers(graph: PropertyGraph): void {
  const { nodes, services } = reservable(new GraphView(graph));
  for (const n of nodes) {
    if (n.props.Capacities !== undefined || (n.props.Type === "VM" && n.props.CapacityHints !== undefined))
      continue;
    throw new ApiError(
      400,
      n.props.Type === "VM"
        ? "Either Capacity or Capacity Hints must be specified!"
        : "Either Capacity must be specified!",
    );
  }
  if (services.some((s) => !supportedServices.has(s.props.Type ?? "")))
    throw new ApiError(400, "Not implemented");
}

export function checkMaintenance(call: Call, graph: PropertyGraph): void {
  if (call.scenario.maintenance) throw new ApiError(500, maintenanceText);
  const site = reservable(new GraphView(graph)).nodes.find(
    (n) => call.scenario.sites.get(n.props.Site ?? "")?.maintenance,
  )?.props.Site;
  if (site !== undefined) throw new ApiError(500, `Site ${site} is in maintenance`);
}

export function replaced(
  state: EmulatorState,
  slice: SliceRecord,
): { readonly state: EmulatorState; readonly slice: SliceRecord } {
  return { state: { ...state, slices: state.slices.map((s) => (s.id === slice.id ? slice : s)) }, slice };
}

export function replaceSliver(slice: SliceRecord, sliver: SliverRecord): SliceRecord {
  return { ...slice, slivers: slice.slivers.map((s) => (s.id === sliver.id ? sliver : s)) };
}
