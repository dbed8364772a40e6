import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { exportJWK, generateKeyPair, importJWK, type JWK, type JWTPayload, SignJWT } from "jose";

/** Elliptic: small tokens, and quick to make. */
export const ALGORITHM = "ES256";
/** The next one (published before it is used), the one that signs, and the last one (whose tokens are still about). */
const KEYS = 3;
const SIGNING = 1;

interface KeyFile {
  readonly rotatedAt: string;
  /** Private keys, newest first. */
  readonly keys: readonly JWK[];
}

/** The signing keys of a development issuer, in one file that only its owner can read. */
export class IssuerKeyring {
  readonly #file: string;
  #kept: KeyFile;

  private constructor(file: string, kept: KeyFile) {
    this.#file = file;
    this.#kept = kept;
  }

  /** Reads the file, or makes it with new keys. */
  static async open(file: string): Promise<IssuerKeyring> {
    if (existsSync(file)) return new IssuerKeyring(file, JSON.parse(readFileSync(file, "utf8")) as KeyFile);
    const keys = await Promise.all(Array.from({ length: KEYS - 1 }, newKey));
    const ring = new IssuerKeyring(file, { rotatedAt: new Date().toISOString(), keys });
    ring.#save();
    return ring;
  }

  /** When the signing key began to sign. Milliseconds since 1970. */
  get rotatedAt(): number {
    return Date.parse(this.#kept.rotatedAt);
  }

  /** The public halves, for `jwks_uri`. */
  publicKeys(): { readonly keys: readonly JWK[] } {
    return { keys: this.#kept.keys.map(({ d: _private, ...key }) => key) };
  }

  /** The key that was next signs from now on. The one before it stays published for one more rotation. */
  async rotate(): Promise<void> {
    const keys = [await newKey(), ...this.#kept.keys].slice(0, KEYS);
    this.#kept = { rotatedAt: new Date().toISOString(), keys };
    this.#save();
  }

  async sign(claims: JWTPayload): Promise<string> {
    const key = this.#kept.keys[SIGNING];
    if (key === undefined) throw new RangeError(`${this.#file} holds too few keys`);
    return new SignJWT(claims)
      .setProtectedHeader({
        alg: ALGORITHM,
        typ: "at+jwt",
        ...(key.kid === undefined ? {} : { kid: key.kid }),
      })
      .sign(await importJWK(key, ALGORITHM));
  }

  #save(): void {
    const beside = `${this.#file}.new`;
    writeFileSync(beside, JSON.stringify(this.#kept), { mode: 0o600 });
    renameSync(beside, this.#file);
  }
}

async function newKey(): Promise<JWK> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true });
  return {
    ...(await exportJWK(privateKey)),
    kid: randomBytes(12).toString("base64url"),
    alg: ALGORITHM,
    use: "sig",
  };
}
