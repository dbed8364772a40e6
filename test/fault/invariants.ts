/**
 * What must hold after a run that was hit and the one after it, read from the emulator's own files and answers and from the engine's checkpoint: with none
 * of the code that made the slice.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type { SliceRecord, SliverRecord } from "../../infra/fabric/emulator/model.js";
import type { NodeWish } from "./schedule.js";

/** One look at the testbed. */
export interface Look {
  /** Everything the emulator has on its disk. */
  readonly records: readonly SliceRecord[];
  /** Slice id to FABRIC's word for its state. */
  readonly states: ReadonlyMap<string, string>;
}

export type Nodes = Readonly<Record<string, NodeWish>>;

/** Whose slices are ours. */
export interface Ours {
  readonly name: string;
  readonly owner: string;
}

/** A resource in the engine's checkpoint. */
export interface CheckpointResource {
  readonly urn: string;
  readonly type: string;
  readonly id?: string;
  readonly delete?: boolean;
  readonly outputs?: Readonly<Record<string, unknown>>;
  readonly initErrors?: readonly string[];
}

const isOver = (state: string | undefined): boolean =>
  state === "Dead" || state === "Closing" || state === undefined;
const isOurs = (s: SliceRecord, ours: Ours): boolean => s.name === ours.name && s.owner.id === ours.owner;

export function living(look: Look, ours: Ours): readonly SliceRecord[] {
  return look.records.filter((s) => isOurs(s, ours) && !isOver(look.states.get(s.id)));
}

/** A sliver that came up, or is coming up, and was not taken away. */
const isHealthy = (s: SliverRecord): boolean =>
  s.closedAt === undefined && s.problem === undefined && s.change?.error === undefined;

/** The slivers that a run to these nodes has no reason to touch: element name to sliver id. */
export function untouched(look: Look, ours: Ours, nodes: Nodes): ReadonlyMap<string, string> {
  const kept = new Map<string, string>();
  for (const slice of living(look, ours)) {
    for (const sliver of slice.slivers.filter(isHealthy)) {
      const name = fits(slice, sliver, nodes);
      if (name !== undefined) kept.set(`${slice.id} ${name}`, sliver.id);
    }
  }
  return kept;
}

/** The element's name when the sliver is as these nodes say. */
function fits(slice: SliceRecord, sliver: SliverRecord, nodes: Nodes): string | undefined {
  const props = slice.graph.nodes.find((n) => n.props.NodeID === sliver.nodeId)?.props;
  if (props?.Name === undefined) return undefined;
  if (sliver.kind === "NetworkServiceSliver")
    return Object.values(nodes).some((n) => n.site === props.Site) ? props.Name : undefined;
  const wish = nodes[props.Name];
  const size = JSON.parse(props.Capacities ?? "{}") as Record<string, number>;
  const same =
    wish !== undefined &&
    wish.site === props.Site &&
    wish.cores === size.core &&
    wish.ram === size.ram &&
    wish.disk === size.disk;
  return same ? props.Name : undefined;
}

export interface AfterUp {
  readonly before: Look;
  readonly after: Look;
  readonly ours: Ours;
  readonly nodes: Nodes;
  readonly checkpoint: readonly CheckpointResource[];
  /** Whether the slice's end had been asked for: then it is made anew. */
  readonly ending: boolean;
  /** Slivers that had to keep their ids, from `untouched` before the run. */
  readonly keep: ReadonlyMap<string, string>;
}

/** What is wrong after an `up` that said it went well; empty when all is as it should be. */
export function faultsAfterUp(run: AfterUp): string[] {
  const { after, ours, nodes, keep } = run;
  const slices = living(after, ours);
  const [slice] = slices;
  if (slice === undefined || slices.length > 1) return [`${slices.length} living slices of our name`];
  const wrong: string[] = [];
  const state = after.states.get(slice.id);
  if (state !== "StableOK") wrong.push(`the slice is ${state}`);
  const machines = slice.graph.nodes
    .filter((n) => n.props.Class === "NetworkNode")
    .map((n) => n.props.Name ?? "?");
  const networks = slice.graph.nodes
    .filter((n) => n.props.Class === "NetworkService" && n.props.Type === "FABNetv4")
    .map((n) => n.props.Site ?? "?");
  differ(wrong, "nodes in the graph", machines, Object.keys(nodes));
  differ(wrong, "networks in the graph", networks, [...new Set(Object.values(nodes).map((n) => n.site))]);
  for (const [name, { components = [] }] of Object.entries(nodes))
    differ(wrong, `components of ${name}`, componentsOf(slice, name), [
      "SharedNIC",
      ...components.map((c) => c.split("_")[0] ?? c),
    ]);
  const open = slice.slivers.filter((s) => s.closedAt === undefined);
  for (const s of open.filter((s) => !isHealthy(s)))
    wrong.push(`sliver ${s.id} is left, failed: ${s.problem}`);
  const fitting = open.filter((s) => fits(slice, s, nodes) !== undefined);
  if (fitting.length !== open.length || open.length !== machines.length + networks.length)
    wrong.push(
      `${open.length} slivers are open, ${fitting.length} of them as asked, for ${machines.length + networks.length} elements`,
    );
  const now = untouched(after, ours, nodes);
  for (const [name, id] of run.ending ? [] : keep)
    if (now.get(name) !== id) wrong.push(`${name} had sliver ${id} and has ${now.get(name)}`);
  // One that FABRIC gave up because none of it came up is not ours to answer for.
  const made = newSlices(run.before, after, ours).filter((s) =>
    s.slivers.some((v) => v.problem === undefined),
  );
  // One whose end had begun is replaced.
  const had = run.ending ? 0 : living(run.before, ours).length;
  if (made.length + had > 1) wrong.push(`slices ${made.map((s) => s.id).join(", ")} were made beside ${had}`);
  wrong.push(...faultsInCheckpoint(run, slice, open));
  return wrong;
}

