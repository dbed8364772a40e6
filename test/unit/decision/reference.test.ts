import { expect, it } from "vitest";
import { allows, compile, decide, type Policy } from "../../../policy/decision/index.js";
import { Dice } from "../../support/random-worlds.js";
import { type Answer, type Asked, referenceDecision, type World } from "../../support/reference-decision.js";

/** `DECISION_CASES=1000000 DECISION_SEED=1` decides more, or others. */
const COUNT = Number(process.env.DECISION_CASES ?? 100_000);
const SEED = Number(process.env.DECISION_SEED ?? 7);
/** Requests to each random marketplace. */
const REQUESTS = 10;

const compiled = ({ agreements, archetypes, requestTypes, dataSets }: World): Policy =>
  compile(
    agreements.map(({ document, revision }) => ({ value: document, revision })),
    archetypes,
    requestTypes,
    dataSets,
  );

/** A decision in the reference's words. */
function told(asked: Asked, policy: Policy, now: number): Answer {
  const got = decide(asked, policy, now);
  return {
    allow: got.decision === "allow",
    providers: got.providers.filter((p) => p.allowed).map((p) => p.party),
    ways: got.options.flatMap((o) => o.computeProviders.map((c) => `${o.archetype} ${c}`)),
    reasons: got.reasons.map((r) => `${r.code} ${r.party} ${r.path}`).sort(),
    agreements: Object.entries(got.agreements)
      .map(([party, revision]) => `${party} ${revision}`)
      .sort(),
  };
}

it(`decides ${COUNT} random cases as the slow reference does: allowed or not, ways, parties, reasons and revisions`, () => {
  const dice = new Dice(SEED);
  const met = { allowed: 0, denied: 0, inPart: 0 };
  const codes = new Set<string>();
  const began = performance.now();
  for (let i = 0; i < COUNT; ) {
    const world = dice.world();
    const policy = compiled(world);
    for (let j = 0; j < REQUESTS && i < COUNT; j += 1, i += 1) {
      const asked = dice.request();
      const now = dice.now();
      const got = told(asked, policy, now);
      const wanted = referenceDecision(asked, world, now);
      const quick = allows(asked, policy, now);
      if (JSON.stringify(got) !== JSON.stringify(wanted) || quick !== wanted.allow) {
        const about = `case ${i} of seed ${SEED}: ${JSON.stringify({ asked, now, world })}`;
        expect({ ...got, allows: quick }, about).toEqual({ ...wanted, allows: wanted.allow });
      }
      met[wanted.allow ? "allowed" : "denied"] += 1;
      if (wanted.allow && wanted.providers.length < new Set(asked.dataProviders).size) met.inPart += 1;
      for (const reason of wanted.reasons) codes.add(reason.slice(0, reason.indexOf(" ")));
    }
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  if (process.env.DECISION_CASES !== undefined)
    console.log(`${COUNT} cases of seed ${SEED}, 0 differences, ${seconds} s: ${JSON.stringify(met)}`);
  // Cases that all end alike would compare nothing.
  for (const count of Object.values(met)) expect(count).toBeGreaterThan(COUNT / 100);
  expect(codes.size, "reason codes that occurred").toBe(19);
}, 1_800_000);
