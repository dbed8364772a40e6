import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rabbitmqPasswordHash } from "../../../infra/local/rabbitmq-hash.js";

describe("rabbitmqPasswordHash", () => {
  it("is RabbitMQ's own example", () => {
    // Source: RabbitMQ documentation, "Credentials and Passwords", computing a password hash: test12 with salt 908DC60A.
    const hash = rabbitmqPasswordHash("test12", Buffer.from("908DC60A", "hex"));
    expect(hash).toBe("kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR");
  });

  it("starts with its salt, and the rest is the digest over salt and password", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        (password, salt) => {
          const bytes = Buffer.from(rabbitmqPasswordHash(password, salt), "base64");
          expect(bytes).toHaveLength(36);
          expect([...bytes.subarray(0, 4)]).toEqual([...salt]);
          const digest = createHash("sha256")
            .update(Buffer.concat([salt, Buffer.from(password)]))
            .digest();
          expect(bytes.subarray(4).equals(digest)).toBe(true);
        },
      ),
    );
  });

  it("takes a new salt each time, and no salt of another length", () => {
    expect(new Set(Array.from({ length: 20 }, () => rabbitmqPasswordHash("x"))).size).toBe(20);
    expect(() => rabbitmqPasswordHash("x", Buffer.alloc(5))).toThrow(RangeError);
  });
});
