import { createHash, randomBytes } from "node:crypto";

/** Bytes of salt in RabbitMQ's hash. */
export const rabbitmqSaltBytes = 4;

/**
 * The password hash that RabbitMQ's definitions file expects: base64 over salt and SHA-256(salt, password).
 *
 * The salt is 4 random bytes; name one only where the same hash must come out twice. Source: RabbitMQ, "Credentials and Passwords",
 * hashing algorithm `rabbit_password_hashing_sha256`.
 */
export function rabbitmqPasswordHash(
  password: string,
  salt: Uint8Array = randomBytes(rabbitmqSaltBytes),
): string {
  if (salt.length !== rabbitmqSaltBytes)
    throw new RangeError(`a RabbitMQ salt has ${rabbitmqSaltBytes} bytes, not ${salt.length}`);
  const digest = createHash("sha256").update(salt).update(password, "utf8").digest();
  return Buffer.concat([salt, digest]).toString("base64");
}
