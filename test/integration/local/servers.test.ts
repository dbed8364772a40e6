import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { connect } from "amqplib";
import { describe, expect, it } from "vitest";
import { startBroker, startStore, until } from "../../support/servers.js";

describe("the tests' own servers", () => {
  it("hands on a broker as new, also one that was killed", { timeout: 120_000 }, async () => {
    const first = await startBroker({ users: [{ name: "ada", password: "pw é", read: "^mine$" }] });
    const url = { hostname: first.host, port: first.port, username: "ada", password: "pw é" };
    const left = await connect(url);
    left.on("error", () => undefined);
    await (await left.createChannel()).assertQueue("left", { durable: true });
    await first.kill9();
    await expect(connect(url)).rejects.toThrow(/ECONNREFUSED/);
    await first.restart();
    const again = await connect(url);
    const cut = new Promise((done) => again.on("error", () => undefined).once("close", done));
    await first.stop();
    await cut;
    // Somebody else may take that one in the meantime: then this is another, which must be as new too.
    const next = await startBroker({ users: [{ name: "bob", password: "two" }] });
    const at = { hostname: next.host, port: next.port };
    await expect(connect({ ...at, username: "ada", password: "pw é" })).rejects.toThrow(/ACCESS|403/);
    const bob = await connect({ ...at, username: "bob", password: "two" });
    bob.on("error", () => undefined);
    const channel = await bob.createChannel();
    channel.on("error", () => undefined);
    await expect(channel.checkQueue("left")).rejects.toThrow(/404/);
    await next.stop();
  });

  it.each(["SIGINT", "SIGKILL"] as const)(
    "end with the process that started them, ended by %s",
    async (signal) => {
      const folder = mkdtempSync(join(tmpdir(), "guarded-"));
      const guard = JSON.stringify(resolve(__dirname, "../../support/guard.ts"));
      // Two groups, as a broker and its port mapper are, which nothing but the guard ends.
      const script = `
      const { spawn } = require("node:child_process");
      const { startGuard } = require(${guard});
      const groups = [0, 1].map(() => spawn("/bin/sleep", ["120"], { detached: true, stdio: "ignore" }).pid);
      const guard = startGuard(process.argv.at(-1));
      guard.tell(groups.slice(0, 1));
      guard.tell(groups);
      process.on("SIGINT", () => process.exit(130));
      setInterval(() => {}, 1000);
      console.log(groups.join(" "));`;
      const child = spawn(process.execPath, ["--import", "tsx", "-e", script, folder], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
      const groups = line.split(" ").map(Number);
      expect(groups.every(lives)).toBe(true);
      child.kill(signal);
      await until("both groups and the folder are gone", () => !groups.some(lives) && !existsSync(folder));
    },
  );

  it("runs a store that keeps its data over a restart", { timeout: 60_000 }, async () => {
    const store = await startStore();
    const call = async (path: string, body: object) =>
      (
        await fetch(`http://${store.endpoint}/v3/kv/${path}`, { method: "POST", body: JSON.stringify(body) })
      ).json() as Promise<{ kvs?: { value: string }[] }>;
    const key = Buffer.from("k").toString("base64");
    await call("put", { key, value: key });
    await store.restart();
    expect((await call("range", { key })).kvs?.[0]?.value).toBe(key);
    await store.stop();
    await expect(call("range", { key })).rejects.toThrow(/fetch failed/);
  });
});

/** Whether a process group has a process that has not ended. */
function lives(group: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${group}/stat`, "utf8"));
  } catch {
    return false; // no such process
  }
}
