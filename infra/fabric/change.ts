/**
 * From an old and a new specification of a slice: what changes in place, what replaces a node, and how to say it. Pure. That FABRIC ignores
 * changes of size, image and site in a modify is known here and in topology.ts (generationOf) only.
 */
import { fimJson } from "./fim.js";
import { describeServices, keepsServices, planServiceChange, type ServiceChange } from "./service-change.js";
import type { NetworkSpec, NodeSpec } from "./spec.js";
import { type PlannedNode, planTopology, sameMachine, type Topology } from "./topology.js";

/** The part of a slice's specification that can change while the slice lives. */
export interface ChangeableSlice {
  readonly name: string;
  readonly lease: string;
  readonly renewWithin?: string | undefined;
  readonly nodes: Readonly<Record<string, NodeSpec>>;
  readonly networks?: Readonly<Record<string, NetworkSpec>> | undefined;
}

export interface ReplacedNode {
  readonly name: string;
  /** e.g. `4 to 8 cores`, `AMST to LOSA` */
  readonly why: readonly string[];
}

export interface UpdatedNode {
  readonly name: string;
  /** e.g. `components`, `user data` */
  readonly what: readonly string[];
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
  /** Networks that the specification asks for. */
  readonly services: ServiceChange;
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
  const stays = both.filter(({ was, now }) => sameMachine(now, was));
  const updated = stays
    .map(({ was, now }) => ({ name: now.name, what: inPlaceChanges(was, now) }))
    .filter((u) => u.what.length > 0);
  return {
    added: wanted.nodes.filter((n) => !oldNodes.has(n.name)).map((n) => n.name),
    removed: old.nodes.filter((n) => !newNames.has(n.name)).map((n) => n.name),
    replaced: both
      .filter(({ was, now }) => !sameMachine(now, was))
      .map(({ was, now }) => ({ name: now.name, why: reasons(was, now) })),
    updated,
    networks: { added: missing(wanted, old), removed: missing(old, wanted) },
    services: planServiceChange(old, wanted),
    rerouted: stays
      .filter(({ was, now }) => otherSites(old, was) !== otherSites(wanted, now))
      .map(({ now }) => now.name),
    ...(before.lease === after.lease ? {} : { lease: { from: before.lease, to: after.lease } }),
  };
}

/** Whether the topology stays as it is; the lease may still change. */
export function keepsTopology(change: SliceChange): boolean {
  const { added, removed, replaced, updated, services } = change;
  return [added, removed, replaced, updated].every((list) => list.length === 0) && keepsServices(services);
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
 * @param lease what happens to the lease (describeLease); empty where it is not known
 */
export function describeChange(change: SliceChange, lease = ""): string {
  const parts: string[] = [];
  const { added, removed, networks } = change;
  const gains = join(names(added), networkPhrase("a", networks.added));
  const losses = join(names(removed), networkPhrase("the", networks.removed));
  if (gains !== "") parts.push(`+ ${gains}`);
  if (losses !== "") parts.push(`- ${losses}`);
  for (const { name, what } of change.updated) parts.push(`~ ${name} in place (${what.join(", ")})`);
  parts.push(...describeServices(change.services));
  if (change.rerouted.length > 0) parts.push(`routes on ${count(change.rerouted.length, "node")}`);
  if (change.replaced.length === 0) parts.push("nothing replaced");
  else
    parts.push(
      `replaced, losing what is on them: ${change.replaced.map((r) => `${r.name} (${r.why.join(", ")})`).join(", ")}`,
    );
  if (lease !== "") parts.push(lease);
  return parts.join("; ");
}

/** What of a node's plan follows from the rest of it or of the slice. */
const derived: ReadonlySet<string> = new Set(["name", "network", "generation", "instanceType"]);
/** Lists without an order. */
const listed: ReadonlySet<string> = new Set(["components", "storage"]);
/** What never replaces a node. Anything else that is new here and that sameMachine looks at is told as a reason. */
const inPlace: ReadonlySet<string> = new Set(["components", "userData", "nics", "storage", "siteNetwork"]);
/** What a node that stays does not mind losing: a wish that is given up changes nothing on FABRIC. */
const atStart: ReadonlySet<string> = new Set(["host", "bootScript"]);

/** The parts of a plan in which two plans of a node differ. An order of components is none. */
function differences(was: PlannedNode, now: PlannedNode): string[] {
  const [a, b]: Readonly<Record<string, unknown>>[] = [{ ...was }, { ...now }];
  const text = (key: string, value: unknown) =>
    fimJson(listed.has(key) && Array.isArray(value) ? [...value].sort() : (value ?? null));
  return [...new Set([...Object.keys(was), ...Object.keys(now)])].filter(
    (key) => !derived.has(key) && text(key, a?.[key]) !== text(key, b?.[key]),
  );
}

function inPlaceChanges(was: PlannedNode, now: PlannedNode): string[] {
  return differences(was, now)
    .filter((key) => !atStart.has(key))
    .map(words);
}

/** `userData` as people say it: `user data`. */
const words = (key: string): string => key.replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`);

const units: Readonly<Record<string, string>> = {
  site: "",
  cores: " cores",
  ram: " GB memory",
  disk: " GB disk",
  image: "",
};

function reasons(was: PlannedNode, now: PlannedNode): string[] {
  const [a, b]: Readonly<Record<string, unknown>>[] = [{ ...was }, { ...now }];
  const keys = differences(was, now).filter((key) => !inPlace.has(key));
  return keys.map((key) => {
    const [before, after] = [a?.[key], b?.[key]];
    const plain = [before, after].every((v) => ["string", "number"].includes(typeof v));
    if (!plain || key === "bootScript") return words(key);
    const unit = units[key];
    return unit === undefined
      ? `${words(key)} ${String(before)} to ${String(after)}`
      : `${String(before)} to ${String(after)}${unit}`;
  });
}

/** Sites of networks that `a` has and `b` has not. */
function missing(a: Topology, b: Topology): string[] {
  const sites = new Set(b.networks.map((n) => n.site));
  return a.networks.map((n) => n.site).filter((site) => !sites.has(site));
}

/** The sites that a node has routes to. */
function otherSites(topology: Topology, node: PlannedNode): string {
  if (node.network === undefined) return "";
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
