import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Agreement, Archetype, Relation, RequestType } from "../../../policy/contract/documents.js";
import { compile, type DecisionRequest, decide } from "../../../policy/decision/index.js";

// Few names, so that rules and requests meet often.
const PARTIES = ["a", "b", "c", "d"];
const USERS = ["u", "v"];
const TYPES = ["s", "t"];
const ARCHETYPES = ["here", "there", "elsewhere"];
const SETS = ["x", "y"];

const some = (names: readonly string[], least = 0) => fc.subarray([...names], { minLength: least });
/** Most rights are given, else nearly everything would be denied and the properties would say little. */
const most = (names: readonly string[]) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant([...names]) }, { weight: 1, arbitrary: some(names) });

const relation: fc.Arbitrary<Relation> = fc.record(
  {
    ID: fc.constant("1"),
    requestTypes: most(TYPES),
    dataSets: most(SETS),
    allowedArchetypes: most(ARCHETYPES),
    allowedComputeProviders: most(PARTIES),
  },
  { requiredKeys: ["ID", "requestTypes", "allowedArchetypes", "allowedComputeProviders"] },
);
const agreementOf = (name: string): fc.Arbitrary<Agreement> =>
  fc.record({
    name: fc.constant(name),
    relations: most(USERS).chain((users) => fc.record(Object.fromEntries(users.map((u) => [u, relation])))),
    computeProviders: most(PARTIES),
    archetypes: most(ARCHETYPES),
  });
const agreements = most(PARTIES).chain((names) => fc.tuple(...names.map(agreementOf)));
const archetypes: fc.Arbitrary<Archetype[]> = fc.tuple(
  ...ARCHETYPES.map((name) =>
    fc.record({
      name: fc.constant(name),
      computeProvider: fc.constantFrom("dataProvider" as const, "other" as const),
      resultRecipient: fc.constant("requestor" as const),
      weight: fc.integer({ min: 1, max: 3 }),
    }),
  ),
);
const requestTypes: fc.Arbitrary<RequestType[]> = fc.tuple(
  ...TYPES.map((name) =>
    fc.record(
      { name: fc.constant(name), requiredServices: fc.constant([]), dataSets: some(SETS) },
      { requiredKeys: ["name", "requiredServices"] },
    ),
  ),
);
const request: fc.Arbitrary<DecisionRequest> = fc.record(
  {
    requestType: fc.constantFrom(...TYPES),
    user: fc.constantFrom(...USERS),
    dataProviders: some(PARTIES, 1),
    dataSets: some(SETS),
    archetype: fc.constantFrom(...ARCHETYPES),
    computeProvider: fc.constantFrom(...PARTIES),
  },
  { requiredKeys: ["requestType", "user", "dataProviders"] },
);
interface World {
  readonly agreements: readonly Agreement[];
  readonly archetypes: readonly Archetype[];
  readonly requestTypes: readonly RequestType[];
}
const world: fc.Arbitrary<World> = fc.record({ agreements, archetypes, requestTypes });

const NOW = Date.UTC(2026, 0, 1);

const policyOf = (w: World) =>
  compile(
    w.agreements.map((value) => ({ value, revision: 100 + PARTIES.indexOf(value.name) })),
    w.archetypes,
    w.requestTypes,
    [],
  );

/** Every world that lacks exactly one right of this one. */
function* lessRights(w: World): Generator<World> {
  for (const [i, agreement] of w.agreements.entries()) {
    const replaced = (next: Agreement | undefined): World => ({
      ...w,
      agreements: [
        ...w.agreements.slice(0, i),
        ...(next === undefined ? [] : [next]),
        ...w.agreements.slice(i + 1),
      ],
    });
    yield replaced(undefined);
    for (const field of ["computeProviders", "archetypes"] as const) {
      for (const name of agreement[field])
        yield replaced({ ...agreement, [field]: agreement[field].filter((n) => n !== name) });
    }
    for (const [user, rights] of Object.entries(agreement.relations)) {
      const { [user]: _gone, ...others } = agreement.relations;
      yield replaced({ ...agreement, relations: others });
      for (const field of [
        "requestTypes",
        "dataSets",
        "allowedArchetypes",
        "allowedComputeProviders",
      ] as const) {
        for (const name of rights[field] ?? []) {
          const narrowed = { ...rights, [field]: (rights[field] ?? []).filter((n) => n !== name) };
          yield replaced({ ...agreement, relations: { ...others, [user]: narrowed } });
        }
      }
    }
  }
}

/** The same document, its fields (and nothing else) written in another order. */
function otherOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(otherOrder);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([k, v]) => [k, otherOrder(v)]),
  );
}

