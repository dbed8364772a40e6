import { describe, expect, it } from "vitest";
import type { Agreement } from "../../../policy/contract/documents.js";
import { decode, encode, type RequestApproval } from "../../../policy/contract/wire.js";
import { compile } from "../../../policy/decision/index.js";
import { answer } from "../../../policy/enforcer/answer.js";

const NOW = Date.UTC(2026, 0, 1);
const agreement = (name: string, users: readonly string[], notAfter = "2026-01-01T00:00:00Z"): Agreement => ({
  name,
  relations: Object.fromEntries(
    users.map((user) => [
      user,
      {
        ID: "1",
        requestTypes: ["train"],
        allowedArchetypes: ["central"],
        allowedComputeProviders: ["s"],
        notAfter,
      },
    ]),
  ),
  computeProviders: ["s"],
  archetypes: ["central"],
});
const snapshot = {
  policy: compile(
    [agreement("a", ["ada"]), agreement("b", ["ada"]), agreement("gone", []), agreement("s", ["ada"])].map(
      (value, i) => ({ value, revision: 10 + i }),
    ),
    [{ name: "central", computeProvider: "other", resultRecipient: "requestor", weight: 1 }],
    [{ name: "train", requiredServices: [] }],
    [],
  ),
  revision: 99,
};

function ask(more: Partial<RequestApproval>, now = NOW) {
  const dataProviders = ["a", "gone", "b"];
  const request = encode.requestApproval({
    type: "train",
    user: { userName: "ada" },
    dataProviders,
    ...more,
  });
  const { response, claims } = answer(decode("requestApproval", request), snapshot, now);
  return { claims, response: decode("validationResponse", encode.validationResponse(response)) };
}

describe("the enforcer's answer to a request that need not be allowed by all", () => {
  it("allows it for those that allow, says who is left out and why, and grants nothing about them", () => {
    const { response, claims } = ask({ options: { requireAll: false } });
    expect(response).toMatchObject({
      requestApproved: true,
      invalidDataproviders: ["gone"],
      agreementRevisions: { a: 10, b: 11, gone: 12, s: 13 },
    });
    expect(Object.keys(response.validDataproviders)).toEqual(["a", "b"]);
    expect(response.reasons.map((r) => `${r.code} ${r.party}`)).toEqual([
      "POL-ALLOWED a",
      "POL-ALLOWED b",
      "POL-ALLOWED s",
      "POL-NO-AGREEMENT gone",
    ]);
    expect(claims).toBeUndefined();
  });

  it.each([undefined, { requireAll: true }, { other: false }])(
    "is a denial with the options %j",
    (options) => {
      const { response, claims } = ask(options === undefined ? {} : { options });
      expect(response).toMatchObject({ requestApproved: false, invalidDataproviders: ["gone"] });
      expect(response.reasons.map((r) => r.code)).toEqual(["POL-NO-AGREEMENT"]);
      expect(claims).toBeUndefined();
    },
  );

  it("is a denial in a round, whose composition is fixed", () => {
    const round = { jobId: "j", round: 2, archetypeId: "central", computeProvider: "s" };
    const { response, claims } = ask({ ...round, options: { requireAll: false } });
    expect(response.requestApproved).toBe(false);
    expect(claims).toBeUndefined();
    expect(ask({ ...round, dataProviders: ["a", "b"] }).claims).toMatchObject({
      round: 2,
      agreements: { a: 10, b: 11, s: 13 },
    });
  });

  it("is decided by the time it is told", () => {
    const { response } = ask({ dataProviders: ["a"] }, NOW + 1);
    expect(response.reasons.map((r) => `${r.code} ${r.path}`)).toEqual([
      "POL-EXPIRED relations.ada.notAfter",
    ]);
  });
});
