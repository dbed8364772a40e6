import { describe, expect, it } from "vitest";
import { execute } from "../../../infra/toolchain/execute.js";

describe("programs that run side by side", () => {
  it("share one listener for our own end, and leave none behind", async () => {
    const before = process.listenerCount("exit");
    const all = Array.from({ length: 12 }, (_, i) => execute("sh", ["-c", `exit ${i}`]));
    expect(process.listenerCount("exit")).toBe(before + 1);
    expect((await Promise.all(all)).map(({ code }) => code)).toEqual(all.map((_, i) => i));
    expect(process.listenerCount("exit")).toBe(before);
  });
});
