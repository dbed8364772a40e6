/**
 * What a modify changes: the submitted graph against the stored one, element by element by NodeID. Only what FABRIC acts on counts: elements that come or
 * go, an interface's capacities, the labels of a routed network, user data. A VM's size, image or site is ignored, and
 * the stored text stays. Source: orchestrator_slice_wrapper.py (modify) of the ControlFramework.
 */
import { fimClass } from "../fim.js";
import type { GraphNode, PropertyGraph } from "../graph.js";
import { reservable } from "./allocate.js";
import { classOf, GraphView, nodeId } from "./view.js";

/** Properties that only the server sets; on a new element they are dropped. */
export const serverProperties: ReadonlySet<string> = new Set([
  "ReservationInfo", "MgmtIp", "LabelAllocations", "CapacityAllocations", "NodeMap",
]); // biome-ignore format: a list

export interface ModifyPlan {
  /** New VMs and switches, new networks: elements of the merged graph. */
  readonly addedNodes: readonly GraphNode[];
  readonly addedServices: readonly GraphNode[];
  /** NodeIDs of elements with a sliver that went. */
  readonly removed: readonly string[];
  /** NodeIDs of elements with a sliver whose parts changed. */
  readonly changed: readonly string[];
  /** Some element's user data differs. */
  readonly userData: boolean;
  /** The stored graph with the effective changes. */
  readonly graph: PropertyGraph;
}

/** Whether anything is left to the sites to do: then the slice goes through Modifying. */
export function needsWork(plan: ModifyPlan): boolean {
  return plan.addedNodes.length + plan.addedServices.length + plan.removed.length + plan.changed.length > 0;
}

/** The graph as it was asked for, without what a server adds. */
export function withoutServerProperties(graph: PropertyGraph): PropertyGraph {
  return {
    nodes: graph.nodes.map((n) => ({
      ...n,
      props: Object.fromEntries(Object.entries(n.props).filter(([k]) => !serverProperties.has(k))),
    })),
    edges: graph.edges,
  };
}

export function planModify(stored: PropertyGraph, submitted: PropertyGraph): ModifyPlan {
  const before = new GraphView(stored);
  let userData = false;
  const touched = new Set<string>();
  const nodes = withoutServerProperties(submitted).nodes.map((n) => {
    const old = before.find(nodeId(n));
    if (old === undefined) return n;
    const props = merged(old, n);
    if (props.UserData !== old.props.UserData) userData = true;
    if (props.Capacities !== old.props.Capacities || props.Labels !== old.props.Labels)
      touched.add(nodeId(n));
    return { ...n, props };
  });
  const graph = { nodes, edges: submitted.edges };
  const after = new GraphView(graph);
  const was = sliverElements(before);
  const is = sliverElements(after);
  const changed = new Set<string>();
  const owner = (view: GraphView, n: GraphNode) =>
    view
      .line(n)
      .map(nodeId)
      .find((id) => was.has(id) && is.has(id));
  const mark = (view: GraphView, n: GraphNode): void => {
    const id = owner(view, n);
    if (id !== undefined) changed.add(id);
  };
  for (const n of nodes)
    if (isPart(n) && (before.find(nodeId(n)) === undefined || touched.has(nodeId(n)))) mark(after, n);
  for (const n of nodes) if (classOf(n) === fimClass.service && touched.has(nodeId(n))) mark(after, n);
  for (const n of stored.nodes) if (isPart(n) && after.find(nodeId(n)) === undefined) mark(before, n);
  return {
    addedNodes: reservable(after).nodes.filter((n) => !was.has(nodeId(n))),
    addedServices: reservable(after).services.filter((n) => !was.has(nodeId(n))),
    removed: [...was].filter((id) => !is.has(id)),
    changed: [...changed],
    userData,
    graph,
  };
}

/** Components and ports: parts of slivers. */
function isPart(n: GraphNode): boolean {
  return classOf(n) === fimClass.component || classOf(n) === fimClass.port;
}

function sliverElements(view: GraphView): ReadonlySet<string> {
  const { nodes, services } = reservable(view);
  return new Set([...nodes, ...services].map(nodeId));
}

function merged(old: GraphNode, sent: GraphNode): Record<string, string> {
  const props: Record<string, string> = { ...old.props };
  take("UserData");
  if (classOf(old) === fimClass.port && sent.props.Capacities !== undefined) take("Capacities");
  if ((old.props.Type ?? "").startsWith("FABNet") && sent.props.Labels !== undefined) take("Labels");
  return props;

  function take(name: string): void {
    const value = sent.props[name];
    if (value === undefined) delete props[name];
    else props[name] = value;
  }
}
