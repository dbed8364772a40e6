import { describe, expect, it } from "vitest";
import { retrying } from "../../../policy/agent/retry.js";
import { MicroserviceCommunication } from "../../../policy/contract/generated/dynamos.js";

const failed = MicroserviceCommunication.fromPartial({
  metadata: { error: JSON.stringify({ code: "JOB-FAILED", message: "no" }) },
});
const done = MicroserviceCommunication.fromPartial({ data: { ok: true } });
const open = new AbortController().signal;

/** A microservice that fails so many times. */
function failing(times: number) {
  const attempts: number[] = [];
  const ask = async (attempt: number) => {
    attempts.push(attempt);
    return { answer: attempts.length <= times ? failed : done, startMs: 0 };
  };
  return { attempts, ask };
}

describe("a step that may be asked again", () => {
  it("is asked until it reports no failure, each attempt by its number", async () => {
    const { attempts, ask } = failing(2);
    expect((await retrying({ name: "s", retries: 2 }, open, ask)).data).toEqual({ ok: true });
    expect(attempts).toEqual([1, 2, 3]);
  });

  it("fails with its own words and the number of attempts, and is asked no more often than allowed", async () => {
    const { attempts, ask } = failing(9);
    await expect(retrying({ name: "s", retries: 2 }, open, ask)).rejects.toMatchObject({
      code: "JOB-FAILED",
      message: "no (step s, attempt 3 of 3)",
    });
    expect(attempts).toEqual([1, 2, 3]);
  });

  it("is asked once where the workflow says nothing, and not again when the round has ended", async () => {
    const once = failing(1);
    await expect(retrying({ name: "s" }, open, once.ask)).rejects.toMatchObject({
      code: "JOB-FAILED",
      message: "no",
    });
    expect(once.attempts).toEqual([1]);
    const late = failing(1);
    await expect(retrying({ name: "s", retries: 5 }, AbortSignal.abort(), late.ask)).rejects.toMatchObject({
      code: "JOB-FAILED",
    });
    expect(late.attempts).toEqual([1]);
  });

  it("is not asked again when its microservice has died", async () => {
    let asked = 0;
    const ask = async () => {
      asked += 1;
      throw new Error("died");
    };
    await expect(retrying({ name: "s", retries: 5 }, open, ask)).rejects.toThrow("died");
    expect(asked).toBe(1);
  });
});
