import { describe, expect, it } from "vitest";
import { WriteBatch } from "../../../policy/platform/write-batch.js";

/** A store that answers when it is told to. */
function held() {
  const calls: { keys: string[]; settle: (outcome: number | Error) => void }[] = [];
  const putAll = (entries: readonly { readonly key: string }[]): Promise<number> =>
    new Promise((done, failed) =>
      calls.push({
        keys: entries.map(({ key }) => key),
        settle: (outcome) => (outcome instanceof Error ? failed(outcome) : done(outcome)),
      }),
    );
  return { calls, store: { putAll } };
}
const turn = () => new Promise((next) => setImmediate(next));

describe("a batch of writes", () => {
  it("writes one at once, and all that come meanwhile together", async () => {
    const { calls, store } = held();
    const batch = new WriteBatch(store);
    const first = batch.put("a", 1);
    const others = [batch.put("b", 2), batch.put("c", 3)];
    expect(calls.map(({ keys }) => keys)).toEqual([["a"]]);
    calls[0]?.settle(7);
    expect(await first).toBe(7);
    await turn();
    expect(calls[1]?.keys).toEqual(["b", "c"]);
    calls[1]?.settle(8);
    expect(await Promise.all(others)).toEqual([8, 8]);
    const last = batch.put("d", 4);
    expect(calls[2]?.keys).toEqual(["d"]);
    calls[2]?.settle(9);
    expect(await last).toBe(9);
  });

  it("tells a failure to those it went with, and goes on", async () => {
    const { calls, store } = held();
    const batch = new WriteBatch(store);
    const first = batch.put("a", 1);
    const second = batch.put("b", 2);
    calls[0]?.settle(new Error("away"));
    await expect(first).rejects.toThrow("away");
    await turn();
    calls[1]?.settle(3);
    expect(await second).toBe(3);
  });

  it("puts no more into one transaction than the store takes, and waits for company where it may", async () => {
    const { calls, store } = held();
    const batch = new WriteBatch(store, { lingerMs: 1 });
    const all = Array.from({ length: 250 }, (_, i) => batch.put(`k${i}`, i));
    for (let i = 0; i < 3; i += 1) {
      while (calls.length === i) await turn();
      calls[i]?.settle(i);
    }
    await Promise.all(all);
    expect(calls.map(({ keys }) => keys.length)).toEqual([100, 100, 50]);
    expect(new Set(calls.flatMap(({ keys }) => keys)).size).toBe(250);
  });
});
