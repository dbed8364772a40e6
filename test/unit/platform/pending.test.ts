import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Pending } from "../../../policy/platform/pending.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("Pending", () => {
  it("gives each call its own answer, and holds nothing afterwards", async () => {
    const pending = new Pending<string>("the answer");
    const [a, b] = [pending.wait("1", 1_000), pending.wait("2", 1_000)];
    expect(pending.size).toBe(2);
    expect([
      pending.settle("2", "for b"),
      pending.settle("1", "for a"),
      pending.settle("1", "again"),
    ]).toEqual([true, true, false]);
    expect([await a, await b]).toEqual(["for a", "for b"]);
    expect([pending.size, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it("rejects at the deadline with its own words and code; what comes later meets nobody", async () => {
    const pending = new Pending<string>("the policy enforcer's answer", "ORC-NO-ANSWER");
    const call = expect(pending.wait("1", 5_000)).rejects.toMatchObject({
      code: "ORC-NO-ANSWER",
      message: "the policy enforcer's answer did not come within 5 s",
    });
    await vi.advanceTimersByTimeAsync(4_999);
    expect(pending.size).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    await call;
    expect([pending.size, pending.settle("1", "late")]).toEqual([0, false]);
  });

  it("refuses an id that already waits, and leaves the first call alone", async () => {
    const pending = new Pending<string>("the answer");
    const first = pending.wait("1", 1_000);
    await expect(pending.wait("1", 1_000)).rejects.toMatchObject({ code: "BUS-DUPLICATE-CALL" });
    pending.settle("1", "yes");
    expect(await first).toBe("yes");
  });

  it("ends one call or all of them with an error", async () => {
    const pending = new Pending<string>("the answer");
    const calls = ["1", "2", "3"].map((id) => expect(pending.wait(id, 1_000)).rejects.toThrow("closing"));
    expect([pending.fail("1", new Error("closing")), pending.fail("1", new Error("x"))]).toEqual([
      true,
      false,
    ]);
    pending.failAll(new Error("closing"));
    await Promise.all(calls);
    expect([pending.size, vi.getTimerCount()]).toEqual([0, 0]);
  });
});
