import { describe, expect, it } from "vitest";
import { permitStep } from "../../../policy/agent/step.js";
import type { Microservice, RequestType } from "../../../policy/contract/documents.js";
import type { GrantClaims } from "../../../policy/contract/grants.js";

const grant: GrantClaims = {
  sub: "ada",
  job: "job-1",
  round: 1,
  token: 7,
  requestType: "count",
  archetype: "computeToData",
  dataProviders: ["alpha"],
  computeProviders: ["beta"],
  dataSets: [],
  columns: {},
  agreements: { alpha: 1 },
};
const service: Microservice = {
  name: "counter",
  label: "dataProvider",
  allowedOutputs: [],
  invalidArchetypes: [],
  entry: "microservices/counter.mts",
};
const type: RequestType = {
  name: "count",
  requiredServices: ["counter"],
  workflow: {
    steps: [
      { name: "count", service: "counter", role: "dataProvider" },
      { name: "sum", service: "counter", role: "computeProvider" },
    ],
    result: "sum",
  },
};
const ask = (agent: string, step: string, name = "counter") => ({ agent, step, service: name });

describe("permitStep", () => {
  it("permits a step by the role the grant gives, with the program the document names", () => {
    expect(permitStep(ask("alpha", "count"), grant, type, service)).toEqual({
      role: "dataProvider",
      service: "counter",
      entry: "microservices/counter.mts",
    });
    expect(permitStep(ask("beta", "sum"), grant, type, service)).toMatchObject({ role: "computeProvider" });
  });

  it.each([
    ["AGT-GRANT-ROLE", permitStep(ask("beta", "count"), grant, type, service)],
    ["AGT-GRANT-ROLE", permitStep(ask("alpha", "sum"), grant, type, service)],
    ["AGT-STEP-UNKNOWN", permitStep(ask("alpha", "dream"), grant, type, service)],
    ["AGT-STEP-UNKNOWN", permitStep(ask("alpha", "count", "other"), grant, type, service)],
    ["AGT-STEP-UNKNOWN", permitStep(ask("alpha", "count"), grant, undefined, service)],
    ["AGT-SERVICE-UNKNOWN", permitStep(ask("alpha", "count"), grant, type, undefined)],
    [
      "AGT-SERVICE-ARCHETYPE",
      permitStep(ask("alpha", "count"), grant, type, { ...service, invalidArchetypes: ["computeToData"] }),
    ],
    [
      "AGT-SERVICE-ENTRY",
      permitStep(ask("alpha", "count"), grant, type, {
        name: "counter",
        label: "dataProvider",
        allowedOutputs: [],
        invalidArchetypes: [],
      }),
    ],
  ])("refuses with %s", (code, outcome) => {
    expect(outcome).toMatchObject({ code });
  });

  it("takes a request type without a workflow as a chain of its services", () => {
    const chain: RequestType = { name: "count", requiredServices: ["counter"] };
    expect(permitStep(ask("alpha", "counter"), grant, chain, service)).toMatchObject({
      role: "dataProvider",
    });
    expect(
      permitStep(ask("beta", "counter"), grant, chain, { ...service, label: "aggregate" }),
    ).toMatchObject({ role: "computeProvider" });
    expect(permitStep(ask("alpha", "other"), grant, chain, service)).toMatchObject({
      code: "AGT-STEP-UNKNOWN",
    });
  });
});
