import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Archetype } from "../../../policy/contract/documents.js";
import { type CompositionInput, compose, type ProviderRights } from "../../../policy/orchestrator/compose.js";
import { compositionOf } from "../../../policy/rounds/composition.js";

const archetype = (
  name: string,
  weight: number,
  computeProvider: Archetype["computeProvider"],
): Archetype => ({ name, weight, computeProvider, resultRecipient: "requestor" });
const TO_DATA = archetype("computeToData", 100, "dataProvider");
const TTP = archetype("dataThroughTtp", 200, "other");
const TRAIN = archetype("train", 50, "other");
const rights = (archetypes: string[], computeProviders: string[] = []): ProviderRights => ({
  archetypes,
  computeProviders,
});

const input = (change: Partial<CompositionInput>): CompositionInput => ({
  user: "ada@uva.nl",
  providers: {
    b: rights(["computeToData", "train"], ["ttp", "surf"]),
    a: rights(["train", "computeToData"], ["surf", "ttp"]),
  },
  archetypes: [TO_DATA, TTP, TRAIN],
  online: new Set(["a", "b", "surf", "ttp"]),
  ...change,
});

describe("a composition", () => {
  it("takes the archetype of least weight that all allow, and the first compute provider by name that all allow", () => {
    const outcome = compose(input({}));
    expect(outcome).toMatchObject({
      kind: "composed",
      composition: {
        archetype: "train",
        dataProviders: ["a", "b"],
        computeProviders: ["surf"],
        local: false,
      },
    });
    if (outcome.kind !== "composed") return;
    expect(Object.fromEntries(outcome.composition.roles)).toEqual({
      a: "dataProvider",
      b: "dataProvider",
      surf: "computeProvider",
    });
  });

  it("takes the first by name of two archetypes of one weight", () => {
    const two = [archetype("zeta", 1, "dataProvider"), archetype("alpha", 1, "dataProvider")];
    const providers = { a: rights(["zeta", "alpha"]) };
    expect(compose(input({ archetypes: two, providers }))).toMatchObject({
      composition: { archetype: "alpha" },
    });
  });

  it("gives the data providers both roles where they compute themselves", () => {
    const outcome = compose(
      input({ providers: { a: rights(["computeToData"]), b: rights(["computeToData"]) } }),
    );
    expect(outcome).toMatchObject({
      kind: "composed",
      composition: { computeProviders: ["a", "b"], local: true },
    });
    if (outcome.kind === "composed") expect([...outcome.composition.roles.values()]).toEqual(["all", "all"]);
  });

  it("prefers a compute provider that gives no data, and takes one that does if there is no other", () => {
    const providers = { a: rights(["train"], ["a", "surf"]), b: rights(["train"], ["a", "surf"]) };
    expect(compose(input({ providers }))).toMatchObject({ composition: { computeProviders: ["surf"] } });
    const only = compose(input({ providers: { a: rights(["train"], ["a"]), b: rights(["train"], ["a"]) } }));
    expect(only).toMatchObject({ composition: { computeProviders: ["a"], local: false } });
    if (only.kind === "composed")
      expect(Object.fromEntries(only.composition.roles)).toEqual({ a: "all", b: "dataProvider" });
  });

  it("gives way to the next archetype where nobody may compute for all", () => {
    const providers = {
      a: rights(["train", "computeToData"], ["surf"]),
      b: rights(["train", "computeToData"], ["ttp"]),
    };
    expect(compose(input({ providers }))).toMatchObject({
      kind: "composed",
      composition: { archetype: "computeToData" },
    });
  });

  it("leaves out archetypes in which a needed microservice does not work", () => {
    const service = {
      name: "s",
      label: "dataProvider",
      allowedOutputs: [],
      invalidArchetypes: ["train"],
    } as const;
    expect(compose(input({ services: [service] }))).toMatchObject({
      composition: { archetype: "computeToData" },
    });
    const none = { ...service, invalidArchetypes: ["train", "computeToData", "dataThroughTtp"] };
    expect(compose(input({ services: [none] }))).toMatchObject({
      kind: "failed",
      problem: { code: "ORC-ARCHETYPE-UNUSABLE" },
    });
  });

  it("is refused, with each party's own rule, when nothing is allowed by all", () => {
    const archetypes = compose(
      input({ providers: { a: rights(["train"], ["surf"]), b: rights(["computeToData"]) } }),
    );
    expect(archetypes).toEqual({
      kind: "refused",
      reasons: [
        {
          code: "POL-NO-COMMON-ARCHETYPE",
          party: "a",
          path: 'relations["ada@uva.nl"].allowedArchetypes',
          message: expect.stringContaining("a allows train"),
        },
        {
          code: "POL-NO-COMMON-ARCHETYPE",
          party: "b",
          path: 'relations["ada@uva.nl"].allowedArchetypes',
          message: expect.stringContaining("b allows computeToData"),
        },
      ],
    });
    const computing = compose(
      input({ providers: { a: rights(["train"], ["surf"]), b: rights(["train"], ["ttp"]) } }),
    );
    expect(computing).toMatchObject({
      kind: "refused",
      reasons: [{ code: "POL-NO-COMMON-COMPUTE-PROVIDER", party: "a" }, { party: "b" }],
    });
  });

  it("fails with the names of those who are offline; another archetype is no way out", () => {
    expect(compose(input({ online: new Set(["a", "surf"]) }))).toMatchObject({
      kind: "failed",
      problem: { code: "ORC-AGENT-OFFLINE", path: "dataProviders", message: expect.stringContaining("b") },
    });
    const outcome = compose(input({ online: new Set(["a", "b"]) }));
    expect(outcome).toMatchObject({
      kind: "failed",
      problem: {
        code: "ORC-AGENT-OFFLINE",
        path: "computeProviders",
        message: expect.stringContaining("surf, ttp"),
      },
    });
    expect(compose(input({ online: new Set(["a", "b", "ttp"]) }))).toMatchObject({
      composition: { computeProviders: ["ttp"] },
    });
  });

  it("fails when no provider is named or the archetypes are not defined", () => {
    expect(compose(input({ providers: {} }))).toMatchObject({ problem: { code: "ORC-NO-PROVIDERS" } });
    expect(compose(input({ archetypes: [] }))).toMatchObject({ problem: { code: "ORC-ARCHETYPE-UNKNOWN" } });
  });
});

