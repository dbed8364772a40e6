import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { CommandContext } from "../../../../dynamos/cli/context.js";
import { registerLogs } from "../../../../dynamos/cli/logs.js";

let state: string;
let written: string;

beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), "logs-"));
  mkdirSync(join(state, "logs"));
  for (const name of ["broker", "agent-clientone"])
    writeFileSync(join(state, "logs", `${name}.log`), `${name} 1\n${name} 2\n${name} 3\n`);
  written = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    written += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(state, { recursive: true, force: true });
});

async function logs(...args: string[]): Promise<string> {
  const program = new Command();
  registerLogs(program, () => ({ state }) as CommandContext);
  await program.parseAsync(["logs", ...args], { from: "user" });
  return written;
}

describe("logs", () => {
  it("shows the last lines of one service", async () => {
    expect(await logs("broker", "-n", "2")).toBe("broker 2\nbroker 3\n");
  });

  it("knows an agent by its party", async () => {
    expect(await logs("clientone", "-n", "1")).toBe("agent-clientone 3\n");
  });

  it("shows all services, each line with its name", async () => {
    expect(await logs("-n", "1")).toBe("agent-clientone: agent-clientone 3\nbroker: broker 3\n");
  });

  it("guesses which service was meant", async () => {
    await expect(logs("brokr")).rejects.toThrow(/LOC-SERVICE-UNKNOWN.*did you mean broker\?/);
  });

  it("says what to do where nothing has run", async () => {
    rmSync(join(state, "logs"), { recursive: true });
    await expect(logs()).rejects.toThrow(/LOC-NO-LOGS.*up/);
  });

  it("refuses a number that is none", async () => {
    await expect(logs("broker", "-n", "many")).rejects.toThrow(/SPEC-VALUE/);
  });
});