function componentsOf(slice: SliceRecord, machine: string): string[] {
  const { nodes, edges } = slice.graph;
  const row = nodes.find((n) => n.props.Class === "NetworkNode" && n.props.Name === machine)?.id;
  const near = new Set(
    edges.flatMap((e) => (e.source === row ? [e.target] : e.target === row ? [e.source] : [])),
  );
  return nodes.filter((n) => near.has(n.id) && n.props.Class === "Component").map((n) => n.props.Type ?? "?");
}

/** The engine's state says what is there. */
function faultsInCheckpoint(
  { checkpoint, nodes }: AfterUp,
  slice: SliceRecord,
  open: readonly SliverRecord[],
): string[] {
  const wrong: string[] = [];
  const of = (kind: string) => checkpoint.filter((r) => r.type.endsWith(`dynamic/fabric:${kind}`));
  for (const r of checkpoint) {
    if (r.delete) wrong.push(`${r.urn} is still to be deleted`);
    if ((r.initErrors ?? []).length > 0) wrong.push(`${r.urn} is marked as unfinished: ${r.initErrors}`);
  }
  differ(
    wrong,
    "slices in the checkpoint",
    of("Slice").map((r) => r.id ?? "?"),
    [slice.id],
  );
  differ(
    wrong,
    "nodes in the checkpoint",
    of("Node").map((r) => String(r.outputs?.name)),
    Object.keys(nodes),
  );
  for (const r of [...of("Node"), ...of("Network")]) {
    const sliver = open.find((s) => s.id === r.outputs?.sliverId);
    if (sliver === undefined) wrong.push(`${r.urn} has sliver ${r.outputs?.sliverId}, which is not open`);
    else if (sliver.nodeId !== r.outputs?.nodeId)
      wrong.push(`${r.urn} has NodeID ${r.outputs?.nodeId}, its sliver ${sliver.nodeId}`);
    if (r.outputs?.slice !== slice.id) wrong.push(`${r.urn} is of slice ${r.outputs?.slice}`);
  }
  return wrong;
}

const newSlices = (before: Look, after: Look, ours: Ours): readonly SliceRecord[] => {
  const known = new Set(before.records.map((s) => s.id));
  return after.records.filter((s) => !known.has(s.id) && isOurs(s, ours));
};

/** What is wrong after a `destroy` that said it went well. */
export function faultsAfterDestroy(
  after: Look,
  ours: Ours,
  rest: { readonly checkpoint: readonly CheckpointResource[]; readonly marks: string },
): string[] {
  const wrong: string[] = [];
  for (const s of after.records.filter((r) => isOurs(r, ours))) {
    const state = after.states.get(s.id);
    if (state !== "Dead") wrong.push(`slice ${s.id} is ${state}`);
    for (const sliver of s.slivers.filter((v) => v.closedAt === undefined && v.problem === undefined))
      wrong.push(`sliver ${sliver.id} of ${s.id} is open`);
  }
  const left = rest.checkpoint.filter((r) => !r.type.startsWith("pulumi:"));
  if (left.length > 0) wrong.push(`the checkpoint holds ${left.map((r) => r.urn).join(", ")}`);
  // A create that was refused leaves its mark for the next one; once there was a slice its end takes the mark along.
  const had = after.records.some((r) => isOurs(r, ours));
  if (had && existsSync(rest.marks) && readdirSync(rest.marks).length > 0)
    wrong.push(`marks are left: ${readdirSync(rest.marks).join(", ")}`);
  return wrong;
}

/** Whether every slice that is not ours is as it was, and none was added. */
export function faultsAtOthers(first: Look, now: Look, ours: Ours): string[] {
  const others = (look: Look) => look.records.filter((s) => !isOurs(s, ours));
  const wrong = others(first).flatMap((was) => {
    const is = now.records.find((s) => s.id === was.id);
    return is !== undefined && JSON.stringify(is) === JSON.stringify(was)
      ? []
      : [`${was.name} (${was.id}) was touched`];
  });
  if (others(now).length !== others(first).length) wrong.push("a slice of another name or owner was made");
  return wrong;
}

/** The resources in the engine's file. */
export function readCheckpoint(file: string): {
  readonly resources: readonly CheckpointResource[];
  readonly pending: readonly unknown[];
} {
  if (!existsSync(file)) return { resources: [], pending: [] };
  const { checkpoint } = JSON.parse(readFileSync(file, "utf8")) as {
    checkpoint?: { latest?: { resources?: CheckpointResource[]; pending_operations?: unknown[] } };
  };
  return {
    resources: checkpoint?.latest?.resources ?? [],
    pending: checkpoint?.latest?.pending_operations ?? [],
  };
}

function differ(wrong: string[], what: string, found: readonly string[], wanted: readonly string[]): void {
  const [a, b] = [[...found].sort(), [...wanted].sort()];
  if (!isDeepStrictEqual(a, b))
    wrong.push(`${what}: ${a.join(", ") || "none"}; should be ${b.join(", ") || "none"}`);
}
