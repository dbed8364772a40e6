import { z } from "zod";
import { isSecureUrl, TOKEN_DEFAULTS } from "../contract/users.js";
import { TokenVerifier } from "./verifier.js";

/** The environment of a service that takes users' tokens. */
export const usersConfig = {
  /** URL of the OpenID Connect issuer, as tokens name it. */
  OIDC_ISSUER: z.string().refine(isSecureUrl, "must be an https URL, or http on this machine's loopback"),
  OIDC_AUDIENCE: z.string().min(1).default(TOKEN_DEFAULTS.audience),
  OIDC_USER_CLAIM: z.string().min(1).default(TOKEN_DEFAULTS.userClaim),
  OIDC_ROLES_CLAIM: z.string().min(1).default(TOKEN_DEFAULTS.rolesClaim),
} as const;

/** Verifies the users' tokens as the environment says. */
export function usersFrom(config: {
  readonly OIDC_ISSUER: string;
  readonly OIDC_AUDIENCE: string;
  readonly OIDC_USER_CLAIM: string;
  readonly OIDC_ROLES_CLAIM: string;
}): TokenVerifier {
  return new TokenVerifier({
    issuer: config.OIDC_ISSUER,
    audience: config.OIDC_AUDIENCE,
    userClaim: config.OIDC_USER_CLAIM,
    rolesClaim: config.OIDC_ROLES_CLAIM,
  });
}
