import type { GrantClaims } from "../contract/grants.js";
import type { Problem } from "../contract/problem.js";

/** What a coordinator asks an agent to work on. All of it is a claim of the coordinator's; nothing here is a right. */
export interface RoundClaim {
  readonly job: string;
  readonly user: string;
  readonly requestType: string;
  readonly round: number;
  /** Revision of the transaction that opened the round. */
  readonly token: number;
}

/** One state of the agent's own agreement: from `revision` on, until the next state. */
export interface AgreementState {
  readonly revision: number;
  readonly present: boolean;
}

/** What the agent itself knows from the store. */
export interface Evidence {
  readonly agent: string;
  /** The newest round of the job that this agent was let into. */
  readonly newestRound: number;
  /** The store's revision when this agent started: what was opened before, another run of it may have worked on. */
  readonly since: number;
  /** States of the own agreement as watched, oldest first. */
  readonly agreementHistory: readonly AgreementState[];
}

/**
 * Whether an agent may work for a round. `undefined`: it may. The grant's signature and its time have been verified before: so the policy enforcer has
 * opened this very round, in one transaction with the comparison of the agreements it names.
 *
 * It may, when the grant was signed for this very agent, user, job, round and token, when it was opened since this agent
 * started and no later round was let in, and when nothing that the agent
 * knows of its own agreement speaks against it. A change after the token does not matter: a round that is open may end.
 */
export function verifyRound(claim: RoundClaim, grant: GrantClaims, evidence: Evidence): Problem | undefined {
  return (
    verifyGrant(claim, grant, evidence.agent) ??
    verifyToken(claim, grant, evidence) ??
    verifyAgreement(claim, grant, evidence)
  );
}

function verifyGrant(claim: RoundClaim, grant: GrantClaims, agent: string): Problem | undefined {
  const differs = (
    code: string,
    what: string,
    granted: string | number,
    asked: string | number,
  ): Problem | undefined =>
    granted === asked ? undefined : refusal(code, `the grant is for ${what} ${granted}, not ${asked}`);
  return (
    differs("AGT-GRANT-JOB", "job", grant.job, claim.job) ??
    differs("AGT-GRANT-ROUND", "round", grant.round, claim.round) ??
    differs("AGT-GRANT-TYPE", "request type", grant.requestType, claim.requestType) ??
    differs("AGT-GRANT-USER", "user", grant.sub, claim.user) ??
    (grant.dataProviders.includes(agent) || grant.computeProviders.includes(agent)
      ? undefined
      : refusal(
          "AGT-GRANT-PARTY",
          `the grant names ${agent} neither as data provider nor as compute provider`,
        ))
  );
}

function verifyToken(
  { token, round }: RoundClaim,
  grant: GrantClaims,
  { newestRound, since }: Evidence,
): Problem | undefined {
  if (!Number.isSafeInteger(token) || token <= 0)
    return refusal("AGT-TOKEN-UNKNOWN", `${token} is no revision`);
  if (grant.token !== token)
    return refusal(
      "AGT-TOKEN-WRONG",
      `round ${round} was opened at revision ${grant.token}, the token says ${token}`,
    );
  if (newestRound > round)
    return refusal("AGT-TOKEN-OLD", `round ${newestRound} is open already, round ${round} has ended`);
  if (token <= since)
    return refusal(
      "AGT-TOKEN-OLD",
      `round ${round} was opened at revision ${token}, before this agent started (revision ${since})`,
    );
  return undefined;
}

function verifyAgreement({ token }: RoundClaim, grant: GrantClaims, evidence: Evidence): Problem | undefined {
  const { agent } = evidence;
  const decided = Object.hasOwn(grant.agreements, agent) ? grant.agreements[agent] : undefined;
  if (decided === undefined || decided <= 0) {
    // Who only computes may work without an agreement of its own; who gives data may not.
    return grant.dataProviders.includes(agent)
      ? refusal("AGT-AGREEMENT-MISSING", `the enforcer decided without an agreement of ${agent}`)
      : undefined;
  }
  if (decided > token)
    return refusal(
      "AGT-AGREEMENT-CHANGED",
      `${agent}'s agreement changed after revision ${token}, at which the round was opened`,
    );
  const state = evidence.agreementHistory.findLast(({ revision }) => revision <= token);
  if (state === undefined || state.revision < decided)
    return refusal(
      "AGT-AGREEMENT-UNSEEN",
      `${agent}'s agreement of revision ${decided}, the one decided on, is not known here`,
    );
  if (!state.present || state.revision !== decided) {
    const was = state.present ? `of revision ${state.revision}` : `gone since revision ${state.revision}`;
    return refusal(
      "AGT-AGREEMENT-CHANGED",
      `when the round was opened (revision ${token}), ${agent}'s agreement was ${was}, not of revision ${decided}`,
    );
  }
  return undefined;
}

function refusal(code: string, message: string): Problem {
  return {
    code,
    message,
    remedy: "let the coordinator ask the policy enforcer again and open the round anew",
  };
}
