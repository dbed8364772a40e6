/** An OpenID Connect issuer for tests: a real HTTP server with discovery and keys, whose keys come and go, and which signs whatever a test wants. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import {
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  type JWK,
  type JWTHeaderParameters,
  SignJWT,
} from "jose";
import { TokenVerifier, type TokenVerifierOptions } from "../../policy/users/verifier.js";

export const AUDIENCE = "dynamos-fabric";

export interface IssuerKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

export async function issuerKey(kid: string, alg = "ES256"): Promise<IssuerKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } };
}

export class TestIssuer {
  /** Those that are published. The first one signs. */
  keys: IssuerKey[];
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  /** What a path answers instead of the right thing; `undefined` as status: nothing, ever. */
  readonly instead = new Map<string, { readonly status?: number; readonly body?: string }>();
  readonly #server: Server;

  private constructor(keys: IssuerKey[]) {
    this.keys = keys;
    this.#server = createServer((request, response) => {
      const path = request.url ?? "";
      this.asked.push(path);
      const { status = 0, body = "" } = this.instead.get(path) ?? { status: 200, body: this.#right(path) };
      if (status !== 0) response.writeHead(status, { "content-type": "application/json" }).end(body);
    });
  }

  static async start(...algorithms: string[]): Promise<TestIssuer> {
    const wanted = algorithms.length === 0 ? ["ES256"] : algorithms;
    const issuer = new TestIssuer(await Promise.all(wanted.map((alg, i) => issuerKey(`key-${i}`, alg))));
    await new Promise<void>((done) => issuer.#server.listen(0, "127.0.0.1", done));
    return issuer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  verifier(change: Partial<TokenVerifierOptions> = {}): TokenVerifier {
    return new TokenVerifier({
      issuer: this.url,
      audience: AUDIENCE,
      userClaim: "sub",
      rolesClaim: "roles",
      cooldown: 0,
      ...change,
    });
  }

  /** A token in which all is right but what `claims` and `header` change; a claim that is `undefined` is left out. */
  async token(
    claims: Record<string, unknown> = {},
    header: Partial<JWTHeaderParameters> = {},
    key: IssuerKey | undefined = this.keys[0],
  ): Promise<string> {
    if (key === undefined) throw new Error("this issuer has no key");
    const now = Math.floor(Date.now() / 1000);
    const all = {
      iss: this.url,
      aud: AUDIENCE,
      sub: "ada@uva.nl",
      roles: ["requester"],
      iat: now,
      exp: now + 600,
    };
    const given = Object.fromEntries(
      Object.entries({ ...all, ...claims }).filter(([, value]) => value !== undefined),
    );
    return new SignJWT(given)
      .setProtectedHeader({ alg: key.alg, kid: key.kid, ...header })
      .sign(key.privateKey);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    if (this.#server.listening) await new Promise((done) => this.#server.close(done));
  }

  #right(path: string): string {
    if (path === "/.well-known/openid-configuration")
      return JSON.stringify({ issuer: this.url, jwks_uri: `${this.url}/keys` });
    return JSON.stringify({ keys: this.keys.map((key) => key.jwk) });
  }
}
