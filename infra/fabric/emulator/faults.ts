/** Which faults strike: pure functions of the scenario, the counts kept so far, and what is asked. */
import { createHash } from "node:crypto";
import type { CallFault, CallName, SliverFault } from "./fault-schema.js";
import type { EmulatorState, FaultCounts } from "./model.js";
import type { Scenario } from "./scenario.js";

interface Rule {
  readonly name: string;
  readonly skip: number;
  readonly times?: number | undefined;
  readonly probability: number;
}

interface Struck<F> {
  readonly counts: FaultCounts;
  readonly fault?: F;
  readonly name?: string;
}

/** The state with these counts; the same object when nothing was counted. */
export function withCounts(state: EmulatorState, counts: FaultCounts | undefined): EmulatorState {
  return counts === undefined || counts === state.faults ? state : { ...state, faults: counts };
}

/** The counts of a state. */
export const countsOf = (state: EmulatorState): FaultCounts => state.faults ?? none;
const none: FaultCounts = {};

/** Evenly between 0 and 1, the same for the same words. */
export function draw(seed: number, ...words: readonly (string | number)[]): number {
  const hash = createHash("sha256")
    .update(JSON.stringify([seed, ...words]))
    .digest();
  return hash.readUInt32BE(0) / 2 ** 32;
}

/** The fault that strikes a call, if one does. `slice`: the name of the slice it is about. */
export function strikeCall(
  scenario: Scenario,
  counts: FaultCounts,
  call: { readonly name: CallName; readonly slice?: string | undefined },
): Struck<CallFault> {
  return strike(
    scenario.seed,
    scenario.faults.filter(
      (r) => r.calls.includes(call.name) && (r.slice === undefined || r.slice === call.slice),
    ),
    counts,
  );
}

export interface SliverWish {
  /** Of the element it is for. */
  readonly name: string;
  readonly type: string;
  readonly site: string;
  readonly slice: string;
}

/** The fault that strikes a sliver when it is made, or when it is changed. */
export function strikeSliver(
  scenario: Scenario,
  counts: FaultCounts,
  sliver: SliverWish,
  changed: boolean,
): Struck<SliverFault> {
  const fits = scenario.sliverFaults.filter(
    (r) =>
      changed === (r.fault.kind === "fail" && r.fault.at === "modify") &&
      matches(r.element, sliver.name) &&
      (r.type ?? sliver.type) === sliver.type &&
      (r.site ?? sliver.site) === sliver.site &&
      (r.slice ?? sliver.slice) === sliver.slice,
  );
  return strike(scenario.seed, fits, counts);
}

/** Counts it for every rule that fits; the first that strikes is the one. */
function strike<F>(
  seed: number,
  rules: readonly (Rule & { readonly fault: F })[],
  before: FaultCounts,
): Struck<F> {
  if (rules.length === 0) return { counts: before };
  const counts: Record<string, FaultCounts[string]> = { ...before };
  let found: (Rule & { readonly fault: F }) | undefined;
  for (const rule of rules) {
    const { seen, struck } = before[rule.name] ?? { seen: 0, struck: 0 };
    const strikes =
      found === undefined &&
      seen >= rule.skip &&
      struck < (rule.times ?? Number.POSITIVE_INFINITY) &&
      draw(seed, rule.name, seen) < rule.probability;
    if (strikes) found = rule;
    counts[rule.name] = { seen: seen + 1, struck: struck + (strikes ? 1 : 0) };
  }
  return { counts, ...(found === undefined ? {} : { fault: found.fault, name: found.name }) };
}

/** `*` is any text. Linear in both: no regular expression is made of what a person wrote. */
export function matches(pattern: string | undefined, text: string): boolean {
  if (pattern === undefined) return true;
  const [first = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return pattern === text;
  if (!text.startsWith(first)) return false;
  const last = rest.pop() ?? "";
  let at = first.length;
  for (const part of rest) {
    const next = text.indexOf(part, at);
    if (next < 0) return false;
    at = next + part.length;
  }
  return text.length - at >= last.length && text.endsWith(last);
}
