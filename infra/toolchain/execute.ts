import { type SpawnOptions, spawn } from "node:child_process";
import type { Environment } from "./cache.js";

export interface Executed {
  /** Exit code; 127 when the program could not be started, 124 after the time limit, 128 + n after signal n. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecuteOptions {
  readonly cwd?: string;
  readonly env?: Environment;
  /** Milliseconds until the whole process group is ended. Default: none. */
  readonly timeoutMs?: number;
  /** Called with each line of either stream as it comes. */
  readonly onLine?: (line: string) => void;
}

/** What ends each program that runs. One listener for all: there may be one for each node of a slice. */
const running = new Set<() => void>();
const endRunning = (): void => {
  for (const end of running) end();
};

/**
 * Runs a program to its end without a terminal and keeps what it wrote. Never throws: a program that is missing
 * has code 127. It is a process group of its own, so that a time limit ends its children too.
 */
export async function execute(
  program: string,
  args: readonly string[],
  options: ExecuteOptions = {},
): Promise<Executed> {
  const spawnOptions: SpawnOptions = { stdio: ["ignore", "pipe", "pipe"], detached: true };
  if (options.cwd !== undefined) spawnOptions.cwd = options.cwd;
  if (options.env !== undefined) spawnOptions.env = options.env;
  return await new Promise((settle) => {
    const child = spawn(program, args, spawnOptions);
    const out = { stdout: "", stderr: "" };
    let late = false;
    const killGroup = (): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // The group ended in between.
      }
    };
    const timer =
      options.timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            late = true;
            killGroup();
          }, options.timeoutMs);
    // A group of its own does not hear the terminal's Ctrl-C: our end is passed on.
    if (running.size === 0) process.once("exit", endRunning);
    running.add(killGroup);
    const finish = (code: number, stderr = out.stderr): void => {
      clearTimeout(timer);
      running.delete(killGroup);
      if (running.size === 0) process.removeListener("exit", endRunning);
      settle({ code, stdout: out.stdout, stderr });
    };
    for (const stream of ["stdout", "stderr"] as const) {
      let rest = "";
      child[stream]?.setEncoding("utf8").on("data", (text: string) => {
        out[stream] += text;
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) options.onLine?.(line);
      });
    }
    child.once("error", (error) => finish(127, `${program}: ${error.message}`));
    child.once("close", (code, signal) => finish(late ? 124 : (code ?? (signal === null ? 1 : 128 + 15))));
  });
}
