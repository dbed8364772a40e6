import { expect, it } from "vitest";
import type { Agreement } from "../../../policy/contract/documents.js";
import { MESSAGE } from "../../../policy/contract/names.js";
import { agreementProblems, validateRequestBody } from "../../../policy/contract/schemas.js";
import { decode, encode } from "../../../policy/contract/wire.js";
import { allows } from "../../../policy/decision/index.js";
import { answer } from "../../../policy/enforcer/answer.js";
import { decisionEntries } from "../../../policy/enforcer/audit-facts.js";
import { CurrentPolicy } from "../../../policy/enforcer/current-policy.js";
import { readRequest } from "../../../policy/enforcer/read-request.js";
import { Dice } from "../../support/random-worlds.js";

/** `HOSTILE_DOCUMENTS=100000 HOSTILE_SEED=1` tries more, or others. */
const COUNT = Number(process.env.HOSTILE_DOCUMENTS ?? 5_000);
const SEED = Number(process.env.HOSTILE_SEED ?? 7);
const NOW = Date.UTC(2026, 0, 3);

const rule = {
  ID: "1",
  requestTypes: ["train"],
  dataSets: ["people"],
  columns: { people: ["age"] },
  allowedArchetypes: ["local"],
  allowedComputeProviders: ["two"],
  notAfter: "2027-01-01T00:00:00Z",
};
const good = (name: string) => ({
  name,
  relations: { ada: rule },
  computeProviders: ["two"],
  archetypes: ["local"],
});
const local = { name: "local", computeProvider: "dataProvider", resultRecipient: "requestor", weight: 1 };
const train = {
  name: "train",
  requiredServices: [],
  dataSets: ["people"],
  columns: { people: ["age"] },
};

function marketplace(): CurrentPolicy {
  const current = new CurrentPolicy();
  current.put("archetype", "local", local, 1);
  current.put("requestType", "train", train, 2);
  for (const name of ["one", "two"]) current.put("agreement", name, good(name), 3);
  return current;
}

