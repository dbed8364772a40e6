import { spawn } from "node:child_process";
import { constants } from "node:os";
import { type Engine, engineArguments } from "./engine.js";

/** Signals that mean: stop in good order. */
const stopping = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** A signal may come twice for one wish: from the terminal and passed on by npm. */
const sameWishMs = 700;

/**
 * Runs a command of the engine with the caller's own terminal and answers its exit code. Ctrl-C reaches the engine as one
 * SIGINT: it finishes what it is doing, records it and ends; a second one makes it stop at once. This process waits for it.
 */
export async function watch(engine: Engine, args: readonly string[]): Promise<number> {
  // On a terminal the engine gets Ctrl-C from there, as we do. Without one it is a group of its own, so that it gets ours only.
  const terminal = process.stdin.isTTY === true;
  const child = spawn(engine.tool.path, engineArguments(engine, args), {
    cwd: engine.project,
    env: engine.env,
    stdio: terminal ? "inherit" : ["ignore", "inherit", "inherit"],
    detached: !terminal,
  });
  let last = Number.NEGATIVE_INFINITY;
  const pass = (signal: NodeJS.Signals): void => {
    const now = performance.now();
    const repeated = now - last < sameWishMs;
    last = now;
    if (repeated || (terminal && signal === "SIGINT")) return;
    child.kill("SIGINT");
  };
  for (const signal of stopping) process.on(signal, pass);
  try {
    return await new Promise<number>((settle, fail) => {
      child.once("error", fail);
      child.once("exit", (code, signal) =>
        settle(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
      );
    });
  } finally {
    for (const signal of stopping) process.removeListener(signal, pass);
  }
}
