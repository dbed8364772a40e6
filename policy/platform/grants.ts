import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
  verify,
} from "node:crypto";
import {
  GRANT_ISSUER,
  GRANT_SECONDS,
  type GrantClaims,
  type GrantKey,
  type SignedClaims,
} from "../contract/grants.js";
import { KEY } from "../contract/names.js";
import { CodedError } from "../contract/problem.js";
import type { Mirror, Store } from "./store.js";

/** Clocks of two hosts may differ by this much, in seconds. */
const LEEWAY_SECONDS = 5;
/** A key stays in the store for this long after its enforcer's last sign of life: longer than any grant it signed. */
const KEY_SECONDS = GRANT_SECONDS + 60;
/** A grant names its parties; none that we sign comes near this. */
const MAX_TOKEN_LENGTH = 64 * 1024;

/** Signs grants. The private key lives in this process's memory only; a new process makes a new one. */
export class GrantSigner {
  readonly key: GrantKey;
  readonly #private: KeyObject;
  readonly #header: string;

  constructor() {
    const pair = generateKeyPairSync("ed25519");
    const x = pair.publicKey.export({ format: "jwk" }).x ?? "";
    const thumbprint = createHash("sha256")
      .update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`)
      .digest("base64url"); // RFC 7638, RFC 8037
    this.key = { kty: "OKP", crv: "Ed25519", x, kid: thumbprint };
    this.#private = pair.privateKey;
    this.#header = encode({ alg: "EdDSA", typ: "JWT", kid: this.key.kid });
  }

  /** Makes the public key known. Do this before the first grant is handed out. */
  async publish(store: Store): Promise<void> {
    await store.presence(KEY.grantKey(this.key.kid), this.key, KEY_SECONDS, { linger: true });
  }

  /** A grant as a compact JWT, valid for 60 s. */
  sign(claims: GrantClaims, now = Date.now(), jti: string = randomUUID()): string {
    const iat = Math.floor(now / 1000);
    const signed: SignedClaims = {
      iss: GRANT_ISSUER,
      jti,
      iat,
      exp: iat + GRANT_SECONDS,
      ...claims,
    };
    const content = `${this.#header}.${encode(signed)}`;
    return `${content}.${sign(null, Buffer.from(content), this.#private).toString("base64url")}`;
  }
}

/** Finds the key of a grant. Throws `AGT-GRANT-KEY` for one that is not known. */
export type KeyOf = (kid: string) => KeyObject | Promise<KeyObject>;

/**
 * The claims of a grant whose signature and time are right. Whether they fit what is asked is the caller's question.
 *
 * @param grace - seconds after its time in which it is still taken: its round may last longer than it
 * @throws {@link CodedError} `AGT-GRANT-INVALID` (malformed or badly signed), `AGT-GRANT-EXPIRED`, `AGT-GRANT-KEY` (no enforcer has such a key)
 */
export async function readGrant(
  token: string,
  keyOf: KeyOf,
  now: number = Date.now(),
  grace = 0,
): Promise<SignedClaims> {
  const [header, payload, signature, ...rest] = token.length > MAX_TOKEN_LENGTH ? [] : token.split(".");
  if (header === undefined || payload === undefined || signature === undefined || rest.length > 0)
    throw invalid("it is not a compact JWT");
  const { alg, kid } = parse(header);
  // The algorithm is ours to say, not the token's.
  if (alg !== "EdDSA" || typeof kid !== "string" || !/^[\w-]{43}$/.test(kid))
    throw invalid("its header names no EdDSA key");
  const key = await keyOf(kid);
  if (!verify(null, Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, "base64url")))
    throw invalid("its signature is wrong");
  const claims = asClaims(parse(payload));
  const seconds = now / 1000;
  if (seconds > claims.exp + LEEWAY_SECONDS + grace)
    throw problem("AGT-GRANT-EXPIRED", `the grant has expired ${Math.ceil(seconds - claims.exp)} s ago`);
  if (seconds < claims.iat - LEEWAY_SECONDS)
    throw problem("AGT-GRANT-EXPIRED", "the grant is from the future: do the hosts' clocks agree?");
  return claims;
}