describe("every composition", () => {
  const name = fc.constantFrom("a", "b", "c", "d", "e");
  const archetypeName = fc.constantFrom("computeToData", "dataThroughTtp", "train", "nope");
  const anyInput = fc.record({
    providers: fc.dictionary(
      name,
      fc.record({ archetypes: fc.uniqueArray(archetypeName), computeProviders: fc.uniqueArray(name) }),
    ),
    online: fc.uniqueArray(name),
    weights: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 3, maxLength: 3 }),
  });
  const built = ({
    providers,
    online,
    weights,
  }: {
    providers: Record<string, ProviderRights>;
    online: string[];
    weights: number[];
  }) =>
    input({
      providers,
      online: new Set(online),
      archetypes: [TO_DATA, TTP, TRAIN].map((a, i) => ({ ...a, weight: weights[i] ?? 1 })),
    });

  it("is the same in whatever order rights, archetypes and agents come", () => {
    fc.assert(
      fc.property(anyInput, fc.infiniteStream(fc.nat()), (given, random) => {
        const shuffled = <T>(items: readonly T[]): T[] =>
          items
            .map((item) => ({ item, at: random.next().value }))
            .sort((x, y) => x.at - y.at)
            .map(({ item }) => item);
        const one = built(given);
        const other = {
          ...one,
          providers: Object.fromEntries(
            shuffled(Object.entries(one.providers)).map(([k, v]) => [
              k,
              { archetypes: shuffled(v.archetypes), computeProviders: shuffled(v.computeProviders) },
            ]),
          ),
          archetypes: shuffled(one.archetypes),
          online: new Set(shuffled([...one.online])),
        };
        expect(compose(other)).toEqual(compose(one));
      }),
    );
  });

  it("uses only what every provider allows, and only agents that are online", () => {
    fc.assert(
      fc.property(anyInput, (given) => {
        const asked = built(given);
        const outcome = compose(asked);
        if (outcome.kind !== "composed") return;
        const { archetype, dataProviders, computeProviders, roles } = outcome.composition;
        expect(dataProviders).toEqual(Object.keys(asked.providers).sort());
        const kind = asked.archetypes.find((a) => a.name === archetype)?.computeProvider;
        for (const right of Object.values(asked.providers)) {
          expect(right.archetypes).toContain(archetype);
          if (kind === "other") for (const c of computeProviders) expect(right.computeProviders).toContain(c);
        }
        for (const party of roles.keys()) expect(asked.online).toContain(party);
        expect([...roles.keys()].sort()).toEqual(
          [...new Set([...dataProviders, ...computeProviders])].sort(),
        );
      }),
    );
  });

  it("comes back the same from what the job's record keeps", () => {
    fc.assert(
      fc.property(anyInput, (given) => {
        const outcome = compose(built(given));
        if (outcome.kind !== "composed") return;
        const { archetype, dataProviders, computeProviders } = outcome.composition;
        expect(compositionOf(archetype, dataProviders, computeProviders)).toEqual(outcome.composition);
      }),
    );
  });
});
