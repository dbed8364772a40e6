import { performance } from "node:perf_hooks";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type HandOver, SEAL_BYTES, Senders } from "../../../policy/agent/sender.js";
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

  describe("a file", () => {
    const named = { ...work, file: "rows" };
    const content = Buffer.from(Array.from({ length: 5_000 }, (_, i) => i % 251));
    const inPieces = async function* (bytes: Buffer, size: number): AsyncGenerator<Buffer> {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    };
    const collect = async (chunks: AsyncIterable<Buffer>): Promise<Buffer> => {
      const all: Buffer[] = [];
      for await (const chunk of chunks) all.push(chunk);
      return Buffer.concat(all);
    };
    const open = async (sealed: Buffer, piece = 64, what = named, size = content.length) =>
      await collect(bob.unseal("ada", what, size, inPieces(sealed, piece)));

    it("is the same whatever pieces it comes in, also the empty one", async () => {
      for (const piece of [1, 7, 12, 28, 4_999, 9_999]) {
        const sealed = await collect(ada.seal("bob", named, inPieces(content, 10_000 - piece)));
        expect(sealed.length).toBe(content.length + SEAL_BYTES);
        expect((await open(sealed, piece)).equals(content), `pieces of ${piece}`).toBe(true);
      }
      const empty = await collect(ada.seal("bob", named, inPieces(Buffer.alloc(0), 1)));
      expect((await open(empty, 5, named, 0)).length).toBe(0);
    });

    it("is refused when one bit of it differs, under another name, from another sender, too short or too long", async () => {
      const sealed = await collect(ada.seal("bob", named, inPieces(content, 512)));
      const refused = (code: string) => expect.objectContaining({ code });
      for (const at of [0, 11, 12, 2_500, 5_011, 5_012, 5_027]) {
        const flipped = Buffer.from(sealed);
        flipped.writeUInt8((flipped[at] ?? 0) ^ 1, at);
        await expect(open(flipped), `byte ${at}`).rejects.toEqual(refused("AGT-SENDER"));
      }
      await expect(open(sealed, 64, { ...named, file: "other" })).rejects.toEqual(refused("AGT-SENDER"));
      await expect(open(sealed, 64, { ...named, round: named.round + 1 })).rejects.toEqual(
        refused("AGT-SENDER"),
      );
      const ofEve = await collect(senders("eve").seal("bob", named, inPieces(content, 512)));
      await expect(open(ofEve)).rejects.toEqual(refused("AGT-SENDER"));
      await expect(open(sealed.subarray(0, -1))).rejects.toEqual(refused("AGT-FILE-BROKEN"));
      await expect(open(sealed.subarray(0, 5))).rejects.toEqual(refused("AGT-FILE-BROKEN"));
      await expect(open(Buffer.concat([sealed, sealed]))).rejects.toEqual(refused("AGT-FILE-BROKEN"));
      await expect(open(sealed, 64, named, content.length - 1)).rejects.toEqual(refused("AGT-FILE-BROKEN"));
    });
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
