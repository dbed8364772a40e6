/**
 * The credential manager's operations as pure functions from a state to the next. Source: CredentialManager 9410f5a, oauth_credmgr.py and
 * token_encoder.py. The browser's log-in is a cookie of any content here.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, randomUUID, sign, verify } from "node:crypto"; // biome-ignore format: one line
import type { CredentialState, IssuedToken, Person, RefreshToken } from "./credential-state.js";
import { writeTime } from "./lease.js";

/** Identity tokens kept; the oldest go first. */
const tokensKept = 500;

/** Fresh keys and no tokens. Takes a tenth of a second. */
export function newCredentials(): CredentialState {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return {
    keyId: randomUUID(),
    privateKey: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    tokens: [],
    refreshTokens: [],
  };
}

/** The key that /certs shows. */
export function publicKeys(state: CredentialState): readonly Readonly<Record<string, unknown>>[] {
  const { n, e } = createPublicKey(state.privateKey).export({ format: "jwk" });
  return [{ kty: "RSA", use: "sig", alg: "RS256", kid: state.keyId, n, e }];
}

export interface TokenWish {
  readonly person: Person;
  readonly now: number;
  /** Of the identity token. */
  readonly lifetimeMs: number;
  /** Of the refresh token; none for a long-lived identity token. */
  readonly refreshMs?: number | undefined;
  /** Random, from the caller. */
  readonly refreshToken: string;
  readonly id: string;
  readonly scope: string;
  readonly comment: string;
  readonly from: string;
}

/** As the API and FABlib's token file have it. */
export interface TokenBody extends Readonly<Record<string, unknown>> {
  readonly id_token: string;
  readonly refresh_token?: string;
  readonly created_at: string;
}

/** A new identity token, with a refresh token where one is asked for. `state`: how the identity token is listed. */
export function issueToken(
  before: CredentialState,
  wish: TokenWish,
  state: "Valid" | "Refreshed" = "Valid",
): { readonly state: CredentialState; readonly token: TokenBody } {
  const { person, now } = wish;
  const expiresAt = now + wish.lifetimeMs;
  const idToken = signed(before, claimsOf(wish, expiresAt));
  const hash = tokenHash(idToken);
  const issued: IssuedToken = {
    hash,
    createdAt: now,
    expiresAt,
    state,
    createdFrom: wish.from,
    comment: wish.comment,
    email: person.email,
    projectId: person.project.uuid,
  };
  const refresh: readonly RefreshToken[] =
    wish.refreshMs === undefined
      ? []
      : [{ hash: tokenHash(wish.refreshToken), expiresAt: now + wish.refreshMs, used: false, person }];
  return {
    state: {
      ...before,
      tokens: [...before.tokens, issued].slice(-tokensKept),
      refreshTokens: [...before.refreshTokens, ...refresh].slice(-tokensKept),
    },
    token: {
      ...tokenLine(issued, now),
      id_token: idToken,
      created_at: writeTime(now),
      ...(refresh.length === 0 ? {} : { refresh_token: wish.refreshToken }),
    },
  };
}

/** Uses up a refresh token. Undefined when it is unknown, used, revoked or too old: then it is dead. */
export function useRefreshToken(
  before: CredentialState,
  token: string,
  now: number,
): { readonly state: CredentialState; readonly person: Person } | undefined {
  const hash = tokenHash(token);
  const found = before.refreshTokens.find((r) => r.hash === hash);
  if (found === undefined || found.used || now >= found.expiresAt) return undefined;
  const refreshTokens = before.refreshTokens.map((r) => (r === found ? { ...r, used: true } : r));
  return { state: { ...before, refreshTokens }, person: found.person };
}

/** Shaped like CILogon's. */
export function newRefreshToken(): string {
  return `NB2HI4DTHIXS6${randomBytes(48).toString("hex").toUpperCase()}`;
}

/** Takes a token back: an identity token by its hash, a refresh token by itself. */
export function revokeToken(
  before: CredentialState,
  type: "identity" | "refresh",
  token: string,
  email?: string,
): CredentialState | undefined {
  if (type === "refresh") {
    const hash = tokenHash(token);
    return {
      ...before,
      refreshTokens: before.refreshTokens.map((r) => (r.hash === hash ? { ...r, used: true } : r)),
    };
  }
  if (!before.tokens.some((t) => t.hash === token && (email === undefined || t.email === email)))
    return undefined;
  return {
    ...before,
    tokens: before.tokens.map((t) => (t.hash === token ? { ...t, state: "Revoked" } : t)),
  };
}

/** Why a token of this credential manager is not good, in the words of its reader; undefined when it is. */
export function tokenFault(state: CredentialState | undefined, token: string): string | undefined {
  const [header = "", payload = "", signature = ""] = token.split(".");
  const genuine =
    state !== undefined &&
    verify(
      "RSA-SHA256",
      Buffer.from(`${header}.${payload}`),
      createPublicKey(state.privateKey),
      Buffer.from(signature, "base64url"),
    );
  if (!genuine)
    return "Unable to validate provided token: ValidateCode.INVALID/Signature verification failed";
  const hash = tokenHash(token);
  const known = state.tokens.find((t) => t.hash === hash);
  return known?.state === "Revoked" ? `Unauthorized: Token: ${hash} is revoked!` : undefined;
}

/** One line of GET /tokens. */
export function tokenLine(token: IssuedToken, now: number): Readonly<Record<string, unknown>> {
  return {
    token_hash: token.hash,
    created_at: writeTime(token.createdAt),
    expires_at: writeTime(token.expiresAt),
    state: now >= token.expiresAt && token.state !== "Revoked" ? "Expired" : token.state,
    created_from: token.createdFrom,
    comment: token.comment,
  };
}

export function tokenHash(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

function claimsOf(wish: TokenWish, expiresAt: number): Readonly<Record<string, unknown>> {
  const { person, now } = wish;
  const memberships = {
    is_creator: false,
    is_lead: false,
    is_member: true,
    is_owner: false,
    is_token_holder: false,
  };
  const [given = person.name, ...family] = person.name.split(" ");
  return {
    iss: "https://cilogon.org",
    aud: "cilogon:/client_id/emulated",
    sub: `http://cilogon.org/serverE/users/${person.uuid}`,
    jti: wish.id,
    iat: Math.floor(now / 1000),
    exp: Math.floor(expiresAt / 1000),
    email: person.email,
    name: person.name,
    given_name: given,
    family_name: family.join(" "),
    uuid: person.uuid,
    scope: wish.scope,
    projects: [{ ...person.project, memberships }],
    roles: [
      { name: "fabric-active-users", description: "Active Users of FABRIC" },
      { name: `${person.project.uuid}-pm`, description: person.project.name },
    ],
  };
}

function signed(state: CredentialState, claims: Readonly<Record<string, unknown>>): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "RS256", kid: state.keyId, typ: "JWT" })}.${part(claims)}`;
  const signature = sign("RSA-SHA256", Buffer.from(text), createPrivateKey(state.privateKey));
  return `${text}.${signature.toString("base64url")}`;
}
