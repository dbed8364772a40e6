/** What ends a lab, however its tests end: all that was started in its name, its control groups, its files. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";

/** In the environment of all that belongs to a lab: its name. */
export const labMark = "DYNAMOS_FABRIC_LAB";

export interface Guard {
  /** Ends the lab now, and waits until it is gone. */
  end(): Promise<void>;
}

/**
 * Starts it. It holds a pipe to this process, and cleans up when that closes.
 *
 * @param name the lab's: what it marks its processes with, and calls its control groups
 * @param paths files and folders to remove
 */
export function startGuard(name: string, paths: readonly string[]): Guard {
  const child: ChildProcess = spawn("/bin/bash", [join(__dirname, "guard.sh"), name, ...paths], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    // Not the lab's own mark: it must not end itself.
    env: { PATH: process.env.PATH },
  });
  child.unref();
  (child.stdin as { unref?: () => void } | null)?.unref?.();
  const gone = new Promise<void>((done) => child.once("exit", () => done()));
  return {
    end: async () => {
      child.ref();
      child.stdin?.end();
      await gone;
    },
  };
}
