import { describe, expect, it } from "vitest";
import type { Agreement } from "../../../policy/contract/documents.js";
import { decode, encode, type RequestApproval } from "../../../policy/contract/wire.js";
import { compile } from "../../../policy/decision/index.js";
import { answer } from "../../../policy/enforcer/answer.js";

const agreement = (name: string): Agreement => ({
  name,
  relations: {
    ada: {
      ID: "1",
      requestTypes: ["train"],
      dataSets: ["people", "trips"],
      allowedArchetypes: ["through", "toData"],
      allowedComputeProviders: ["s", "t"],
    },
  },
  computeProviders: ["s", "t"],
  archetypes: ["through", "toData"],
});
const snapshot = {
  policy: compile(
    ["a", "b", "s", "t"].map((name, i) => ({ value: agreement(name), revision: 10 + i })),
    [
      { name: "through", computeProvider: "other", resultRecipient: "requestor", weight: 1 },
      { name: "toData", computeProvider: "dataProvider", resultRecipient: "requestor", weight: 2 },
    ],
    [
      {
        name: "train",
        requiredServices: [],
        dataSets: ["people", "trips"],
        columns: { people: ["age", "city"] },
      },
    ],
    [],
  ),
  revision: 99,
};

function ask(more: Partial<RequestApproval> = {}) {
  const request = decode(
    "requestApproval",
    encode.requestApproval({
      type: "train",
      user: { id: "1", userName: "ada" },
      dataProviders: ["a", "b"],
      options: { o: true },
      ...more,
    }),
  );
  const { response, claims } = answer(request, snapshot);
  return { claims, response: decode("validationResponse", encode.validationResponse(response)) };
}

describe("the enforcer's answer", () => {
  it("to a job that is decided again gives nothing: its open round has its grant", () => {
    const round = { jobId: "j", round: 2, archetypeId: "through", computeProvider: "s" };
    expect(ask(round).claims).toMatchObject({ job: "j", round: 2 });
    const again = ask({ ...round, again: true });
    expect(again.claims).toBeUndefined();
    expect(again.response).toMatchObject({ requestApproved: true, token: 0, revision: 99 });
    expect(ask({ ...round, again: true, user: { id: "", userName: "eve" } }).response.reasons).toMatchObject([
      { code: "POL-NO-AGREEMENT", party: "a" },
      { code: "POL-NO-AGREEMENT", party: "b" },
    ]);
  });

  it("to an approval says what each provider allows, and whose agreements say so", () => {
    const { response, claims } = ask();
    const allowed = { archetypes: ["through", "toData"], computeProviders: ["s", "t"] };
    expect(response).toMatchObject({
      type: "validationResponse",
      requestType: "train",
      requestApproved: true,
      validDataproviders: { a: allowed, b: allowed },
      invalidDataproviders: [],
      validArchetypes: { userName: "ada", archetypes: { a: { archetypes: allowed.archetypes } } },
      auth: { accessToken: "" }, // whoever opens the round signs
      user: { id: "1", userName: "ada" },
      options: { o: true },
      revision: 99,
      agreementRevisions: { a: 10, b: 11, s: 12, t: 13 },
    });
    expect(claims, "a first approval opens nothing").toBeUndefined();
  });

  it("to a round binds the grant to that round, archetype, compute provider, data sets and columns", () => {
    const { response, claims } = ask({ jobId: "j", round: 3, archetypeId: "through", computeProvider: "t" });
    expect(response).toMatchObject({
      requestApproved: true,
      jobId: "j",
      round: 3,
      agreementRevisions: { a: 10, b: 11, t: 13 },
    });
    // No token: the round's opening gives it.
    expect(claims).toEqual({
      sub: "ada",
      job: "j",
      round: 3,
      requestType: "train",
      archetype: "through",
      dataProviders: ["a", "b"],
      computeProviders: ["t"],
      // What the request type reads, which the agreements were asked for.
      dataSets: ["people", "trips"],
      columns: { people: ["age", "city"] },
      agreements: { a: 10, b: 11, t: 13 },
    });
    expect(ask({ jobId: "j", round: 1, archetypeId: "toData" }).claims).toMatchObject({
      computeProviders: ["a", "b"],
      agreements: { a: 10, b: 11 },
    });
  });

  it("grants nothing that it denies", () => {
    const { response, claims } = ask({ dataProviders: ["a", "nope"] });
    expect(response).toMatchObject({
      requestApproved: false,
      invalidDataproviders: ["nope"],
      auth: { accessToken: "" },
      reasons: [{ code: "POL-PROVIDER-UNKNOWN", party: "nope" }],
      revision: 99,
    });
    expect(Object.keys(response.validDataproviders)).toEqual(["a"]);
    expect(claims).toBeUndefined();
  });

  it.each([
    [{ jobId: "j", round: 1 }, ["archetype_id"]],
    [{ jobId: "j", archetypeId: "toData" }, ["round"]],
    [{ round: 1, archetypeId: "toData" }, ["job_id"]],
    [{ jobId: "j", round: 1, archetypeId: "through" }, ["compute_provider"]],
  ])("denies a round that leaves open what it is: %j", (more, fields) => {
    const { response, claims } = ask(more);
    expect(response.requestApproved).toBe(false);
    expect(response.reasons.map((r) => [r.code, r.path])).toEqual(
      fields.map((f) => ["POL-ROUND-UNBOUND", f]),
    );
    expect(claims).toBeUndefined();
  });

  it("denies a message without user, type or providers", () => {
    expect(ask({ user: undefined }).response.reasons.map((r) => r.code)).toEqual(["POL-NO-USER"]);
    expect(ask({ type: "" }).response.reasons.map((r) => r.code)).toEqual(["POL-REQUEST-TYPE-UNKNOWN"]);
    expect(ask({ dataProviders: [] }).response.reasons.map((r) => r.code)).toEqual(["POL-NO-PROVIDER"]);
  });
});
