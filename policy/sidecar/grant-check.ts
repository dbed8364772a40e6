import type { KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import type { GrantKey, SignedClaims } from "../contract/grants.js";
import { CodedError } from "../contract/problem.js";
import { type MicroserviceCommunication, unpackRequest } from "../contract/wire.js";
import { importKey, readGrant, unknownKey } from "../platform/grants.js";
import type { Identity } from "./messages.js";
import type { StepInput } from "./step.js";

export interface GrantCheckOptions {
  /** File of the enforcers' public keys (JSON list of JWK); read again for a key that is new. */
  readonly keysFile: string;
  /** Seconds that a round may last: a step late in it comes after its grant's time. */
  readonly roundSeconds: number;
}

/** Rounds whose token is remembered: those in which the ledger answers. */
const ROUNDS_KEPT = 2;

/** A microservice's own look at the enforcer's grant, whoever sent the step. Once for a round's grant; its later steps need no second look. */
export class GrantCheck {
  readonly #identity: Identity;
  readonly #options: GrantCheckOptions;
  readonly #keys = new Map<string, KeyObject>();
  readonly #tokens = new Map<number, number>();
  #last: { readonly grant: string; readonly claims: SignedClaims } | undefined;

  constructor(identity: Identity, options: GrantCheckOptions) {
    this.#identity = identity;
    this.#options = options;
  }

  /**
   * What the enforcer granted for this step.
   *
   * @throws CodedError `AGT-GRANT-*`, `AGT-TOKEN-*`
   */
  async check(
    message: MicroserviceCommunication,
    step: Pick<StepInput, "round" | "role">,
  ): Promise<SignedClaims> {
    const { grant = "" } = message.metadata;
    if (grant === "") throw refused("MISSING", "the message bears no grant");
    const claims =
      this.#last?.grant === grant
        ? this.#last.claims
        : await readGrant(grant, (kid) => this.#key(kid), Date.now(), this.#options.roundSeconds);
    this.#fits(claims, message, step);
    this.#inOrder(claims);
    this.#last = { grant, claims };
    return claims;
  }

  #fits(
    claims: SignedClaims,
    message: MicroserviceCommunication,
    { round, role }: Pick<StepInput, "round" | "role">,
  ): void {
    const { job, steward } = this.#identity;
    const user = unpackRequest(message.originalRequest).user?.userName ?? "";
    const holders = role === "dataProvider" ? claims.dataProviders : claims.computeProviders;
    if (claims.job !== job) throw refused("JOB", `the grant is for job ${claims.job}, not ${job}`);
    if (claims.round !== round)
      throw refused("ROUND", `the grant is for round ${claims.round}, not ${round}`);
    if (claims.requestType !== message.requestType)
      throw refused(
        "TYPE",
        `the grant is for request type ${claims.requestType}, not ${message.requestType}`,
      );
    if (claims.sub !== user) throw refused("USER", `the grant is for user ${claims.sub}, not ${user}`);
    if (!holders.includes(steward)) throw refused("ROLE", `the grant does not name ${steward} as ${role}`);
  }

  /** A round opens once, and after those before it: what is replayed is neither. */
  #inOrder({ round, token }: SignedClaims): void {
    const known = this.#tokens.get(round);
    if (known === token) return;
    const before = Math.max(0, ...this.#tokens.values());
    const newest = Math.max(0, ...this.#tokens.keys());
    if (known !== undefined || token <= before || round < newest)
      throw new CodedError({
        code: known === undefined ? "AGT-TOKEN-OLD" : "AGT-TOKEN-WRONG",
        path: "metadata.grant",
        message: `round ${round} of token ${token} comes after round ${newest} of token ${before}`,
        remedy: "ask for one round after the other, each with its own grant",
      });
    this.#tokens.set(round, token);
    for (const kept of this.#tokens.keys()) if (kept <= round - ROUNDS_KEPT) this.#tokens.delete(kept);
  }

  #key(kid: string): KeyObject {
    if (!this.#keys.has(kid)) this.#readKeys();
    const key = this.#keys.get(kid);
    if (key === undefined) throw unknownKey(kid);
    return key;
  }

  #readKeys(): void {
    this.#keys.clear();
    const keys = JSON.parse(readFileSync(this.#options.keysFile, "utf8")) as readonly GrantKey[];
    for (const jwk of keys) this.#keys.set(jwk.kid, importKey(jwk));
  }
}

const CODES = {
  MISSING: "AGT-GRANT-MISSING",
  JOB: "AGT-GRANT-JOB",
  ROUND: "AGT-GRANT-ROUND",
  TYPE: "AGT-GRANT-TYPE",
  USER: "AGT-GRANT-USER",
  ROLE: "AGT-GRANT-ROLE",
} as const;

function refused(what: keyof typeof CODES, message: string): CodedError {
  return new CodedError({
    code: CODES[what],
    path: "metadata.grant",
    message,
    remedy: "let the agent pass on the grant of the step's own round",
  });
}
