import type { GrantClaims } from "../contract/grants.js";
import { CodedError, type Problem } from "../contract/problem.js";
import type { OwnAgreement } from "./own-agreement.js";
import { type RoundClaim, verifyRound } from "./verify.js";

/** Reads a grant: checks the enforcer's signature and the time. */
export interface GrantReader {
  /** @throws CodedError when it is not the enforcer's, or expired */
  verify(grant: string): Promise<GrantClaims>;
}

/** How long the agent waits for the store to tell of its agreement what the enforcer has decided on. */
const WAIT_MS = 2_000;

/** Lets a job's rounds in, one after the other. Once a round is in, its later steps need no second look: a round that is open may end. */
export class Admission {
  readonly #agent: string;
  readonly #grants: GrantReader;
  readonly #own: OwnAgreement;
  readonly #watch: () => Promise<unknown>;
  readonly #revoked: (claims: GrantClaims) => Problem | undefined;
  #newest = 0;
  #admitted:
    | { readonly key: string; readonly grant: string; readonly claims: Promise<GrantClaims> }
    | undefined;

  /**
   * @param watch - begins to watch for the job's end; asked only for a grant that is genuine
   * @param revoked - why this agent stops at once what was granted, if it does
   */
  constructor(
    agent: string,
    grants: GrantReader,
    own: OwnAgreement,
    watch: () => Promise<unknown>,
    revoked: (claims: GrantClaims) => Problem | undefined,
  ) {
    this.#revoked = revoked;
    this.#agent = agent;
    this.#grants = grants;
    this.#own = own;
    this.#watch = watch;
  }

  /**
   * What the enforcer granted for this round.
   *
   * @throws CodedError `AGT-GRANT-*`, `AGT-TOKEN-*`, `AGT-AGREEMENT-*`, `AGT-REVOKED`
   */
  admit(claim: RoundClaim, grant: string): Promise<GrantClaims> {
    const key = JSON.stringify([claim, grant]);
    if (this.#admitted?.key === key) return this.#admitted.claims;
    const claims = this.#verify(claim, grant);
    this.#admitted = { key, grant, claims };
    claims.catch(() => {
      // Not kept: what could not be known now may be known a moment later.
      if (this.#admitted?.claims === claims) this.#admitted = undefined;
    });
    return claims;
  }

  /** What was granted for the round that is in, or was last. */
  get granted(): Promise<GrantClaims> | undefined {
    return this.#admitted?.claims;
  }

  /** What was granted for the round that is in, if this is its grant. */
  admitted(grant: string): Promise<GrantClaims> | undefined {
    return this.#admitted?.grant === grant ? this.#admitted.claims : undefined;
  }

  async #verify(claim: RoundClaim, grant: string): Promise<GrantClaims> {
    if (grant === "") throw grantMissing("metadata.grant");
    const claims = await this.#grants.verify(grant);
    await this.#watch();
    const decided = Object.hasOwn(claims.agreements, this.#agent)
      ? claims.agreements[this.#agent]
      : undefined;
    const problem = verifyRound(claim, claims, {
      agent: this.#agent,
      newestRound: this.#newest,
      since: this.#own.startedAt,
      agreementHistory: await this.#own.history(decided ?? 0, WAIT_MS),
    });
    if (problem !== undefined) throw new CodedError(problem);
    const revoked = this.#revoked(claims);
    if (revoked !== undefined) throw new CodedError(revoked);
    this.#newest = Math.max(this.#newest, claim.round);
    return claims;
  }
}

export function grantMissing(path: string): CodedError {
  return new CodedError({
    code: "AGT-GRANT-MISSING",
    path,
    message: "the message bears no grant",
    remedy: "let the coordinator send the policy enforcer's grant",
  });
}
