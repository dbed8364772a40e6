// Who a call's token names: signature, issuer, audience, time, claims. In process, keys known, one call after another.
import { TestIssuer } from "../support/test-issuer.js";
import { block, type Line, median, timeLine } from "./measure.js";

/** Milliseconds of one verification at the median; the goal itself is the floor in the table. */
const GOAL_MS = 0.3;
const ALGORITHMS = ["ES256", "RS256", "EdDSA"];

export async function tokenLines(scale: number): Promise<Line[]> {
  const lines: Line[] = [];
  for (const algorithm of ALGORITHMS) {
    const issuer = await TestIssuer.start(algorithm);
    try {
      const users = issuer.verifier();
      // Each token once: nothing is remembered of a token that was seen before.
      const headers = await Promise.all(
        Array.from(
          { length: Math.ceil(500 * scale) },
          async (_, i) => `Bearer ${await issuer.token({ jti: String(i) })}`,
        ),
      );
      let next = 0;
      const verify = () => users.principal(headers[next++ % headers.length]);
      await block(verify, 1, headers.length);
      const blocks: number[] = [];
      for (let i = 0; i < 5; i++) blocks.push((await block(verify, 1, headers.length)).p50);
      lines.push(timeLine(`token verified, ${algorithm}, p50`, median(blocks), GOAL_MS, 1));
    } finally {
      await issuer.close();
    }
  }
  return lines;
}
