// Decisions in this process, at 1,000 agreements of 100 users each. No floor of another program: the goal itself is the floor.
import type { Agreement, Archetype, RequestType } from "../../policy/contract/documents.js";
import { allows, compile, type DecisionRequest, decide, type Policy } from "../../policy/decision/index.js";
import { Dice } from "../support/random-worlds.js";
import { type Line, median } from "./measure.js";

const AGREEMENTS = 1_000;
const USERS = 100;
/** A clock's tick is as long as a decision: decisions are timed in batches, and a batch's mean counts as one. */
const BATCH = 100;
const NOW = Date.UTC(2026, 0, 3);

const ARCHETYPES: readonly Archetype[] = [
  { name: "central", computeProvider: "other", resultRecipient: "requestor", weight: 1 },
  { name: "local", computeProvider: "dataProvider", resultRecipient: "requestor", weight: 2 },
];
const TYPES: readonly RequestType[] = [
  { name: "train", requiredServices: [], dataSets: ["people"], columns: { people: ["age", "fare", "sex"] } },
  { name: "query", requiredServices: [], dataSets: ["people"] },
];
const steward = (i: number): string => `steward-${i}`;
const user = (i: number): string => `user-${i}@uva.nl`;
const computer = (i: number): string => steward(Math.floor(i / 10) * 10);

/** Neighbours name the same compute providers. Most rules hold, some lack a column, a type, or time. */
function agreement(i: number): Agreement {
  const computeProviders = [computer(i), computer((i + 10) % AGREEMENTS), computer((i + 20) % AGREEMENTS)];
  const relation = (u: number) => ({
    ID: String(u),
    requestTypes: u % 10 === 1 ? ["train"] : ["train", "query"],
    dataSets: ["people", "weather"],
    ...(u % 4 === 0 ? { columns: { people: u % 8 === 0 ? ["age", "fare"] : ["age", "fare", "sex"] } } : {}),
    allowedArchetypes: ["central", "local"],
    allowedComputeProviders: computeProviders,
    ...(u % 5 === 0 ? { notAfter: u % 15 === 0 ? "2026-01-01T00:00:00Z" : "2026-12-31T00:00:00Z" } : {}),
  });
  return {
    name: steward(i),
    relations: Object.fromEntries(Array.from({ length: USERS }, (_, u) => [user(u), relation(u)])),
    computeProviders,
    archetypes: ["central", "local"],
  };
}

/** Questions to three neighbours. */
function questions(count: number): readonly DecisionRequest[] {
  const dice = new Dice(1);
  return Array.from({ length: count }, () => {
    const first = dice.below(AGREEMENTS - 3);
    return {
      requestType: TYPES[dice.below(2)]?.name ?? "",
      user: user(dice.below(USERS)),
      dataProviders: [first, first + 1, first + 2].map(steward),
    };
  });
}

/** p50 in microseconds. */
function time(work: (request: DecisionRequest) => unknown, requests: readonly DecisionRequest[]): number {
  const means: number[] = [];
  for (let at = 0; at < requests.length; at += BATCH) {
    const batch = requests.slice(at, at + BATCH);
    const began = performance.now();
    for (const request of batch) work(request);
    means.push(((performance.now() - began) * 1_000) / batch.length);
  }
  return median(means);
}

export function decisionLines(short: boolean): Line[] {
  const began = performance.now();
  const policy: Policy = compile(
    Array.from({ length: AGREEMENTS }, (_, i) => ({ value: agreement(i), revision: i + 1 })),
    ARCHETYPES,
    TYPES,
  );
  const compiled = performance.now() - began;
  const requests = questions(short ? 20_000 : 100_000);
  let allowed = 0;
  const answers = (request: DecisionRequest): void => {
    if (allows(request, policy, NOW)) allowed += 1;
  };
  const reasons = (request: DecisionRequest): void => {
    if (decide(request, policy, NOW).decision === "allow") allowed += 1;
  };
  const taken = { answers: [] as number[], reasons: [] as number[] };
  for (let block = 0; block < 6; block += 1) {
    const [first, second] = [time(answers, requests), time(reasons, requests)];
    if (block === 0) continue; // it warms up
    taken.answers.push(first);
    taken.reasons.push(second);
  }
  const share = Math.round((100 * allowed) / (12 * requests.length));
  console.log(
    `${AGREEMENTS} agreements of ${USERS} users compiled in ${compiled.toFixed(0)} ms; ${share} % of the requests are allowed`,
  );
  return [
    { ...lineOf("decision, allow or deny, p50", median(taken.answers), 1) },
    { ...lineOf("decision with reasons, p50", median(taken.reasons), 10) },
  ];
}

const lineOf = (name: string, value: number, goal: number): Line => ({
  name,
  unit: "us",
  value,
  floor: goal,
  ratio: value / goal,
  goal: 1,
});
