import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey } from "jose";
import { CodedError } from "../contract/problem.js";
import { isSecureUrl } from "../contract/users.js";

export interface IssuerKeysOptions {
  /** As tokens name it in `iss`: https, or http on this machine's loopback. */
  readonly issuer: string;
  /** Milliseconds for one answer of the issuer. Default 3000. */
  readonly timeout?: number;
  /** Milliseconds between two looks for a key that is not known. Default 5000. */
  readonly cooldown?: number;
}

const DEFAULTS = { timeout: 3_000, cooldown: 5_000 } as const;
/** After this the keys are asked for again: so long may a key count that its issuer has taken back. */
const KEYS_MS = 600_000;
/** An issuer that has just failed is not asked again at once: all who come meanwhile are told the same. */
const FAILED_MS = 1_000;
const MOST_BYTES = 1_000_000;

/**
 * The public keys of an issuer, found by its discovery document (OpenID Connect Discovery 1.0) and asked for when a token needs them: a new key is known
 * within the cooldown of its first use. Nothing is asked before the first token, so an issuer that is away keeps no service from starting.
 *
 * @returns what `jwtVerify` takes as key. It rejects with `USR-ISSUER-SILENT` and `USR-ISSUER-METADATA`
 */
export function issuerKeys(options: IssuerKeysOptions): JWTVerifyGetKey {
  const { issuer, timeout = DEFAULTS.timeout, cooldown = DEFAULTS.cooldown } = options;
  let failed: { readonly at: number; readonly error: CodedError } | undefined;
  const ask = async (url: string): Promise<Response> => {
    if (failed !== undefined && performance.now() - failed.at < FAILED_MS) throw failed.error;
    try {
      return await boundedJson(url, timeout);
    } catch (error) {
      failed = { at: performance.now(), error: silent(issuer, url, error) };
      throw failed.error;
    }
  };

  let found: Promise<JWTVerifyGetKey> | undefined;
  const discover = async (): Promise<JWTVerifyGetKey> => {
    const answer = await ask(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
    return createRemoteJWKSet(keysUrl(issuer, await answer.json()), {
      cooldownDuration: cooldown,
      cacheMaxAge: KEYS_MS,
      [customFetch]: ask,
    });
  };
  return async (header, token) => {
    // A discovery that failed is done again at the next token; one that has succeeded stays.
    found ??= discover().catch((error: unknown) => {
      found = undefined;
      throw error;
    });
    return (await found)(header, token);
  };
}

/** Where the keys are, by the discovery document. It must be the issuer's own, and no plain text may be trusted over a network. */
function keysUrl(issuer: string, document: unknown): URL {
  const { issuer: named, jwks_uri: uri } = (document ?? {}) as {
    readonly issuer?: unknown;
    readonly jwks_uri?: unknown;
  };
  const wrong = (message: string): CodedError =>
    new CodedError({
      code: "USR-ISSUER-METADATA",
      path: "users.issuer",
      message: `the discovery document of ${issuer} ${message}`,
      remedy: "write users.issuer exactly as the issuer's own metadata and tokens have it",
    });
  if (named !== issuer) throw wrong(`is that of ${String(named)}`);
  if (typeof uri !== "string") throw wrong("names no jwks_uri");
  if (!isSecureUrl(uri)) throw wrong("has its keys at an address that is neither https nor on this machine");
  return new URL(uri);
}

/** An answer of at most a megabyte, read whole within the time limit. Redirects are not followed. */
async function boundedJson(url: string, timeout: number): Promise<Response> {
  const response = await fetch(url, {
    redirect: "error",
    headers: { accept: "application/json" },
    signal: AbortSignal.timeout(timeout),
  });
  if (response.status !== 200 || response.body === null) throw new Error(`HTTP ${response.status}`);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new Error(`more than ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString("utf8");
  JSON.parse(text);
  return new Response(text, { headers: { "content-type": "application/json" } });
}

function silent(issuer: string, url: string, error: unknown): CodedError {
  const told =
    error instanceof Error
      ? error.cause instanceof Error
        ? error.cause.message
        : error.message
      : String(error);
  return new CodedError(
    {
      code: "USR-ISSUER-SILENT",
      path: "users.issuer",
      message: `the issuer ${issuer} does not give its keys: ${url}: ${told}`,
      remedy: "try again in a moment; if it stays so, see that the issuer runs and is reached from here",
    },
    { cause: error },
  );
}