/** The rule, said as directly as can be: some archetype and some party that computes satisfy everyone. */
function allowedByTheBook(r: DecisionRequest, w: World): boolean {
  const type = w.requestTypes.find((t) => t.name === r.requestType);
  if (type === undefined) return false;
  const of = (party: string) => w.agreements.find((a) => a.name === party);
  const agreed = (party: string) =>
    of(party)?.relations[r.user]?.requestTypes.includes(r.requestType) === true;
  return w.archetypes.some((archetype) =>
    PARTIES.some(
      (computes) =>
        (r.archetype ?? archetype.name) === archetype.name &&
        (r.computeProvider ?? computes) === computes &&
        (archetype.computeProvider === "dataProvider"
          ? r.dataProviders.includes(computes)
          : agreed(computes)) &&
        r.dataProviders.every((party) => {
          const agreement = of(party);
          const rights = agreement?.relations[r.user];
          if (agreement === undefined || rights === undefined || !agreed(party)) return false;
          const asked = [...(r.dataSets ?? []), ...(type.dataSets ?? [])];
          const sets = rights.dataSets ?? type.dataSets ?? [];
          const mayCompute =
            rights.allowedComputeProviders.includes(computes) &&
            agreement.computeProviders.includes(computes);
          return (
            asked.every((s) => sets.includes(s)) &&
            rights.allowedArchetypes.includes(archetype.name) &&
            agreement.archetypes.includes(archetype.name) &&
            (archetype.computeProvider === "dataProvider" || mayCompute)
          );
        }),
    ),
  );
}

describe("a decision", () => {
  it("is what the rule says, and both answers occur", () => {
    let allowed = 0;
    let denied = 0;
    fc.assert(
      fc.property(world, request, (w, r) => {
        const { decision } = decide(r, policyOf(w), NOW);
        expect(decision === "allow").toBe(allowedByTheBook(r, w));
        if (decision === "allow") allowed += 1;
        else denied += 1;
      }),
      { numRuns: 2_000 },
    );
    expect(Math.min(allowed, denied)).toBeGreaterThan(100);
  });

  it("never turns from deny to allow when a right is removed", () => {
    fc.assert(
      fc.property(world, request, (w, r) => {
        if (decide(r, policyOf(w), NOW).decision === "allow") return;
        for (const less of lessRights(w)) expect(decide(r, policyOf(less), NOW).decision).toBe("deny");
      }),
      { numRuns: 300 },
    );
  });

  it("offers no more when a right is removed", () => {
    const offers = (w: World, r: DecisionRequest) =>
      decide(r, policyOf(w), NOW).options.flatMap((o) =>
        o.computeProviders.map((c) => `${o.archetype} ${c}`),
      );
    fc.assert(
      fc.property(world, request, (w, r) => {
        const before = new Set(offers(w, r));
        for (const less of lessRights(w))
          for (const offer of offers(less, r)) expect(before).toContain(offer);
      }),
      { numRuns: 300 },
    );
  });

  it("names only parties that were asked or that they named, archetypes that exist, and the agreements it used", () => {
    fc.assert(
      fc.property(world, request, (w, r) => {
        const got = decide(r, policyOf(w), NOW);
        const named = new Set(
          w.agreements.filter((a) => r.dataProviders.includes(a.name)).flatMap((a) => a.computeProviders),
        );
        const mayAppear = new Set([...r.dataProviders, ...named, ""]);
        expect(got.providers.map((p) => p.party)).toEqual(r.dataProviders);
        for (const party of [
          ...got.options.flatMap((o) => o.computeProviders),
          ...Object.keys(got.agreements),
        ])
          expect(mayAppear).toContain(party);
        for (const { party } of got.reasons)
          expect(new Set([...mayAppear, r.computeProvider ?? ""])).toContain(party);
        for (const [party, revision] of Object.entries(got.agreements))
          expect(revision).toBe(100 + PARTIES.indexOf(party));
        if (got.decision === "allow") {
          const parties = new Set([...r.dataProviders, ...got.options.flatMap((o) => o.computeProviders)]);
          expect(new Set(Object.keys(got.agreements))).toEqual(parties);
          expect(got.options.length).toBeGreaterThan(0);
          expect(got.reasons.every((x) => x.code === "POL-ALLOWED")).toBe(true);
        } else {
          expect(got.options).toEqual([]);
          expect(got.reasons.some((x) => x.code === "POL-ALLOWED")).toBe(false);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("does not depend on the order of fields and documents", () => {
    fc.assert(
      fc.property(world, request, (w, r) => {
        const turned = otherOrder(w) as World;
        const shuffled = {
          agreements: [...turned.agreements].reverse(),
          archetypes: [...turned.archetypes].reverse(),
          requestTypes: [...turned.requestTypes].reverse(),
        };
        expect(decide(r, policyOf(shuffled), NOW)).toEqual(decide(r, policyOf(w), NOW));
      }),
      { numRuns: 500 },
    );
  });
});
