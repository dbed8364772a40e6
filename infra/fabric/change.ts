/**
 * From an old and a new specification of a slice: what changes in place, what replaces a node, and how to say it. Pure. That FABRIC ignores
 * changes of size, image and site in a modify is known here and in topology.ts (generationOf) only.
 */
import { fimJson } from "./fim.js";
import { leaseDay } from "./lease.js";
import type { NodeSpec } from "./spec.js";
import { imageRef, type PlannedNode, planTopology, type Topology } from "./topology.js";

/** The part of a slice's specification that can change while the slice lives. */
export interface ChangeableSlice {
  readonly name: string;
  readonly lease: string;
  readonly nodes: Readonly<Record<string, NodeSpec>>;
}

export interface ReplacedNode {
  readonly name: string;
  /** e.g. `4 to 8 cores`, `AMST to LOSA` */
  readonly why: readonly string[];
}

export interface UpdatedNode {
  readonly name: string;
  readonly what: readonly ("components" | "user data")[];
}

export interface SliceChange {
  /** Names of nodes, sorted. */
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Nodes that get a new machine under the old name. */
  readonly replaced: readonly ReplacedNode[];
  /** Nodes that change while they run. */
  readonly updated: readonly UpdatedNode[];
  /** Sites that get a network, and that lose theirs. */
  readonly networks: { readonly added: readonly string[]; readonly removed: readonly string[] };
  /** Names of the nodes that stay and whose routes change. */
  readonly rerouted: readonly string[];
  readonly lease?: { readonly from: string; readonly to: string };
}

export function planChange(before: ChangeableSlice, after: ChangeableSlice): SliceChange {
  const old = planTopology(before);
  const wanted = planTopology(after);
  const oldNodes = new Map(old.nodes.map((n) => [n.name, n]));
  const newNames = new Set(wanted.nodes.map((n) => n.name));
  const both = wanted.nodes.flatMap((now) => {
    const was = oldNodes.get(now.name);
    return was === undefined ? [] : [{ was, now }];
  });
  const stays = both.filter(({ was, now }) => was.generation === now.generation);
  const updated = stays
    .map(({ was, now }) => ({ name: now.name, what: inPlaceChanges(was, now) }))
    .filter((u) => u.what.length > 0);
  return {
    added: wanted.nodes.filter((n) => !oldNodes.has(n.name)).map((n) => n.name),
    removed: old.nodes.filter((n) => !newNames.has(n.name)).map((n) => n.name),
    replaced: both
      .filter(({ was, now }) => was.generation !== now.generation)
      .map(({ was, now }) => ({ name: now.name, why: reasons(was, now) })),
    updated,
    networks: { added: missing(wanted, old), removed: missing(old, wanted) },
    rerouted: stays
      .filter(({ now }) => otherSites(old, now) !== otherSites(wanted, now))
      .map(({ now }) => now.name),
    ...(before.lease === after.lease ? {} : { lease: { from: before.lease, to: after.lease } }),
  };
}

/** Whether the topology stays as it is; the lease may still change. */
export function keepsTopology(change: SliceChange): boolean {
  return [change.added, change.removed, change.replaced, change.updated].every((list) => list.length === 0);
}

export function isNothing(change: SliceChange): boolean {
  return keepsTopology(change) && change.lease === undefined;
}

/** Nodes whose machine goes: those that are removed and those that are replaced. They must be drained before. */
export function leavingNodes(change: SliceChange): readonly string[] {
  return [...change.removed, ...change.replaced.map((r) => r.name)].sort();
}

/**
 * A change in one line for people: `+ clientfour and a network at HAWI; routes on 6 nodes; nothing replaced; lease until 2026-12-06`.
 *
 * @param leaseEnd the lease's end as FABRIC gave it, where known; a changed lease is named instead
 */
export function describeChange(change: SliceChange, leaseEnd?: string): string {
  const parts: string[] = [];
  const { added, removed, networks } = change;
  const gains = join(names(added), networkPhrase("a", networks.added));
  const losses = join(names(removed), networkPhrase("the", networks.removed));
  if (gains !== "") parts.push(`+ ${gains}`);
  if (losses !== "") parts.push(`- ${losses}`);
  for (const { name, what } of change.updated) parts.push(`~ ${name} in place (${what.join(", ")})`);
  if (change.rerouted.length > 0) parts.push(`routes on ${count(change.rerouted.length, "node")}`);
  if (change.replaced.length === 0) parts.push("nothing replaced");
  else
    parts.push(
      `replaced, losing what is on them: ${change.replaced.map((r) => `${r.name} (${r.why.join(", ")})`).join(", ")}`,
    );
  if (change.lease !== undefined) parts.push(`lease ${change.lease.to} from now`);
  else if (leaseEnd !== undefined) parts.push(`lease until ${leaseDay(leaseEnd)}`);
  return parts.join("; ");
}

function inPlaceChanges(was: PlannedNode, now: PlannedNode): UpdatedNode["what"] {
  const changes: ("components" | "user data")[] = [];
  if ([...was.components].sort().join() !== [...now.components].sort().join()) changes.push("components");
  if (fimJson(was.userData) !== fimJson(now.userData)) changes.push("user data");
  return changes;
}

function reasons(was: NodeSpec, now: NodeSpec): string[] {
  const all: [string | number, string | number, string][] = [
    [was.site, now.site, ""],
    [was.cores, now.cores, " cores"],
    [was.ram, now.ram, " GB memory"],
    [was.disk, now.disk, " GB disk"],
    [imageRef(was.image), imageRef(now.image), ""],
  ];
  return all.filter(([a, b]) => a !== b).map(([a, b, unit]) => `${a} to ${b}${unit}`);
}

/** Sites of networks that `a` has and `b` has not. */
function missing(a: Topology, b: Topology): string[] {
  const sites = new Set(b.networks.map((n) => n.site));
  return a.networks.map((n) => n.site).filter((site) => !sites.has(site));
}

function otherSites(topology: Topology, node: PlannedNode): string {
  return topology.networks
    .map((n) => n.site)
    .filter((site) => site !== node.site)
    .join();
}

function names(list: readonly string[]): string {
  return list.join(", ");
}

function networkPhrase(article: "a" | "the", sites: readonly string[]): string {
  if (sites.length === 0) return "";
  if (sites.length === 1) return `${article} network at ${sites[0]}`;
  return `${article === "a" ? "" : "the "}networks at ${sites.join(", ")}`;
}

function join(a: string, b: string): string {
  return [a, b].filter((s) => s !== "").join(" and ");
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}
