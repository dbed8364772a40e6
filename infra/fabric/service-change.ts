/** What changes among the networks that a specification asks for. Pure; change.ts tells it with the rest. */
import { serviceGeneration } from "./card-graph.js";
import { fimJson } from "./fim.js";
import type { PlannedService, Topology } from "./topology.js";

export interface ServiceChange {
  /** Names of networks, sorted. */
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Another type, site or bandwidth: FABRIC makes a new network under the old name. */
  readonly replaced: readonly string[];
  /** Other nodes, cards or tags on it, while it runs. */
  readonly updated: readonly string[];
}

export function planServiceChange(old: Topology, wanted: Topology): ServiceChange {
  const before = new Map(old.services.map((s) => [s.name, s]));
  const after = new Set(wanted.services.map((s) => s.name));
  const both = wanted.services.flatMap((now) => {
    const was = before.get(now.name);
    return was === undefined ? [] : [{ was, now }];
  });
  const same = ({ was, now }: { was: PlannedService; now: PlannedService }) =>
    serviceGeneration(was) === serviceGeneration(now);
  return {
    added: wanted.services.filter((s) => !before.has(s.name)).map((s) => s.name),
    removed: old.services.filter((s) => !after.has(s.name)).map((s) => s.name),
    replaced: both.filter((b) => !same(b)).map((b) => b.now.name),
    updated: both
      .filter((b) => same(b) && fimJson(b.was.interfaces) !== fimJson(b.now.interfaces))
      .map((b) => b.now.name),
  };
}

export function keepsServices(change: ServiceChange): boolean {
  return [change.added, change.removed, change.replaced, change.updated].every((list) => list.length === 0);
}

/** One phrase a kind of change, as `describeChange` joins them: `+ network link`. */
export function describeServices({ added, removed, replaced, updated }: ServiceChange): string[] {
  const phrase = (names: readonly string[], before: string, after = ""): string[] =>
    names.length === 0
      ? []
      : [`${before} ${names.length === 1 ? "network" : "networks"} ${names.join(", ")}${after}`];
  return [
    ...phrase(added, "+"),
    ...phrase(removed, "-"),
    ...phrase(updated, "~", " in place (interfaces)"),
    ...phrase(replaced, "+-", " (made anew)"),
  ];
}
