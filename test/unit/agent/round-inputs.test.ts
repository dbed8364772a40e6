import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RoundInputs } from "../../../policy/agent/round-inputs.js";
import { PART_LIMITS } from "../../../policy/contract/parts.js";

const never = new AbortController().signal;
const answer = (n: number) => ({ data: { n }, parts: {} });
const ended = { code: "JOB-ENDED", message: "the job has ended" };

describe("what is handed over for a round", () => {
  it("is there for who asks before and for who asks after, each round's and step's and agent's its own", async () => {
    const place = fc.record({
      round: fc.integer({ min: 1, max: 3 }),
      step: fc.constantFrom("x", "y"),
      from: fc.constantFrom("a", "b"),
      early: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(place, {
          selector: ({ round, step, from }) => `${round}/${step}/${from}`,
          maxLength: 12,
        }),
        async (places) => {
          const inputs = new RoundInputs();
          const take = ({ round, step, from }: (typeof places)[number]) =>
            inputs.take(round, step, from, never);
          const early = places.map((one) => (one.early ? take(one) : undefined));
          for (const [i, { round, step, from }] of places.entries()) {
            inputs.give(round, step, from, answer(i), 1);
            inputs.give(round, step, from, answer(-1), 1); // a second copy
          }
          const got = await Promise.all(places.map((one, i) => early[i] ?? take(one)));
          expect(got.map(({ data }) => data)).toEqual(places.map((_, i) => ({ n: i })));
        },
      ),
    );
  });

  it("is forgotten with its round: it counts no more, and comes too late again", async () => {
    const inputs = new RoundInputs();
    const half = 2 * PART_LIMITS.bytes;
    inputs.give(1, "x", "a", answer(1), half);
    inputs.give(1, "x", "b", answer(2), half);
    expect(() => inputs.give(2, "x", "a", answer(3), 1)).toThrow(
      expect.objectContaining({ code: "AGT-INPUTS-FULL" }),
    );
    const waiting = inputs.take(1, "x", "c", never);
    inputs.forgetBefore(2);
    await expect(waiting).rejects.toMatchObject({ code: "AGT-TOKEN-OLD" });
    for (let n = 0; n < 3; n += 1) inputs.give(1, "x", "a", answer(1), half);
    await expect(inputs.take(1, "x", "a", never)).rejects.toMatchObject({ code: "AGT-TOKEN-OLD" });
    inputs.give(2, "x", "a", answer(4), half);
    inputs.give(2, "x", "b", answer(5), half);
    expect((await inputs.take(2, "x", "b", never)).data).toEqual({ n: 5 });
  });

  it("has a limit of bytes and of answers; what was refused may come when there is room", async () => {
    const inputs = new RoundInputs();
    for (let n = 0; n < 1_000; n += 1) inputs.give(1, `x${n}`, "a", answer(n), 1);
    expect(() => inputs.give(2, "y", "a", answer(7), 1)).toThrow(
      expect.objectContaining({ code: "AGT-INPUTS-FULL" }),
    );
    const waiting = inputs.take(2, "y", "a", never);
    inputs.forgetBefore(2);
    inputs.give(2, "y", "a", answer(8), 1);
    expect((await waiting).data).toEqual({ n: 8 });
  });

  it("is waited for until the signal comes, with its reason", async () => {
    const inputs = new RoundInputs();
    const stop = new AbortController();
    const [first, second] = [inputs.take(1, "x", "a", stop.signal), inputs.take(1, "x", "a", never)];
    stop.abort(new Error("enough"));
    await expect(first).rejects.toThrow("enough");
    await expect(inputs.take(1, "x", "a", stop.signal)).rejects.toThrow("enough");
    inputs.give(1, "x", "a", answer(1), 1);
    expect((await second).data).toEqual({ n: 1 });
  });

  it("ends with the job: for who waits, for who asks then, and for who gives then", async () => {
    const inputs = new RoundInputs();
    const waiting = inputs.take(3, "x", "a", never);
    inputs.close(ended);
    await expect(waiting).rejects.toMatchObject(ended);
    await expect(inputs.take(3, "x", "a", never)).rejects.toMatchObject(ended);
    expect(() => inputs.give(3, "x", "a", answer(1), 1)).toThrow(expect.objectContaining(ended));
  });
});
