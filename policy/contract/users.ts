/** What a user's access token says, and what both sides of the development issuer must agree on. */

/** What a user may do, as the roles claim of a token names it. A steward's role names the party as well: `steward:clientone`. */
export const ROLE = { requester: "requester", steward: "steward", operator: "operator" } as const;

/** The steward's role of one party. */
export const stewardOf = (party: string): string => `${ROLE.steward}:${party}`;

/** Defaults of an issuer's settings: the audience that tokens must be made for, and the claims that say who it is and what they may do. */
export const TOKEN_DEFAULTS = { audience: "dynamos-fabric", userClaim: "sub", rolesClaim: "roles" } as const;

/** Seconds that a development token is valid, and the most that may be asked for. */
export const DEVELOPMENT_TOKEN_SECONDS = { default: 3_600, most: 86_400 } as const;

/** Body of the development issuer's `POST /token`. */
export interface TokenOrder {
  /** As agreements name the user. */
  readonly user: string;
  readonly roles: readonly string[];
  readonly seconds?: number;
}

/** Its answer (RFC 6749, 5.1). */
export interface TokenAnswer {
  readonly access_token: string;
  readonly token_type: "Bearer";
  readonly expires_in: number;
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Whether tokens and keys may be had from a URL: https, or http on this machine's loopback. What decides who may do what crosses no network in the clear. */
export function isSecureUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  return protocol === "https:" || (protocol === "http:" && LOOPBACK.test(hostname));
}
