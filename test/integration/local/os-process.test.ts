import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { claimFolder } from "../../../infra/local/claim.js";
import { ensureSupervisor, shutdownStack, statusOf } from "../../../infra/local/index.js";
import { identityOf, isAlive, type ProcessIdentity } from "../../../infra/local/os-process.js";
import { packageFolder } from "../../../infra/local/package-folder.js";
import { StateFolder } from "../../../infra/local/state-folder.js";
import { eventually, found, killSupervisor, newStack, web } from "./stack-fixture.js";

/** A process that does nothing, in a group of its own. */
function bystander(): ProcessIdentity {
  const child = spawn("sleep", ["60"], { detached: true, stdio: "ignore" });
  onTestFinished(() => void child.kill("SIGKILL"));
  const identity = identityOf(child.pid ?? 0);
  if (identity === undefined) throw new Error("sleep did not start");
  return identity;
}

describe("a process's identity", () => {
  it("is its pid and its start time, and ends with it", async () => {
    const identity = bystander();
    expect(isAlive(identity)).toBe(true);
    expect(isAlive({ ...identity, start: "another boot" })).toBe(false);
    process.kill(identity.pid, "SIGKILL");
    await eventually(() => isAlive(identity)).toBe(false);
  });

  it("a process that got a dead service's pid is neither taken for it nor ended", {
    timeout: 30_000,
  }, async () => {
    const stack = newStack();
    const client = await ensureSupervisor(stack.state, stack.project);
    await client.put(web("a"));
    await killSupervisor(stack);
    for (const row of stack.processes()) process.kill(row.pid, "SIGKILL");
    await eventually(() => stack.processes()).toEqual([]);

    const innocent = bystander();
    const folder = new StateFolder(stack.state);
    const record = folder.services().get("a");
    if (record?.run === undefined) throw new Error("no run recorded");
    folder.saveServices(new Map([["a", { ...record, run: { ...record.run, pid: innocent.pid } }]]));
    folder.saveSupervisor({ pid: innocent.pid, start: "long ago", port: 1, token: "" });
    expect(found(statusOf(stack.state).services, "a").state).toBe("stopped");
    await shutdownStack(stack.state);
    expect(isAlive(innocent)).toBe(true);
  });
});

describe("a claim", () => {
  it("is one process's at a time, void when its holder is dead, and leaves nothing", () => {
    const folder = join(mkdtempSync(join(tmpdir(), "claim-")), "lock");
    onTestFinished(() => rmSync(join(folder, ".."), { recursive: true }));
    const claim = claimFolder(folder);
    expect(claim).toBeDefined();
    expect(claimFolder(folder)).toBeUndefined();
    claim?.release();
    expect(existsSync(folder)).toBe(false);

    const other = bystander();
    claimFolder(folder)?.release();
    const taken = claimFolder(folder);
    writeFileSync(join(folder, `${other.pid}@${encodeURIComponent(other.start)}`), "");
    taken?.release();
    expect(claimFolder(folder)).toBeUndefined();
    writeFileSync(join(folder, "999999999@gone"), "");
    process.kill(other.pid, "SIGKILL");
    return eventually(() => {
      const next = claimFolder(folder);
      const names = next === undefined ? ["held"] : readdirSync(folder);
      next?.release();
      return names;
    }).toHaveLength(1);
  });
});

describe("a provider's process", () => {
  it("ends with its parent", { timeout: 15_000 }, async () => {
    const module = JSON.stringify(join(packageFolder(), "dist/infra/dynamic.js"));
    const child = `require(${module}).endWithParent(); console.log(process.pid); setInterval(() => 0, 1000)`;
    const script = `require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(child)}], { detached: true, stdio: "inherit" });
      setInterval(() => 0, 1000)`;
    const parent = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const pid = await new Promise<number>((done) => parent.stdout.once("data", (text) => done(Number(text))));
    const identity = identityOf(pid);
    expect(identity).toBeDefined();
    parent.kill("SIGKILL");
    await eventually(() => identityOf(pid)?.start === identity?.start).toBe(false);
  });
});
