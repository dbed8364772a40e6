import { CodedError, type Problem } from "../contract/problem.js";
import { ROLE, stewardOf } from "../contract/users.js";
import type { Principal } from "./principal.js";

/** A user as messages carry them. */
export interface RequestUser {
  readonly id: string;
  readonly userName: string;
}

/**
 * In whose name a request is sent: the token's user. A body that names another one is refused, never believed. Pure.
 *
 * @param said - what the body says of the user, if anything
 * @throws {@link CodedError} `USR-ROLE`, `USR-NOT-YOU`
 */
export function requesterOf(principal: Principal, said?: { readonly userName: string }): RequestUser {
  const { user, subject, requester } = principal;
  if (!requester) throw new CodedError(lacksRole(principal, ROLE.requester, "send requests"));
  if (said !== undefined && said.userName !== user)
    throw new CodedError({
      code: "USR-NOT-YOU",
      path: "user.userName",
      message: `the token is ${user}'s, the request names ${said.userName}`,
      remedy: "leave user out, or send the request with that user's own token",
    });
  return { id: subject, userName: user };
}

/** Whether a job's story may be told: to its user and to operators. */
export function maySeeJob({ user, operator }: Principal, owner: string): boolean {
  return operator || user === owner;
}

/** A call of the orchestrator's API. */
export interface ApiCall {
  readonly method: string;
  /** The party, where the call is for one agreement. */
  readonly agreement?: string | undefined;
}

const STEWARDS_METHODS: readonly string[] = ["GET", "PUT", "PATCH"];

/** Why a user may not make a call of the orchestrator's API; `undefined`: they may. Operators may all, stewards read and change their own agreement. Pure. */
export function apiRefusal(principal: Principal, { method, agreement }: ApiCall): Problem | undefined {
  if (principal.operator) return undefined;
  if (agreement === undefined || !STEWARDS_METHODS.includes(method))
    return lacksRole(principal, ROLE.operator, "make this call");
  if (principal.stewardOf.includes(agreement)) return undefined;
  return {
    code: "USR-NOT-YOURS",
    path: agreement,
    message: `${principal.user} is no steward of ${agreement}`,
    remedy: `this needs a token with the role ${stewardOf(agreement)}`,
  };
}

function lacksRole({ user }: Principal, role: string, what: string): Problem {
  return {
    code: "USR-ROLE",
    path: "authorization",
    message: `${user} may not ${what}: the token does not say ${role}`,
    remedy: `let the issuer give ${user} the role ${role}`,
  };
}

/** HTTP status of what is wrong with a user's call; `undefined`: it is something else. */
export function userStatusOf(code: string): number | undefined {
  if (code.startsWith("USR-TOKEN-")) return 401;
  if (code.startsWith("USR-ISSUER-")) return 503;
  return /^USR-(CLAIM|ROLE|NOT-YOU|NOT-YOURS)$/.test(code) ? 403 : undefined;
}
