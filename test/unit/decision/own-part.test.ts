import { describe, expect, it } from "vitest";
import { stopsAtOnce } from "../../../policy/agent/revocation.js";
import type { Agreement } from "../../../policy/contract/documents.js";
import type { GrantClaims } from "../../../policy/contract/grants.js";
import { compile, ownPartAllowed } from "../../../policy/decision/index.js";
import { Dice } from "../../support/random-worlds.js";
import { referenceDecision } from "../../support/reference-decision.js";

const COUNT = 5_000;
const SEED = 7;

it(`in ${COUNT} random cases a round is allowed exactly when each party's agreement allows its own part`, () => {
  const dice = new Dice(SEED);
  const met = { yes: 0, no: 0 };
  for (let i = 0; i < COUNT; i += 1) {
    const world = dice.world();
    const policy = compile(
      world.agreements.map(({ document, revision }) => ({ value: document, revision })),
      world.archetypes,
      world.requestTypes,
      world.dataSets,
    );
    const archetype = world.archetypes[dice.below(world.archetypes.length)];
    const asked = dice.request();
    const type = policy.requestTypes.get(asked.requestType);
    if (
      archetype === undefined ||
      type === undefined ||
      asked.user === "" ||
      asked.dataProviders.length === 0
    )
      continue;
    const computeProvider =
      archetype.computeProvider === "other" ? (asked.computeProvider ?? "d") : undefined;
    const { computeProvider: _, ...rest } = asked;
    const work = {
      ...rest,
      archetype: archetype.name,
      requireAll: true,
      ...(computeProvider === undefined ? {} : { computeProvider }),
    };
    const now = dice.now();
    const parties = new Set([
      ...work.dataProviders,
      ...(computeProvider === undefined ? [] : [computeProvider]),
    ]);
    const parts = [...parties].every((party) =>
      ownPartAllowed(party, work, policy.agreements.get(party), type, now),
    );
    const { allow } = referenceDecision(work, world, now);
    expect(parts, `case ${i} of seed ${SEED}: ${JSON.stringify({ work, now, world })}`).toBe(allow);
    met[allow ? "yes" : "no"] += 1;
  }
  expect(met.yes).toBeGreaterThan(COUNT / 100);
  expect(met.no).toBeGreaterThan(COUNT / 100);
});

describe("an agent stops at once", () => {
  const agreement = (more: Partial<Agreement> = {}): Agreement => ({
    name: "a",
    archetypes: ["through"],
    computeProviders: ["hub"],
    relations: {
      ada: {
        ID: "1",
        requestTypes: ["sum"],
        allowedArchetypes: ["through"],
        allowedComputeProviders: ["hub"],
      },
    },
    ...more,
  });
  const granted: GrantClaims = {
    sub: "ada",
    job: "j",
    round: 1,
    token: 10,
    requestType: "sum",
    archetype: "through",
    dataProviders: ["a", "b"],
    computeProviders: ["hub"],
    agreements: { a: 5, b: 6, hub: 7 },
    dataSets: [],
    columns: {},
  };
  const type = { name: "sum", requiredServices: [] };
  const ask = (now: Agreement | undefined, stop = true, agent = "a") =>
    stopsAtOnce(agent, granted, { stop, now, revision: 12 }, type, [], 0)?.code;

  it("when its agreement says so and does not allow its part any more", () => {
    expect(ask(undefined)).toBe("AGT-REVOKED");
    expect(ask(agreement({ relations: {} }))).toBe("AGT-REVOKED");
    expect(ask(agreement({ archetypes: [] }))).toBe("AGT-REVOKED");
    expect(ask(agreement({ computeProviders: [] }))).toBe("AGT-REVOKED");
    expect(ask(agreement({ notAfter: "1969-01-01T00:00:00Z" }))).toBe("AGT-REVOKED");
    expect(ask(agreement({ name: "hub", relations: {} }), true, "hub")).toBe("AGT-REVOKED");
  });

  it("but not while it allows its part, nor where it never said so", () => {
    expect(ask(agreement())).toBeUndefined();
    expect(
      ask(agreement({ name: "hub", computeProviders: [], archetypes: [] }), true, "hub"),
    ).toBeUndefined();
    expect(ask(undefined, false)).toBeUndefined();
  });
});
