import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InfraError } from "../problem.js";
import { type Engine, pulumi } from "./engine.js";
import type { Progress } from "./progress.js";

/**
 * Puts a stack right after a run that was killed: its lock goes, and what it had begun without recording an end is forgotten,
 * so that it is begun again (a provider's create finds what is there by name). Does nothing on a sound stack.
 *
 * @throws InfraError `TOOL-STACK-BUSY` when another run is at work on the stack, `TOOL-ENGINE` when the state cannot be mended
 */
export async function repairStack(engine: Engine, progress: Progress): Promise<void> {
  const live = engine.onDisk.clearDeadLocks();
  if (live !== undefined) {
    throw new InfraError({
      code: "TOOL-STACK-BUSY",
      message: `another run works on stack ${engine.stack} since ${live.timestamp.slice(11, 19)} UTC (process ${live.pid} on ${live.hostname})`,
      remedy: "wait until it has ended",
    });
  }
  const pending = engine.onDisk.pendingOperations();
  if (pending.length === 0) return;
  const file = join(engine.state, `repair-${process.pid}.json`);
  try {
    await must(engine, ["stack", "export", "--file", file]);
    const state: { deployment: { pending_operations?: unknown } } = JSON.parse(readFileSync(file, "utf8"));
    delete state.deployment.pending_operations;
    writeFileSync(file, JSON.stringify(state), { mode: 0o600 });
    await must(engine, ["stack", "import", "--file", file]);
  } finally {
    rmSync(file, { force: true });
  }
  progress.line(`a run was killed while ${pending.join(", ")}; taking it up again`);
}

async function must(engine: Engine, args: readonly string[]): Promise<void> {
  const run = await pulumi(engine, args);
  if (run.code === 0) return;
  throw new InfraError({
    code: "TOOL-ENGINE",
    message: `\`pulumi ${args.slice(0, 2).join(" ")}\` failed (${run.stderr.trim().replace(/^error: /, "")})`,
    remedy: "run the same command again; `npm run down` works without the engine's state",
  });
}
