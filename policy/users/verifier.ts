import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import { CodedError } from "../contract/problem.js";
import { bearerToken } from "../platform/bearer.js";
import { type IssuerKeysOptions, issuerKeys } from "./issuer-keys.js";
import { type ClaimNames, type Principal, principalOf } from "./principal.js";

/** Finds out who calls. */
export interface Users {
  /**
   * @param authorization - value of the header of that name
   * @throws {@link CodedError} `USR-TOKEN-...` (HTTP 401), `USR-CLAIM` (403), `USR-ISSUER-...` (503)
   */
  principal(authorization: string | undefined): Promise<Principal>;
}

export interface TokenVerifierOptions extends IssuerKeysOptions, ClaimNames {
  /** What `aud` must contain. */
  readonly audience: string;
}

/** Asymmetric ones only: with a key that is public, a symmetric signature proves nothing. */
const ALGORITHMS = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
];
/** Clocks of two hosts may differ by this much, in seconds. */
const SKEW_SECONDS = 30;
/** Characters. Real tokens have 1 to 3 thousand. */
export const LONGEST_TOKEN = 8_192;

/** Verifies access tokens of one OpenID Connect issuer: signature, issuer, audience and time. */
export class TokenVerifier implements Users {
  readonly #options: TokenVerifierOptions;
  readonly #keys: JWTVerifyGetKey;

  constructor(options: TokenVerifierOptions) {
    this.#options = options;
    this.#keys = issuerKeys(options);
  }

  async principal(authorization: string | undefined): Promise<Principal> {
    const token = bearerToken(authorization);
    if (token === undefined) throw missing();
    return principalOf(await this.claims(token), this.#options);
  }

  /** The claims of a token of which all is right. `now`: milliseconds since 1970. */
  async claims(token: string, now = Date.now()): Promise<JWTPayload> {
    if (token.length > LONGEST_TOKEN)
      throw problem(
        "USR-TOKEN-TOO-LARGE",
        `it has more than ${LONGEST_TOKEN} characters`,
        "ask the issuer for fewer claims",
      );
    const { issuer, audience } = this.#options;
    try {
      const { payload } = await jwtVerify(token, this.#keys, {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        clockTolerance: SKEW_SECONDS,
        requiredClaims: ["exp", "sub"],
        currentDate: new Date(now),
      });
      if (payload.iat !== undefined && payload.iat > now / 1000 + SKEW_SECONDS) throw early("iat");
      return payload;
    } catch (error) {
      throw tokenProblem(error, this.#options);
    }
  }
}

const missing = (): CodedError =>
  new CodedError({
    code: "USR-TOKEN-MISSING",
    path: "authorization",
    message: "this needs an access token",
    remedy:
      "send the header Authorization: Bearer <token>; on this machine `dynamos-fabric token --user NAME` gives one",
  });

/** What a person can mend of it; the token itself is never shown. */
function tokenProblem(error: unknown, { issuer, audience }: TokenVerifierOptions): CodedError {
  if (error instanceof CodedError) return error;
  if (error instanceof errors.JWTExpired) return problem("USR-TOKEN-EXPIRED", "it has expired");
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "nbf" && error.reason === "check_failed") return early("nbf");
    if (error.claim === "iss")
      return problem("USR-TOKEN-ISSUER", `it is not of ${issuer}`, "get the token from that issuer");
    if (error.claim === "aud")
      return problem(
        "USR-TOKEN-AUDIENCE",
        `it was not made for ${audience}`,
        "ask the issuer for one with this audience",
      );
    return problem("USR-TOKEN-INVALID", `its claim ${error.claim} is missing or of the wrong kind`);
  }
  if (error instanceof errors.JOSEAlgNotAllowed)
    return problem(
      "USR-TOKEN-ALGORITHM",
      "it is not signed with an algorithm that is taken",
      `let the issuer sign with one of ${ALGORITHMS.join(", ")}`,
    );
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
    return problem("USR-TOKEN-KEY", `its header names no key of ${issuer}`, "get a new one from the issuer");
  if (error instanceof errors.JWKSInvalid)
    return new CodedError({
      code: "USR-ISSUER-METADATA",
      path: "users.issuer",
      message: `what ${issuer} gives as its keys is no JSON Web Key Set`,
      remedy: "mend the issuer",
    });
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return problem("USR-TOKEN-INVALID", "its signature is wrong");
  // Whatever else jose finds is in the token (or its key): the caller's to mend, not a fault of this service.
  return problem("USR-TOKEN-INVALID", "it is no signed JWT that can be verified");
}

const early = (claim: string): CodedError =>
  problem("USR-TOKEN-EARLY", `it is not valid yet (${claim})`, "wait, or see that the hosts' clocks agree");

function problem(code: string, detail: string, remedy = "get a new one from the issuer"): CodedError {
  return new CodedError({
    code,
    path: "authorization",
    message: `the token is not taken: ${detail}`,
    remedy,
  });
}
