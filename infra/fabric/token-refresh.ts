/**
 * A valid id token: from the token file, and before it ends from FABRIC's credential manager. A refresh token is good for one use, so one process at a
 * time refreshes, and the new pair is on disk before anyone uses it. Source: CredentialManager 9410f5a; the file is the one FABlib writes.
 */
import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { fetch } from "undici";
import { z } from "zod";
import { InfraError } from "../problem.js";
import { withLock } from "../toolchain/file-lock.js";
import { serverWords, withoutTokens } from "./api-errors.js";
import { boundedText } from "./api-text.js";
import { logInAt, readTokenFile, replaceTokenFile, type Tokens, tokenClaims } from "./token-file.js";

export interface TokenSource {
  /** The token file. */
  readonly file: string;
  /** Of the credential manager: a host name, or an address with http:// or https://. */
  readonly host: string;
  /** Default: the project of the token. */
  readonly projectId?: string;
}

export interface FreshTokenOptions {
  /** Default: this moment. */
  readonly now?: () => number;
  /** How long before its end an id token is refreshed, in seconds. Default 900. */
  readonly refreshSeconds?: number;
  /** How long the credential manager may take, in seconds. Default 30. */
  readonly timeoutSeconds?: number;
}

/** An id token that ends within this time is as good as ended: the call that carries it may come too late. */
const spareMs = 10_000;
/** While an id token is still good, a refresh that failed is not tried again for so long. */
const patienceMs = 60_000;
/** Most bytes of the credential manager's answer. */
const answerLimit = 1024 * 1024;

const answerSchema = z.object({
  data: z.array(z.looseObject({ id_token: z.string().min(1), refresh_token: z.string().min(1).nullish() })).min(1),
}); // biome-ignore format: one line

/** What is under way, by file: the calls of one process wait for one refresh. */
const underWay = new Map<string, Promise<string>>();
/** When the last try failed, by the hash of the refresh token. */
const failedAt = new Map<string, number>();

/**
 * The id token, refreshed when it ends within `refreshSeconds` and the file has a refresh token.
 *
 * While the id token is good, a refresh that fails is not an error: the credential manager may be away, and the token still serves.
 *
 * @throws InfraError FAB-TOKEN-MISSING, FAB-TOKEN-INVALID; FAB-TOKEN-EXPIRED: it has ended and there is no refresh token; FAB-TOKEN-DEAD: FABRIC takes the
 * refresh token no more; FAB-TOKEN-REFRESH: the credential manager did not give one; FAB-TOKEN-WRITE. None holds a token.
 */
export async function freshToken(source: TokenSource, options: FreshTokenOptions = {}): Promise<string> {
  const tokens = readTokenFile(source.file);
  if (!shouldRefresh(tokens, options)) return stillGood(tokens, source, options);
  const same = underWay.get(source.file);
  if (same !== undefined) return await same;
  const work = refreshed(source, tokens, options).finally(() => underWay.delete(source.file));
  underWay.set(source.file, work);
  return await work;
}

/**
 * What a token file says at this moment, for checks ahead: an id token that has ended is good enough where it can be refreshed.
 *
 * @throws InfraError FAB-TOKEN-MISSING, FAB-TOKEN-INVALID, FAB-TOKEN-EXPIRED
 */
export function currentToken(file: string, now: number = Date.now()): string {
  const tokens = readTokenFile(file);
  if (tokens.refreshToken === undefined && ends(tokens) <= now) throw expired(file, tokens);
  return tokens.idToken;
}

function ends(tokens: Tokens): number {
  return tokens.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
}

function shouldRefresh(tokens: Tokens, { now = Date.now, refreshSeconds = 900 }: FreshTokenOptions): boolean {
  const left = ends(tokens) - now();
  if (tokens.refreshToken === undefined || left > refreshSeconds * 1000) return false;
  const failed = failedAt.get(fingerprint(tokens.refreshToken));
  return left <= spareMs || failed === undefined || now() - failed >= patienceMs;
}

function stillGood(tokens: Tokens, { file }: TokenSource, { now = Date.now }: FreshTokenOptions): string {
  if (ends(tokens) <= now()) throw expired(file, tokens);
  return tokens.idToken;
}

async function refreshed(source: TokenSource, before: Tokens, options: FreshTokenOptions): Promise<string> {
  const { now = Date.now } = options;
  try {
    // by its real path: several links to one file are one file
    return await withLock(`${realpathSync(source.file)}.lock`, async () => {
      // whoever had the lock may have done the work
      const tokens = readTokenFile(source.file);
      if (!shouldRefresh(tokens, options) || tokens.refreshToken === undefined)
        return stillGood(tokens, source, options);
      return await spend(source, tokens, tokens.refreshToken, options);
    });
  } catch (error) {
    if (before.refreshToken !== undefined) failedAt.set(fingerprint(before.refreshToken), now());
    if (ends(before) - now() > spareMs) return before.idToken;
    throw error instanceof InfraError ? error : cannotLock(source.file, error);
  }
}

