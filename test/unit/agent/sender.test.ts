import { performance } from "node:perf_hooks";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type HandOver, Senders } from "../../../policy/agent/sender.js";
import { agentKeyPair } from "../../../policy/contract/agent-key.js";
import { KEY } from "../../../policy/contract/names.js";

const agents = ["ada", "bob", "eve"];
const keys = new Map<string, { key: string; value: ReturnType<typeof publicOf>; revision: number }>();
const publicOf = (agent: string) => agentKeyPair(`secret of ${agent}`).publicKey;
for (const agent of agents) {
  const key = KEY.agentKey(agent);
  keys.set(key, { key, value: publicOf(agent), revision: 1 });
}
const senders = (agent: string) => new Senders(agent, `secret of ${agent}`, { get: (key) => keys.get(key) });
const [ada, bob, eve] = [senders("ada"), senders("bob"), senders("eve")];

const work: HandOver = { job: "j", round: 3, step: "embed", grant: "a.b.c" };
const body = new Uint8Array([1, 2, 3]);
const refusal = (act: () => void): string | undefined => {
  try {
    act();
    return undefined;
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe("a hand-over's code", () => {
  it("is the sender's word to the receiver", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), fc.string(), fc.nat(), (bytes, step, round) => {
        const some = { ...work, step, round };
        bob.verify("ada", some, bytes, ada.sign("bob", some, bytes));
      }),
    );
  });

  it("is for nothing else: no other body, job, round, step, grant, sender, receiver or direction", () => {
    const code = ada.sign("bob", work, body);
    const others: readonly (() => void)[] = [
      () => bob.verify("ada", work, new Uint8Array([1, 2, 4]), code),
      () => bob.verify("ada", { ...work, job: "k" }, body, code),
      () => bob.verify("ada", { ...work, round: 4 }, body, code),
      () => bob.verify("ada", { ...work, step: "train" }, body, code),
      () => bob.verify("ada", { ...work, grant: "a.b.d" }, body, code),
      () => bob.verify("eve", work, body, code),
      () => eve.verify("ada", work, body, code),
      () => ada.verify("bob", work, body, code),
      // A round's other agent, in the sender's name: by its own key, or as if to itself.
      () => bob.verify("ada", work, body, eve.sign("bob", work, body)),
      () => bob.verify("ada", work, body, eve.sign("ada", work, body)),
      () => bob.verify("ada", work, body, bob.sign("ada", work, body)),
    ];
    for (const [i, other] of others.entries()) expect(refusal(other), String(i)).toBe("AGT-SENDER");
  });

  it("is refused with a code, whatever it is", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String()), (code) => {
        expect(refusal(() => bob.verify("ada", work, body, code))).toBe("AGT-SENDER");
      }),
      { numRuns: 2_000 },
    );
    const code = Buffer.from(ada.sign("bob", work, body), "base64url");
    for (let bit = 0; bit < 8 * code.length; bit += 1) {
      const flipped = Buffer.from(code);
      flipped.writeUInt8((flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      expect(refusal(() => bob.verify("ada", work, body, flipped.toString("base64url")))).toBe("AGT-SENDER");
    }
  });

  it("needs the other's public key, and follows it when it changes", () => {
    expect(refusal(() => ada.sign("carol", work, body))).toBe("AGT-SENDER-KEY");
    expect(refusal(() => ada.verify("carol", work, body, "A".repeat(38)))).toBe("AGT-SENDER-KEY");
    const key = KEY.agentKey("dan");
    for (const x of ["", "AAAA", "A".repeat(43)]) {
      keys.set(key, { key, value: { kty: "OKP", crv: "X25519", x }, revision: 2 });
      expect(
        refusal(() => ada.sign("dan", work, body)),
        x,
      ).toBe("AGT-SENDER-KEY");
    }
    keys.set(key, { key, value: publicOf("eve"), revision: 3 });
    const first = ada.sign("dan", work, body);
    keys.set(key, { key, value: publicOf("dan"), revision: 4 });
    senders("dan").verify("ada", work, body, ada.sign("dan", work, body));
    expect(refusal(() => senders("dan").verify("ada", work, body, first))).toBe("AGT-SENDER");
  });

  it("costs a hundredth of a round at most: 0.3 ms for 130 KB, both sides together", () => {
    const large = new Uint8Array(130_000).fill(7);
    const times = Array.from({ length: 400 }, () => {
      const from = performance.now();
      bob.verify("ada", work, large, ada.sign("bob", work, large));
      return performance.now() - from;
    }).sort((a, b) => a - b);
    console.log(`sign and verify 130 KB: p50 ${times[200]?.toFixed(3)} ms, p99 ${times[396]?.toFixed(3)} ms`);
    expect(times[200]).toBeLessThan(0.3);
  });
});
