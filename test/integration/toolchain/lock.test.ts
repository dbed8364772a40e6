import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { withLock } from "../../../infra/toolchain/file-lock.js";

const folder = mkdtempSync(join(tmpdir(), "lock "));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A process that takes the lock and does what `body` says inside it. */
function locker(body: string) {
  const lock = resolve(__dirname, "../../../dist/infra/toolchain/file-lock.js");
  const text = `const fs = require("node:fs"); require(${JSON.stringify(lock)}).withLock(${JSON.stringify(join(folder, "lock"))}, async () => { ${body} });`;
  return spawn(process.execPath, ["-e", text], { stdio: ["ignore", "pipe", "inherit"] });
}
const ended = (child: ReturnType<typeof locker>): Promise<number | null> =>
  new Promise((settle) => child.once("exit", settle));

describe("withLock", { timeout: 60_000 }, () => {
  it("lets one process in at a time", async () => {
    const counter = join(folder, "counter");
    writeFileSync(counter, "0");
    // Reading, waiting and writing loses counts if two are inside at once.
    const body = `for (let i = 0; i < 3; i++) { const n = Number(fs.readFileSync(${JSON.stringify(counter)}, "utf8")); await new Promise((r) => setTimeout(r, 10)); fs.writeFileSync(${JSON.stringify(counter)}, String(n + 1)); }`;
    const codes = await Promise.all(Array.from({ length: 6 }, () => ended(locker(body))));
    expect(codes).toEqual([0, 0, 0, 0, 0, 0]);
    expect(readFileSync(counter, "utf8")).toBe("18");
  });

  it("is free at once when its owner is killed", async () => {
    const owner = locker(`console.log("in"); setInterval(() => {}, 1000); await new Promise(() => {});`);
    await new Promise((settle) => owner.stdout?.once("data", settle));
    const gone = ended(owner);
    owner.kill("SIGKILL");
    await gone;
    const started = performance.now();
    expect(await withLock(join(folder, "lock"), async () => "mine")).toBe("mine");
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