/** Uses up the refresh token. From the answer on nothing may come between it and the disk. */
async function spend(
  source: TokenSource,
  tokens: Tokens,
  refreshToken: string,
  options: FreshTokenOptions,
): Promise<string> {
  const replacement = replaceTokenFile(source.file);
  try {
    const { status, text } = await post(source, tokens, refreshToken, options);
    const parsed = status === 200 ? answerSchema.safeParse(asJson(text)) : undefined;
    if (parsed?.success) {
      const [pair = { id_token: "" }] = parsed.data.data;
      // FABlib reads the whole object that the credential manager gives; without a new refresh token the old one is all there is
      replacement.commit(`${JSON.stringify({ refresh_token: refreshToken, ...withoutNulls(pair) })}\n`);
      return pair.id_token;
    }
    if (status === 401) {
      // FABlib knows no lock: it may have refreshed while we asked
      const now = readTokenFile(source.file);
      if (now.idToken !== tokens.idToken) return stillGood(now, source, options);
      throw dead(source.file, text);
    }
    // A failure after the identity provider was asked may carry the next refresh token. Source: fabric_cm, credmgr_proxy.py, refresh.
    const next = /refresh_token:\s*"?([^\s",}]{16,})/.exec(text)?.[1];
    if (next !== undefined && next !== refreshToken) {
      const kept = { id_token: tokens.idToken, refresh_token: next, created_at: createdAt(options) };
      replacement.commit(`${JSON.stringify(kept)}\n`);
    }
    throw notGiven(source, status === 200 ? "its answer is not understood" : said(status, text));
  } finally {
    replacement.abandon();
  }
}

async function post(
  source: TokenSource,
  tokens: Tokens,
  refreshToken: string,
  { timeoutSeconds = 30 }: FreshTokenOptions,
): Promise<{ readonly status: number; readonly text: string }> {
  const project = source.projectId ?? projectOf(tokens.idToken);
  if (project === undefined)
    throw notGiven(source, "the token names no project", "set FABRIC_PROJECT_ID in fabric_rc");
  const base = /^https?:\/\//.test(source.host) ? source.host : `https://${source.host}`;
  const url = new URL(`${base.replace(/\/+$/, "").replace(/\/credmgr$/, "")}/credmgr/tokens/refresh`);
  url.searchParams.set("project_id", project);
  url.searchParams.set("scope", "all");
  try {
    // never sent twice: nobody knows whether the first one spent the token
    const response = await fetch(url, {
      method: "POST",
      headers: { accept: "application/json", "content-type": "application/json" },
      body: JSON.stringify({ refresh_token: refreshToken }),
      redirect: "error",
      signal: AbortSignal.timeout(timeoutSeconds * 1000),
    });
    return { status: response.status, text: await boundedText(response.body, answerLimit) };
  } catch (error) {
    const timedOut = error instanceof Error && error.name === "TimeoutError";
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw notGiven(source, timedOut ? `no answer within ${timeoutSeconds} s` : withoutTokens(String((cause as Error).message))); // biome-ignore format: one line
  }
}

function projectOf(token: string): string | undefined {
  const { projects } = tokenClaims(token);
  const first: unknown = Array.isArray(projects) ? projects[0] : undefined;
  const uuid = (first as { readonly uuid?: unknown } | undefined)?.uuid;
  return typeof uuid === "string" ? uuid : undefined;
}

function expired(file: string, tokens: Tokens): InfraError {
  const when = tokens.expiresAt?.toISOString() ?? "";
  return new InfraError({
    code: "FAB-TOKEN-EXPIRED",
    file,
    message: `the FABRIC token expired at ${when}${tokens.refreshToken === undefined ? ", and the file has no refresh token" : ""}`,
    remedy: `log in with a browser at ${logInAt} and put the new token there`,
  });
}

function dead(file: string, text: string): InfraError {
  const words = withoutTokens(serverWords(text) ?? "refused");
  return new InfraError({
    code: "FAB-TOKEN-DEAD",
    file,
    message: `FABRIC takes this refresh token no more: ${words}`,
    remedy: `log in with a browser at ${logInAt} and put the new token there`,
  });
}

function notGiven(source: TokenSource, why: string, remedy?: string): InfraError {
  const host = source.host.replace(/^https?:\/\//, "");
  return new InfraError({
    code: "FAB-TOKEN-REFRESH",
    file: source.file,
    message: `the FABRIC token has ended and ${host} gave no new one: ${why}`,
    remedy: remedy ?? `try again; if the refresh token is spent by then, log in with a browser at ${logInAt}`,
  });
}

function cannotLock(file: string, error: unknown): InfraError {
  return new InfraError({
    code: "FAB-TOKEN-WRITE",
    file,
    message: `the token file's folder cannot be written: ${(error as Error).message}`,
    remedy: "make the file and its folder writable: a refresh token is good for one use, so the next one must be kept",
  }); // biome-ignore format: one line
}

function said(status: number, text: string): string {
  return `${withoutTokens(serverWords(text) ?? "no explanation")} (HTTP ${status})`;
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // not understood: the caller says so, without quoting what may hold a token
  }
}

function withoutNulls(value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== null && v !== undefined));
}

/** `2026-12-06 09:30:00 +0000`, as FABlib writes and reads it. */
function createdAt({ now = Date.now }: FreshTokenOptions): string {
  return `${new Date(now()).toISOString().slice(0, 19).replace("T", " ")} +0000`;
}

function fingerprint(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
