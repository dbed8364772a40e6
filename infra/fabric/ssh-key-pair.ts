/** Key pairs for SSH, made without a program. The format: PROTOCOL.key of OpenSSH. */
import { generateKeyPairSync, randomBytes } from "node:crypto";

export interface SshKeyPair {
  /** Text of the private key's file, without a passphrase. */
  readonly privateKey: string;
  /** One line as in authorized_keys. */
  readonly publicKey: string;
}

const type = "ssh-ed25519";

/** A new ed25519 key pair. @param comment one word or line that tells a person what the key is for */
export function makeSshKeyPair(comment: string): SshKeyPair {
  const pair = generateKeyPairSync("ed25519");
  // Both encodings end with the 32 bytes of the key (RFC 8410).
  const seed = pair.privateKey.export({ format: "der", type: "pkcs8" }).subarray(-32);
  const point = pair.publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  const blob = Buffer.concat([field(type), field(point)]);
  const check = randomBytes(4); // twice the same: how a reader sees that it decrypted well
  const secret = Buffer.concat([check, check, blob, field(Buffer.concat([seed, point])), field(comment)]);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - (secret.length % 8)) % 8));
  const body = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    field("none"), // cipher
    field("none"), // key derivation
    field(""), // its options
    Buffer.from([0, 0, 0, 1]), // one key
    field(blob),
    field(Buffer.concat([secret, padding])),
  ]);
  const lines = body.toString("base64").match(/.{1,70}/g) ?? [];
  return {
    privateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join("\n")}\n-----END OPENSSH PRIVATE KEY-----\n`,
    publicKey: `${type} ${blob.toString("base64")} ${comment}`,
  };
}

function field(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
