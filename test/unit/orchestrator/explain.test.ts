import { describe, expect, it } from "vitest";
import type { Archetype, Microservice, Workflow } from "../../../policy/contract/documents.js";
import { type CompositionInput, compose } from "../../../policy/orchestrator/compose.js";
import { explain } from "../../../policy/orchestrator/explain.js";
import { planWorkflow } from "../../../policy/rounds/plan.js";

const archetype = (name: string, weight: number, more: Partial<Archetype> = {}): Archetype => ({
  name,
  weight,
  computeProvider: "other",
  resultRecipient: "requestor",
  ...more,
});
const ARCHETYPES = [
  archetype("computeToData", 100, { computeProvider: "dataProvider" }),
  archetype("dataThroughTtp", 200),
];
/** Query at the data providers, join where the computation is, tell each its part. */
const WORKFLOW: Workflow = {
  steps: [
    { name: "query", service: "any", role: "dataProvider" },
    { name: "join", service: "any", role: "computeProvider", inputs: [{ step: "query" }] },
    { name: "tell", service: "any", role: "dataProvider", inputs: [{ step: "join", scatter: true }] },
  ],
  result: "join",
};
const ANY: Microservice = {
  name: "any",
  label: "dataProvider",
  allowedOutputs: ["any"],
  invalidArchetypes: [],
};
const PLAN = planWorkflow(
  { name: "t", requiredServices: ["any"], workflow: WORKFLOW },
  new Map([["any", ANY]]),
);
const both = ["computeToData", "dataThroughTtp"];

const input = (change: Partial<CompositionInput> = {}): CompositionInput => ({
  user: "ada",
  providers: {
    uva: { archetypes: both, computeProviders: ["surf", "ttp"] },
    vu: { archetypes: ["dataThroughTtp"], computeProviders: ["ttp", "surf"] },
  },
  archetypes: ARCHETYPES,
  workflow: WORKFLOW,
  services: [ANY],
  online: new Set(["uva", "vu", "surf", "ttp"]),
  ...change,
});
function why(given: CompositionInput): readonly string[] {
  const outcome = compose(given);
  if (outcome.kind !== "composed") throw new Error(JSON.stringify(outcome));
  return explain(given, outcome.composition, PLAN);
}

describe("the explanation of a composition", () => {
  it("says why this archetype and this third party, and who sees what", () => {
    expect(why(input({ load: new Map([["surf", 2]]) }))).toEqual([
      "archetype dataThroughTtp (weight 200): allowed by uva, vu",
      "not computeToData (weight 100): not allowed by vu",
      "ttp computes: allowed by uva, vu, 0 jobs at work there; also allowed: surf (2 jobs at work there)",
      "query: uva, vu, each on its own data",
      "join: ttp on the answers to query of uva, vu",
      "tell: uva, vu, each on its own part of the answers to join of ttp",
      "the requestor sees the answer to join of ttp",
    ]);
  });

  it("says that nothing goes anywhere where the data providers compute", () => {
    const rights = { archetypes: both, computeProviders: ["surf"] };
    expect(why(input({ providers: { uva: rights, vu: rights } }))).toEqual([
      "archetype computeToData (weight 100): allowed by uva, vu",
      "query: uva, vu, each on its own data",
      "join: uva, vu, each on its own answer to query",
      "tell: uva, vu, each on its own answer to join",
      "the requestor sees the answer to join of uva, vu",
    ]);
  });

  it("names the flow that rules an archetype out", () => {
    const oneWay = archetype("oneWay", 10, { flows: [{ from: "dataProvider", to: "computeProvider" }] });
    const rights = { archetypes: [...both, "oneWay"], computeProviders: ["surf"] };
    const lines = why(input({ archetypes: [...ARCHETYPES, oneWay], providers: { uva: rights } }));
    expect(lines[1]).toBe(
      "not oneWay (weight 10): it lets no answer go from computeProvider to dataProvider, as step tell needs",
    );
  });
});

describe("archetypes of the literature, added as documents alone", () => {
  /** Two parties (Shakeri and others): one brings data to the other, which has data as well and computes; nothing comes back. */
  const dataToPeer = archetype("dataToPeer", 10, {
    flows: [{ from: "dataProvider", to: "computeProvider" }],
  });
  /** Three parties: a third one that gives no data computes, whatever else the agreements allow. */
  const thirdParty = archetype("strictThirdParty", 20, { computeProvider: "thirdParty" });
  const noReturn: Workflow = { steps: WORKFLOW.steps.slice(0, 2), result: "join" };

  it("let one of the two parties compute for both", () => {
    const rights = { archetypes: ["dataToPeer"], computeProviders: ["vu"] };
    const given = input({
      archetypes: [dataToPeer],
      providers: { uva: rights, vu: rights },
      workflow: noReturn,
    });
    expect(compose(given)).toMatchObject({
      kind: "composed",
      composition: { archetype: "dataToPeer", computeProviders: ["vu"], local: false },
    });
    // What comes back is more than this archetype allows.
    expect(compose({ ...given, workflow: WORKFLOW })).toMatchObject({
      kind: "failed",
      problem: { code: "ORC-ARCHETYPE-UNUSABLE" },
    });
  });

  it("let only a party without data compute, the least loaded of them, or nobody", () => {
    const rights = { archetypes: ["strictThirdParty"], computeProviders: ["surf", "ttp", "vu"] };
    const given = input({ archetypes: [thirdParty], providers: { uva: rights, vu: rights } });
    expect(compose({ ...given, load: new Map([["surf", 1]]) })).toMatchObject({
      composition: { computeProviders: ["ttp"] },
    });
    expect(compose(given)).toMatchObject({ composition: { computeProviders: ["surf"] } });
    const peers = { archetypes: ["strictThirdParty"], computeProviders: ["vu"] };
    expect(compose({ ...given, providers: { uva: peers, vu: peers } })).toMatchObject({
      kind: "refused",
      reasons: [expect.objectContaining({ code: "POL-NO-COMMON-COMPUTE-PROVIDER" }), expect.anything()],
    });
  });
});
