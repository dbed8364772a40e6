import { createPrivateKey, createPublicKey, hkdfSync, type KeyObject } from "node:crypto";

/** The public half of an agent's key, at `/agents/keys/<agent>` (JWK, RFC 8037). Written by who deploys the agent, never by an agent. */
export interface AgentKey {
  readonly kty: "OKP";
  readonly crv: "X25519";
  /** base64url */
  readonly x: string;
}

/** What comes before the 32 bytes of an X25519 private key in PKCS #8 (RFC 8410). */
const PKCS8 = Buffer.from("302e020100300506032b656e04220420", "hex");

/** An agent's key pair, which follows from its secret: so that a deployment needs no other kind of secret than it has. */
export function agentKeyPair(secret: string): {
  readonly privateKey: KeyObject;
  readonly publicKey: AgentKey;
} {
  const seed = Buffer.from(hkdfSync("sha256", secret, "", "dynamos-fabric agent key", 32));
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: "der", type: "pkcs8" });
  const x = createPublicKey(privateKey).export({ format: "jwk" }).x ?? "";
  return { privateKey, publicKey: { kty: "OKP", crv: "X25519", x } };
}
