/** POST slices/creates. */
import type { PropertyGraph } from "../graph.js";
import { allocate, reservable } from "./allocate.js";
import { ApiError } from "./api-error.js";
import { type Call, checkedGraph, checkMaintenance, checkSlivers, type Outcome } from "./call.js";
import { newLease } from "./lease.js";
import type { SliceRecord } from "./model.js";
import { withoutServerProperties } from "./modify.js";
import { isEnded, sliceState } from "./states.js";
import { nodePorts } from "./validate.js";
import { GraphView } from "./view.js";

export interface CreateRequest {
  readonly name: string;
  readonly graphml: string;
  readonly sshKeys: readonly string[];
  readonly start?: number | undefined;
  readonly end?: number | undefined;
  /** Hours. */
  readonly lifetime?: number | undefined;
}

/** @throws ApiError */
export function createSlice(call: Call, request: CreateRequest): Outcome {
  const { state, scenario, who, now } = call;
  const lease = newLease({ ...request, unlimited: who.tags.includes("Slice.NoLimitLifetime") }, now);
  const graph = withSites(checkedGraph(request.graphml, who));
  const same = (s: SliceRecord) =>
    s.name === request.name && s.owner.id === who.id && s.project.id === who.project.id;
  if (state.slices.some((s) => same(s) && !isEnded(sliceState(s, now))))
    throw new ApiError(500, `Slice ${request.name} already exists`);
  checkSlivers(graph);
  checkMaintenance(call, graph);
  const { state: counted, slivers } = allocate(scenario, state, {
    view: new GraphView(graph),
    ...reservable(new GraphView(graph)),
    existing: [],
    now,
    startAt: lease.start,
    newId: call.newId,
    slice: request.name,
  });
  const slice: SliceRecord = {
    id: call.newId(),
    name: request.name,
    graphId: call.newId(),
    project: who.project,
    owner: { id: who.id, email: who.email },
    sshKeys: request.sshKeys,
    leaseStart: lease.start,
    leaseEnd: lease.end,
    closeMs: scenario.delays.close,
    operation: { kind: "create", at: now, begunAt: now + scenario.delays.nascent },
    graph,
    slivers,
  };
  return {
    state: { ...counted, slices: [...counted.slices, slice] },
    slice,
    slivers: new Set(slivers.map((s) => s.id)),
  };
}

/** Creating, FIM fills in the site of a network that has only one (a modify takes the text as it is). */
function withSites(graph: PropertyGraph): PropertyGraph {
  const bare = withoutServerProperties(graph);
  const view = new GraphView(bare);
  return {
    nodes: bare.nodes.map((n) => {
      if (n.props.Class !== "NetworkService" || n.props.Site) return n;
      const sites = new Set(nodePorts(view, n).map((p) => view.ownerNode(p)?.props.Site));
      const [only] = sites;
      return sites.size === 1 && only !== undefined ? { ...n, props: { ...n.props, Site: only } } : n;
    }),
    edges: bare.edges,
  };
}
