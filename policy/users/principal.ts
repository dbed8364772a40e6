import { NAME_PATTERN, USER_PATTERN } from "../contract/json-schemas.js";
import { CodedError } from "../contract/problem.js";
import { ROLE } from "../contract/users.js";

/** Who calls, and as what: all that is taken from a verified token. */
export interface Principal {
  /** As agreements name the user. */
  readonly user: string;
  /** The issuer's own name for them (`sub`). */
  readonly subject: string;
  /** May send requests in their own name. */
  readonly requester: boolean;
  /** May do everything in the orchestrator's API, and see all jobs. */
  readonly operator: boolean;
  /** Parties whose agreement they may read and change. */
  readonly stewardOf: readonly string[];
}

/** Which claims say who the user is and what they may do: a claim's name, or a path with dots (`realm_access.roles`). */
export interface ClaimNames {
  readonly userClaim: string;
  readonly rolesClaim: string;
}

const USER = new RegExp(USER_PATTERN);
const PARTY = new RegExp(NAME_PATTERN);
const STEWARD = `${ROLE.steward}:`;
/** OpenID Connect Core 2: a subject has at most 255 characters. */
const LONGEST_SUBJECT = 255;

/**
 * Whom a verified token's claims name. Roles that are not ours count for nothing, so a token without any gives no right. Pure.
 *
 * @throws {@link CodedError} `USR-CLAIM`: the token names no user, or one who could choose their name
 */
export function principalOf(claims: Readonly<Record<string, unknown>>, names: ClaimNames): Principal {
  const { sub } = claims;
  if (typeof sub !== "string" || sub === "" || sub.length > LONGEST_SUBJECT)
    throw badClaim("sub", `must be a text of 1 to ${LONGEST_SUBJECT} characters`);
  const user = claimAt(claims, names.userClaim);
  if (typeof user !== "string" || !USER.test(user))
    throw badClaim(names.userClaim, "must name the user: 1 to 254 characters without spaces and slashes");
  // At many issuers anybody may write any address into their own profile.
  if (names.userClaim === "email" && claims.email_verified !== true)
    throw badClaim("email_verified", "must be true where the address is the user's name");
  const roles = rolesIn(claimAt(claims, names.rolesClaim));
  return {
    user,
    subject: sub,
    requester: roles.includes(ROLE.requester),
    operator: roles.includes(ROLE.operator),
    stewardOf: roles.flatMap((role) => {
      const party = role.startsWith(STEWARD) ? role.slice(STEWARD.length) : "";
      return PARTY.test(party) ? [party] : [];
    }),
  };
}

/** The claim of that very name (some are URLs, with dots of their own), else the value at the path. */
function claimAt(claims: Readonly<Record<string, unknown>>, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let here: unknown = claims;
  for (const part of name.split(".")) {
    if (typeof here !== "object" || here === null || !Object.hasOwn(here, part)) return undefined;
    here = (here as Record<string, unknown>)[part];
  }
  return here;
}

/** A list of roles, or one text of them with spaces between, as `scope` has it. */
function rolesIn(value: unknown): readonly string[] {
  if (typeof value === "string") return value.split(" ");
  return Array.isArray(value) ? value.filter((role) => typeof role === "string") : [];
}

function badClaim(claim: string, rule: string): CodedError {
  return new CodedError({
    code: "USR-CLAIM",
    path: claim,
    message: `the token's claim ${claim} ${rule}`,
    remedy: "let the issuer set this claim, or name another one in the configuration's users.userClaim",
  });
}
