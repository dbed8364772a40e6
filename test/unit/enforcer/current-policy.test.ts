import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compile, decide } from "../../../policy/decision/index.js";
import { CurrentPolicy } from "../../../policy/enforcer/current-policy.js";
import { Dice } from "../../support/random-worlds.js";

const NOW = Date.UTC(2026, 0, 3);
const relation = {
  ID: "1",
  requestTypes: ["train"],
  allowedArchetypes: ["local"],
  allowedComputeProviders: [],
};
const agreement = (name: string) => ({
  name,
  relations: { ada: relation },
  computeProviders: [],
  archetypes: ["local"],
});

function marketplace(): CurrentPolicy {
  const current = new CurrentPolicy();
  const local = { name: "local", computeProvider: "dataProvider", resultRecipient: "requestor", weight: 1 };
  current.put("archetype", "local", local, 1);
  current.put("requestType", "train", { name: "train", requiredServices: [] }, 2);
  current.put("agreement", "one", agreement("one"), 3);
  current.put("agreement", "two", agreement("two"), 4);
  return current;
}
const ask = (current: CurrentPolicy, ...dataProviders: string[]) => {
  const got = decide({ requestType: "train", user: "ada", dataProviders }, current.policy, NOW);
  return { decision: got.decision, reasons: got.reasons.map((r) => `${r.code} ${r.party}`) };
};

describe("the policy as documents come and go", () => {
  it.each([
    ["a text", "{ not JSON"],
    ["nothing", null],
    ["a list", []],
    ["another's agreement", agreement("two")],
    ["relations of a wrong kind", { ...agreement("one"), relations: { ada: "all" } }],
    ["a field that means nothing", { ...agreement("one"), allowEverything: true }],
    ["a time that is none", { ...agreement("one"), notAfter: "2999-02-30T00:00:00Z" }],
  ])(
    "takes every right back that an agreement gave when it becomes %s, and goes on for the others",
    (_, value) => {
      const current = marketplace();
      expect(ask(current, "one").decision).toBe("allow");
      expect(current.put("agreement", "one", value, 5)).not.toEqual([]);
      expect(ask(current, "one")).toEqual({ decision: "deny", reasons: ["POL-PROVIDER-UNKNOWN one"] });
      expect(ask(current, "two").decision).toBe("allow");
      expect(current.put("agreement", "one", agreement("one"), 6)).toEqual([]);
      expect(ask(current, "one").decision).toBe("allow");
    },
  );

  it("denies with a reason what rests on a document that is gone", () => {
    const current = marketplace();
    current.remove("agreement", "two");
    expect(ask(current, "one", "two").reasons).toEqual(["POL-PROVIDER-UNKNOWN two"]);
    current.remove("archetype", "local");
    expect(ask(current, "one").reasons).toEqual(["POL-ARCHETYPE one"]);
    current.remove("requestType", "train");
    expect(ask(current, "one").reasons).toEqual(["POL-REQUEST-TYPE-UNKNOWN "]);
  });

  it("is what one would compile of the documents that are there, in whatever order they came and were replaced", () => {
    fc.assert(
      fc.property(fc.nat(), fc.infiniteStream(fc.boolean()), (seed, coins) => {
        const dice = new Dice(seed);
        const [before, after] = [dice.world(), dice.world()];
        const current = new CurrentPolicy();
        const next = (): boolean => coins.next().value === true;
        for (const [i, world] of [before, after].entries()) {
          const documents = [
            ...world.agreements.map((a) => ["agreement", a.document, a.revision] as const),
            ...world.archetypes.map((a) => ["archetype", a, 1] as const),
            ...world.requestTypes.map((t) => ["requestType", t, 1] as const),
            ...world.dataSets.map((d) => ["dataset", d, 1] as const),
          ].sort(() => (next() ? 1 : -1));
          for (const [kind, document, revision] of documents)
            expect(current.put(kind, document.name, document, revision)).toEqual([]);
          if (i === 0) continue;
          const names = new Set(after.agreements.map((a) => a.document.name));
          for (const { document } of before.agreements)
            if (!names.has(document.name)) current.remove("agreement", document.name);
          for (const { name } of before.dataSets)
            if (!after.dataSets.some((d) => d.name === name)) current.remove("dataset", name);
        }
        const agreements = after.agreements.map((a) => ({ value: a.document, revision: a.revision }));
        const compiled = compile(agreements, after.archetypes, after.requestTypes, after.dataSets);
        for (let i = 0; i < 10; i += 1) {
          const [request, now] = [dice.request(), dice.now()];
          expect(decide(request, current.policy, now)).toEqual(decide(request, compiled, now));
        }
      }),
      { numRuns: 100 },
    );
  });
});