class Bender {
  readonly #dice: Dice;
  constructor(seed: number) {
    this.#dice = new Dice(seed);
  }
  pick<T>(...from: readonly T[]): T {
    return from[this.#dice.below(from.length)] as T;
  }
  odd(): unknown {
    const deep = (n: number): unknown => (n === 0 ? [] : [deep(n - 1)]);
    return this.pick<() => unknown>(
      () => null,
      () => "",
      () => "ada",
      () => "__proto__",
      () => "../../etc/passwd",
      () => "\ud800",
      () => "x".repeat(this.pick(300, 70_000)),
      () => -1,
      () => 1e308,
      () => Number.NaN,
      () => true,
      () => [],
      () => {},
      () => ({ constructor: { prototype: 1 } }),
      () => JSON.parse('{"__proto__":{"requestTypes":["train"]}}') as unknown,
      () => Array.from({ length: this.pick(2, 3_000) }, () => "train"),
      () => Object.fromEntries(Array.from({ length: this.pick(2, 500) }, (_, i) => [`u${i}`, rule])),
      () => deep(this.pick(3, 1_000)),
    )();
  }
  /** A copy with something in it, at any depth, put away, renamed or replaced. */
  bend(value: unknown): unknown {
    if (typeof value !== "object" || value === null || this.#dice.below(6) === 0) return this.odd();
    if (Array.isArray(value)) return [...(value as unknown[]), this.odd()];
    const record = value as Record<string, unknown>;
    const key = this.pick(...Object.keys(record));
    const { [key]: changed, ...rest } = record;
    return this.pick<() => unknown>(
      () => rest,
      () => ({ ...rest, [String(this.odd()).slice(0, 500)]: changed }),
      () => ({ ...rest, [key]: this.bend(changed) }),
    )();
  }
  /** The bytes of a message, cut, lengthened, or with some of them changed. */
  bytes(whole: Uint8Array): Uint8Array {
    const bytes = Uint8Array.from(whole);
    for (let n = this.#dice.below(4); n > 0 && bytes.length > 0; n -= 1)
      bytes[this.#dice.below(bytes.length)] = this.#dice.below(256);
    return this.pick(
      bytes,
      bytes.slice(0, this.#dice.below(bytes.length + 1)),
      Uint8Array.from([...bytes, ...bytes]),
    );
  }
}

/** Counts how each case ended, and holds each to a second of processor time: what others use of a busy machine is not its fault. */
function tally() {
  const met = new Map<string, number>();
  let slowest = 0;
  return {
    met,
    add(work: () => string): string {
      const before = process.cpuUsage();
      const outcome = work();
      const { user, system } = process.cpuUsage(before);
      slowest = Math.max(slowest, (user + system) / 1_000);
      met.set(outcome, (met.get(outcome) ?? 0) + 1);
      return outcome;
    },
    end(what: string): void {
      if (process.env.HOSTILE_DOCUMENTS !== undefined)
        console.log(
          `${COUNT} ${what} of seed ${SEED}, slowest ${slowest.toFixed(0)} ms: ${JSON.stringify(Object.fromEntries(met))}`,
        );
      expect(slowest).toBeLessThan(1_000);
    },
  };
}

const asked = { requestType: "train", user: "ada", dataProviders: ["one"] };

it(`an agreement, however it is bent, is compiled or refused with codes, and one that is refused gives no right: ${COUNT} ways`, () => {
  const bender = new Bender(SEED);
  const { met, add, end } = tally();
  const current = marketplace();
  const known = {
    archetypes: new Set(["local"]),
    requestTypes: new Set(["train"]),
    dataSets: new Set(["people"]),
  };
  for (let i = 0; i < COUNT; i += 1) {
    const bent = bender.bend(good("one"));
    add(() => {
      const problems = current.put("agreement", "one", bent, 4 + i);
      if (problems.length === 0) {
        for (const { code } of agreementProblems(bent as Agreement, known))
          expect(code).toMatch(/^[A-Z]+-[A-Z-]+$/);
        return allows(asked, current.policy, NOW) ? "allows" : "denies";
      }
      for (const { code, message } of problems) {
        expect(code).toMatch(/^DOC-[A-Z-]+$/);
        expect(message).not.toBe("");
      }
      expect(allows(asked, current.policy, NOW), `case ${i} of seed ${SEED}`).toBe(false);
      return "refused";
    });
  }
  end("agreements");
  for (const outcome of ["allows", "denies", "refused"])
    expect(met.get(outcome) ?? 0, outcome).toBeGreaterThan(COUNT / 500);
}, 600_000);

it(`a request, however its message or body is bent, is answered or refused with a code: ${COUNT} ways`, () => {
  const bender = new Bender(SEED);
  const { met, add, end } = tally();
  const { policy } = marketplace();
  const honest = { type: "train", user: { id: "1", userName: "ada" }, dataProviders: ["one", "two"] };
  const text = (): string => {
    const odd = bender.odd();
    return typeof odd === "string" ? odd : bender.pick("", "one", "train", "local", "nobody");
  };
  for (let i = 0; i < COUNT; i += 1) {
    const message = encode.requestApproval({
      ...honest,
      ...bender.pick<() => object>(
        () => ({}),
        () => ({ type: text() }),
        () => ({ user: { id: "", userName: text() } }),
        () => ({ dataProviders: Array.from({ length: bender.pick(0, 1, 300) }, () => text().slice(0, 50)) }),
        () => ({ jobId: text(), round: bender.pick(0, 1, 4_294_967_295), archetypeId: text() }),
        () => ({ jobId: "j", round: 1, archetypeId: "local", computeProvider: text(), again: true }),
        () => ({ options: { requireAll: bender.pick(true, false), [text().slice(0, 300)]: true } }),
      )(),
    });
    const body = bender.pick(message, bender.bytes(message));
    const outcome = add(() => {
      try {
        const request = readRequest({ type: MESSAGE.requestApproval, body });
        const { decision, response } = answer(request, { policy, revision: 5 }, NOW);
        expect(decode(MESSAGE.validationResponse, encode.validationResponse(response)).requestApproved).toBe(
          decision.decision === "allow",
        );
        expect(decisionEntries("id", request, response, undefined).length).toBeGreaterThan(0);
        expect(decision.reasons.length).toBeGreaterThan(0);
        return decision.decision;
      } catch (error) {
        return (error as { code?: string }).code ?? String(error);
      }
    });
    if (!/^(allow|deny|BUS-MALFORMED)$/.test(outcome))
      expect(outcome, `case ${i} of seed ${SEED}`).toBe("coded");
    const bent = bender.bend({ ...honest, data: { rounds: 3 }, options: { requireAll: true } });
    add(() => {
      const problems = validateRequestBody(bent);
      for (const { code } of problems) expect(code).toMatch(/^[A-Z]+-[A-Z-]+$/);
      return problems.length === 0 ? "body taken" : "body refused";
    });
  }
  end("requests");
  for (const outcome of ["allow", "deny", "BUS-MALFORMED", "body taken", "body refused"])
    expect(met.get(outcome) ?? 0, outcome).toBeGreaterThan(COUNT / 500);
}, 600_000);