/** Verifies grants with the enforcers' public keys, as the store holds them. */
export class GrantVerifier {
  readonly #store: Store;
  readonly #keys: Mirror<GrantKey>;
  readonly #known = new Map<string, { readonly jwk: GrantKey; readonly key: KeyObject }>();
  readonly #onKeys: (keys: readonly GrantKey[]) => void;

  private constructor(store: Store, keys: Mirror<GrantKey>, onKeys: (keys: readonly GrantKey[]) => void) {
    this.#store = store;
    this.#keys = keys;
    this.#onKeys = onKeys;
    keys.onChange((change) => {
      if (this.#known.delete(change.key)) this.#tell();
    });
  }

  /** @param onKeys - told the keys that grants are verified with, before the first grant of each is taken */
  static async open(
    store: Store,
    onKeys: (keys: readonly GrantKey[]) => void = () => {},
  ): Promise<GrantVerifier> {
    return new GrantVerifier(store, await store.mirror<GrantKey>(KEY.grantKeyPrefix), onKeys);
  }

  /** @throws as {@link readGrant} */
  verify(token: string, now = Date.now()): Promise<SignedClaims> {
    return readGrant(token, (kid) => this.#key(kid), now);
  }

  async close(): Promise<void> {
    await this.#keys.close();
  }

  async #key(kid: string): Promise<KeyObject> {
    const path = KEY.grantKey(kid);
    const known = this.#known.get(path);
    if (known !== undefined) return known.key;
    // A key is written before its first grant, but this mirror may not have heard of it yet.
    const jwk = this.#keys.get(path)?.value ?? (await this.#store.get<GrantKey>(path))?.value;
    if (jwk === undefined) throw unknownKey(kid);
    const key = importKey(jwk);
    this.#known.set(path, { jwk: { ...jwk, kid }, key });
    this.#tell();
    return key;
  }

  #tell(): void {
    this.#onKeys(Array.from(this.#known.values(), ({ jwk }) => jwk));
  }
}

export const unknownKey = (kid: string): CodedError =>
  problem("AGT-GRANT-KEY", `no policy enforcer has signing key ${kid}`);

/** @throws {@link CodedError} `AGT-GRANT-KEY` for what is no Ed25519 key */
export function importKey({ x }: GrantKey): KeyObject {
  try {
    return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  } catch (error) {
    throw new CodedError(
      {
        code: "AGT-GRANT-KEY",
        message: "a signing key in the store is no Ed25519 key",
        remedy: "restart the policy enforcer",
      },
      { cause: error },
    );
  }
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // told below, like any other token that is not ours
  }
  throw invalid("its content is not JSON");
}

function asClaims(claims: Record<string, unknown>): SignedClaims {
  const { iss, agreements, dataProviders, computeProviders, dataSets, columns } = claims;
  const texts = [claims.sub, claims.job, claims.requestType, claims.archetype, claims.jti];
  const numbers = [claims.iat, claims.exp, claims.round, claims.token];
  const right =
    iss === GRANT_ISSUER &&
    texts.every((t) => typeof t === "string") &&
    numbers.every((n) => Number.isSafeInteger(n)) &&
    isNames(dataProviders) &&
    isNames(computeProviders) &&
    isNames(dataSets) &&
    isRecord(columns) &&
    Object.values(columns).every(isNames) &&
    isRecord(agreements) &&
    Object.values(agreements).every((r) => Number.isSafeInteger(r));
  if (!right) throw invalid("a claim is missing or of the wrong kind");
  return claims as unknown as SignedClaims;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((v) => typeof v === "string");
}

function invalid(detail: string): CodedError {
  return problem("AGT-GRANT-INVALID", `the grant is not valid: ${detail}`);
}

function problem(code: string, message: string): CodedError {
  return new CodedError({
    code,
    path: "metadata.grant",
    message,
    remedy: "let the policy enforcer decide again",
  });
}
