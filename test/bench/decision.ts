// Decisions in this process, at 1,000 agreements of 100 users each. No floor of another program: the goal itself is the floor.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Agreement, Archetype, Dataset, RequestType } from "../../policy/contract/documents.js";
import { MESSAGE } from "../../policy/contract/names.js";
import { decode, encode, type RequestApproval } from "../../policy/contract/wire.js";
import { allows, compile, type DecisionRequest, decide, type Policy } from "../../policy/decision/index.js";
import { answer } from "../../policy/enforcer/answer.js";
import { Audit } from "../../policy/enforcer/audit.js";
import { decisionEntries } from "../../policy/enforcer/audit-facts.js";
import { createLogger } from "../../policy/platform/log.js";
import { Dice } from "../support/random-worlds.js";
import { MemoryStore } from "../unit/enforcer/memory-store.js";
import { type Line, median } from "./measure.js";

const AGREEMENTS = 1_000;
const USERS = 100;
/**
 * A clock's tick is as long as a decision: decisions are timed in batches, and a batch's mean counts as one. Short ones: on a busy machine a long
 * one is mostly the time that others had the processor.
 */
const BATCH = 10;
/** Requests after which the audit is let come after: its writing is another's time. */
const REST = 1_000;
const NOW = Date.UTC(2026, 0, 3);

const ARCHETYPES: readonly Archetype[] = [
  { name: "central", computeProvider: "other", resultRecipient: "requestor", weight: 1 },
  { name: "local", computeProvider: "dataProvider", resultRecipient: "requestor", weight: 2 },
];
const TYPES: readonly RequestType[] = [
  { name: "train", requiredServices: [], dataSets: ["people"], columns: { people: ["age", "fare", "sex"] } },
  { name: "query", requiredServices: [], dataSets: ["people"] },
];
const SETS: readonly Dataset[] = [
  {
    name: "people",
    type: "csv",
    delimiter: ",",
    tables: ["people"],
    sensitive_columns: { people: ["name"] },
  },
];
const steward = (i: number): string => `steward-${i}`;
const user = (i: number): string => `user-${i}@uva.nl`;
const computer = (i: number): string => steward(Math.floor(i / 10) * 10);

/** Neighbours name the same compute providers. Most rules hold, some lack a column, a type, or time. */
function agreement(i: number, users: number): Agreement {
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
    relations: Object.fromEntries(Array.from({ length: users }, (_, u) => [user(u), relation(u)])),
    computeProviders,
    archetypes: ["central", "local"],
  };
}

export const manyAgreements = (users = USERS): readonly Agreement[] =>
  Array.from({ length: AGREEMENTS }, (_, i) => agreement(i, users));

/** Questions to three neighbours, as they come by the wire. */
function questions(count: number): readonly Uint8Array[] {
  const dice = new Dice(1);
  return Array.from({ length: count }, () => {
    const first = dice.below(AGREEMENTS - 3);
    return encode.requestApproval({
      type: TYPES[dice.below(2)]?.name ?? "",
      user: { id: "1", userName: user(dice.below(USERS)) },
      dataProviders: [first, first + 1, first + 2].map(steward),
    });
  });
}

/** A request as it was just read, which is when one is decided: its texts are new, and what is decided on is wherever it is. */
interface Fresh extends DecisionRequest {
  readonly message: RequestApproval;
}

function fresh(body: Uint8Array): Fresh {
  const message = decode(MESSAGE.requestApproval, body);
  const { type: requestType, dataProviders } = message;
  return { requestType, user: message.user?.userName ?? "", dataProviders, message };
}

/** p50 in microseconds. `rest` is waited for now and then, and not measured. */
async function time(
  work: (request: Fresh) => unknown,
  requests: readonly Uint8Array[],
  rest: () => Promise<void>,
): Promise<number> {
  const means: number[] = [];
  for (let at = 0; at < requests.length; at += BATCH) {
    const batch = requests.slice(at, at + BATCH).map(fresh);
    const began = performance.now();
    for (const request of batch) work(request);
    means.push(((performance.now() - began) * 1_000) / batch.length);
    if (at % REST === 0) await rest();
  }
  return median(means);
}

export async function decisionLines(short: boolean): Promise<Line[]> {
  const began = performance.now();
  const policy: Policy = compile(
    manyAgreements().map((value, i) => ({ value, revision: i + 1 })),
    ARCHETYPES,
    TYPES,
    SETS,
  );
  const compiled = performance.now() - began;
  const requests = questions(short ? 20_000 : 100_000);
  const folder = mkdtempSync(join(tmpdir(), "decision-bench-"));
  const audit = new Audit({
    folder,
    enforcer: "bench",
    store: new MemoryStore().store,
    log: createLogger("bench"),
  });
  let allowed = 0;
  const works = {
    answer(request: Fresh): void {
      if (allows(request, policy, NOW)) allowed += 1;
    },
    reasons(request: Fresh): void {
      if (decide(request, policy, NOW).decision === "allow") allowed += 1;
    },
    /** As the enforcer does it: the answer's message too, though not its encoding. */
    record({ message }: Fresh): void {
      const { decision, response } = answer(message, { policy, revision: 1 }, NOW);
      void audit.append(...decisionEntries("id", message, response, undefined));
      if (decision.decision === "allow") allowed += 1;
    },
  };
  const taken = { answer: [] as number[], reasons: [] as number[], record: [] as number[] };
  const kinds = Object.keys(works) as (keyof typeof works)[];
  try {
    for (let block = 0; block < 6; block += 1) {
      for (const kind of kinds) {
        const p50 = await time(works[kind], requests, () => audit.append());
        if (block > 0) taken[kind].push(p50); // the first warms up
      }
    }
  } finally {
    await audit.close();
    rmSync(folder, { recursive: true });
  }
  const share = Math.round((100 * allowed) / (6 * kinds.length * requests.length));
  console.log(
    `${AGREEMENTS} agreements of ${USERS} users compiled in ${compiled.toFixed(0)} ms; ${share} % of the requests are allowed`,
  );
  return [
    lineOf("decision, allow or deny, p50", median(taken.answer), 1),
    lineOf("decision with reasons, p50", median(taken.reasons), 10),
    lineOf("the same, record enqueued, p50", median(taken.record), 10),
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
