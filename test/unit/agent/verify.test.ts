import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type AgreementState,
  type Evidence,
  type RoundClaim,
  verifyRound,
} from "../../../policy/agent/verify.js";
import type { GrantClaims } from "../../../policy/contract/grants.js";

const AGENT = "clientone";

interface Case {
  readonly claim: RoundClaim;
  readonly grant: GrantClaims;
  readonly evidence: Evidence;
}

/** A case that must be let in: the agent's agreement has some history, the last state before the token is the one decided on. */
const honest: fc.Arbitrary<Case> = fc
  .record({
    gaps: fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.boolean()), { maxLength: 6 }),
    wait: fc.integer({ min: 1, max: 5 }),
    later: fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.boolean()), { maxLength: 4 }),
    round: fc.integer({ min: 1, max: 1000 }),
    others: fc.dictionary(
      fc.constantFrom("server", "clienttwo", "clientone2"),
      fc.integer({ min: 1, max: 99 }),
    ),
    computes: fc.boolean(),
  })
  .map(({ gaps, wait, later, round, others, computes }) => {
    let revision = 100;
    const history: AgreementState[] = [];
    const add = ([gap, present]: readonly [number, boolean]): void => {
      revision += gap;
      history.push({ revision, present });
    };
    for (const gap of gaps) add(gap);
    add([1, true]);
    const decided = revision;
    revision += wait;
    const token = revision;
    for (const gap of later) add(gap);
    const agreements = { ...others, [AGENT]: decided };
    const claim: RoundClaim = { job: "job-1", user: "ada@uva.nl", requestType: "vfl", round, token };
    const grant: GrantClaims = {
      sub: claim.user,
      job: claim.job,
      round,
      token,
      requestType: claim.requestType,
      archetype: "any",
      dataProviders: [AGENT],
      computeProviders: computes ? [AGENT] : ["server"],
      dataSets: [],
      columns: {},
      agreements,
    };
    const evidence: Evidence = {
      agent: AGENT,
      newestRound: round,
      since: token - 1,
      agreementHistory: history,
    };
    return { claim, grant, evidence };
  });

const verify = ({ claim, grant, evidence }: Case) => verifyRound(claim, grant, evidence)?.code;

describe("verifyRound", () => {
  it("lets every honest round in, whatever happened to the agreement before the decision or after the token", () => {
    fc.assert(
      fc.property(honest, (one) => {
        expect(verify(one)).toBeUndefined();
      }),
    );
  });

  it.each<[string, (one: Case) => Case]>([
    ["AGT-GRANT-JOB", (one) => ({ ...one, grant: { ...one.grant, job: "job-2" } })],
    ["AGT-GRANT-ROUND", (one) => ({ ...one, grant: { ...one.grant, round: one.grant.round + 1 } })],
    ["AGT-GRANT-TYPE", (one) => ({ ...one, grant: { ...one.grant, requestType: "sql" } })],
    ["AGT-GRANT-USER", (one) => ({ ...one, grant: { ...one.grant, sub: "eve" } })],
    [
      "AGT-GRANT-PARTY",
      (one) => ({
        ...one,
        grant: { ...one.grant, dataProviders: ["clientone2"], computeProviders: ["server"] },
      }),
    ],
    ["AGT-TOKEN-WRONG", (one) => ({ ...one, claim: { ...one.claim, token: one.claim.token + 1 } })],
    ["AGT-TOKEN-WRONG", (one) => ({ ...one, grant: { ...one.grant, token: one.grant.token - 1 } })],
    // As a grant says that opens nothing.
    [
      "AGT-TOKEN-UNKNOWN",
      (one) => ({ ...one, claim: { ...one.claim, token: 0 }, grant: { ...one.grant, token: 0 } }),
    ],
    ["AGT-TOKEN-UNKNOWN", (one) => ({ ...one, claim: { ...one.claim, token: Number.NaN } })],
    ["AGT-TOKEN-OLD", (one) => ({ ...one, evidence: { ...one.evidence, newestRound: one.claim.round + 1 } })],
    // A grant that another run of this agent may have used.
    ["AGT-TOKEN-OLD", (one) => ({ ...one, evidence: { ...one.evidence, since: one.claim.token } })],
    [
      "AGT-AGREEMENT-CHANGED",
      (one) => ({ ...one, grant: { ...one.grant, agreements: { [AGENT]: one.claim.token + 1 } } }),
    ],
  ])("refuses %s when that one thing differs", (code, change) => {
    fc.assert(
      fc.property(honest, (one) => {
        expect(verify(change(one))).toBe(code);
      }),
    );
  });

  it("refuses a data provider without an agreement, or with revision 0, but not one that only computes", () => {
    fc.assert(
      fc.property(honest, fc.boolean(), (one, zero) => {
        const { [AGENT]: _, ...others } = one.grant.agreements;
        const agreements = zero ? { ...others, [AGENT]: 0 } : others;
        const without = { ...one, grant: { ...one.grant, agreements } };
        expect(verify(without)).toBe("AGT-AGREEMENT-MISSING");
        const only = {
          ...without,
          grant: { ...without.grant, dataProviders: ["clienttwo"], computeProviders: [AGENT] },
        };
        expect(verify(only)).toBeUndefined();
      }),
    );
  });

  it("refuses when any change came between the decision and the token, however it looks now", () => {
    fc.assert(
      fc.property(honest, fc.boolean(), (one, present) => {
        const { token } = one.claim;
        const decided = one.grant.agreements[AGENT] ?? 0;
        const between = { revision: decided + 1, present };
        fc.pre(between.revision <= token);
        const before = one.evidence.agreementHistory.filter(({ revision }) => revision <= decided);
        const after = one.evidence.agreementHistory.filter(({ revision }) => revision > token);
        const agreementHistory = [...before, between, ...after];
        expect(verify({ ...one, evidence: { ...one.evidence, agreementHistory } })).toBe(
          "AGT-AGREEMENT-CHANGED",
        );
      }),
    );
  });

  it("refuses while it does not know what the agreement was at the token", () => {
    fc.assert(
      fc.property(honest, (one) => {
        const { agreementHistory: history } = one.evidence;
        const decided = one.grant.agreements[AGENT] ?? 0;
        const told = (agreementHistory: readonly AgreementState[]) =>
          verify({ ...one, evidence: { ...one.evidence, agreementHistory } });
        // It has not heard of the state decided on yet, or began to listen after the token.
        expect(told(history.filter(({ revision }) => revision < decided))).toBe("AGT-AGREEMENT-UNSEEN");
        expect(told(history.filter(({ revision }) => revision > one.claim.token))).toBe(
          "AGT-AGREEMENT-UNSEEN",
        );
      }),
    );
  });
});
