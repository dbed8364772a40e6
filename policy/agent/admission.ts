import type { GrantClaims } from "../contract/grants.js";
import { CodedError } from "../contract/problem.js";
import type { JobWatch } from "./job-watch.js";
import type { OwnAgreement } from "./own-agreement.js";
import { type RoundClaim, verifyRound } from "./verify.js";

/** Reads a grant: checks the enforcer's signature and the time. */
export interface GrantReader {
  /** @throws CodedError when it is not the enforcer's, or expired */
  verify(grant: string): Promise<GrantClaims>;
}

/** How long the agent waits for the store to tell what a token refers to. */
const WAIT_MS = 2_000;

/** Lets a job's rounds in, one after the other. Once a round is in, its later steps need no second look: a round that is open may end. */
export class Admission {
  readonly #agent: string;
  readonly #grants: GrantReader;
  readonly #own: OwnAgreement;
  readonly #watch: () => Promise<JobWatch>;
  #admitted: { readonly key: string; readonly claims: Promise<GrantClaims> } | undefined;

  /** @param watch - opens the job's watch; asked only for a grant that is genuine */
  constructor(agent: string, grants: GrantReader, own: OwnAgreement, watch: () => Promise<JobWatch>) {
    this.#agent = agent;
    this.#grants = grants;
    this.#own = own;
    this.#watch = watch;
  }

  /**
   * What the enforcer granted for this round.
   *
   * @throws CodedError `AGT-GRANT-*`, `AGT-TOKEN-*`, `AGT-AGREEMENT-*`
   */
  admit(claim: RoundClaim, grant: string): Promise<GrantClaims> {
    const key = JSON.stringify([claim, grant]);
    if (this.#admitted?.key === key) return this.#admitted.claims;
    const claims = this.#verify(claim, grant);
    this.#admitted = { key, claims };
    claims.catch(() => {
      // Not kept: what could not be known now may be known a moment later.
      if (this.#admitted?.claims === claims) this.#admitted = undefined;
    });
    return claims;
  }

  async #verify(claim: RoundClaim, grant: string): Promise<GrantClaims> {
    if (grant === "")
      throw new CodedError({
        code: "AGT-GRANT-MISSING",
        path: "metadata.grant",
        message: "the message bears no grant",
        remedy: "let the coordinator send the policy enforcer's grant",
      });
    // Asked for at once, used only if the grant is genuine.
    const early = this.#own.read();
    early.catch(() => {}); // awaited below, unless the grant fails first
    const claims = await this.#grants.verify(grant);
    const watch = await this.#watch();
    const record = await watch.round(claim.round, claim.token, WAIT_MS);
    // A message that came before its token was real tells what the agreement was too early: ask again.
    const agreement = (await early).at >= claim.token ? await early : await this.#own.read();
    const decided = claims.agreements[this.#agent];
    // What it was is asked only where it is not the same any more: to be told that nothing happened takes the store a while.
    const past =
      decided === undefined || agreement.own === decided
        ? { states: [], seen: 0 }
        : await this.#own.history(claim.token, WAIT_MS);
    const problem = verifyRound(claim, claims, {
      agent: this.#agent,
      record,
      newestRound: watch.newestRound,
      agreementNow: agreement.own,
      agreementHistory: past.states,
      historySeen: past.seen,
    });
    if (problem !== undefined) throw new CodedError(problem);
    return claims;
  }
}
