import type { Columns } from "./documents.js";

/**
 * What the policy enforcer signs: a short-lived right of one user for one round of one job (JWT, EdDSA). An agent works only with a valid one.
 */
export interface GrantClaims {
  /** The user's name. */
  readonly sub: string;
  readonly job: string;
  /** Counted from 1. */
  readonly round: number;
  /** Revision of the transaction that opened the round. */
  readonly token: number;
  readonly requestType: string;
  readonly archetype: string;
  readonly dataProviders: readonly string[];
  /** Who computes. The data providers themselves where the archetype brings the computation to the data. */
  readonly computeProviders: readonly string[];
  /** What the request type reads, and so what was decided on. Empty: it names no data set. */
  readonly dataSets: readonly string[];
  /** Of these data sets only these columns. Of a data set that is not here: all. */
  readonly columns: Columns;
  /** Agreement (mod) revision by party, as decided on. */
  readonly agreements: Readonly<Record<string, number>>;
}

/** A grant as signed. */
export interface SignedClaims extends GrantClaims {
  readonly iss: typeof GRANT_ISSUER;
  readonly jti: string;
  /** Seconds since 1970. */
  readonly iat: number;
  readonly exp: number;
}

export const GRANT_ISSUER = "policy-enforcer";
/** Seconds a grant is valid. */
export const GRANT_SECONDS = 60;

/** The public half of a signing key, at `/policyEnforcer/keys/<kid>`. */
export interface GrantKey {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  /** base64url */
  readonly x: string;
  readonly kid: string;
}
