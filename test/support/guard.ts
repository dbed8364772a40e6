import { spawn } from "node:child_process";

/** Ends process groups and removes a folder when this process ends, in whatever way. */
export interface Guard {
  /** Which groups there are now, by their leaders. What was told before is forgotten. */
  tell(pids: readonly number[]): void;
}

/** Reads what to end from its input, which closes with this process. No `--` before the group: Debian's sh knows none there and ends nothing. */
const SCRIPT =
  'while read -r line; do pids=$line; done; for p in $pids; do kill -9 "-$p"; done 2>/dev/null; sleep 0.2; rm -rf "$1"';

export function startGuard(folder: string): Guard {
  const guard = spawn("/bin/sh", ["-c", SCRIPT, "guard", folder], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  guard.unref();
  (guard.stdin as { unref?: () => void } | null)?.unref?.();
  return { tell: (pids) => void guard.stdin?.write(`${pids.join(" ")}\n`) };
}
