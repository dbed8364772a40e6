import { mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { identityOf, isAlive, type ProcessIdentity } from "./os-process.js";

/** The right to run a folder's processes, held by one process at a time. */
export interface Claim {
  release(): void;
}

/** The folders that this process has claimed: its identity alone would let it claim one twice. */
const held = new Set<string>();

/**
 * Claims a folder for this process; undefined when another process that runs has it (or asks for it at this very moment: try again after a
 * random pause).
 *
 * Each asker writes a file whose name is its identity, then looks for others. Of two askers at least one sees the other, so never two hold
 * it; a claim left by a process that was killed is void at once, since its identity no longer runs.
 */
export function claimFolder(folder: string): Claim | undefined {
  if (held.has(folder)) return undefined;
  const own = identityOf(process.pid);
  if (own === undefined) throw new Error("this process is not in its own process table");
  const file = join(folder, fileName(own));
  writeInto(folder, file);
  held.add(folder);
  const release = () => {
    held.delete(folder);
    rmSync(file, { force: true });
    removeIfEmpty(folder);
  };
  for (const name of readdirSync(folder)) {
    if (name === fileName(own)) continue;
    const other = identityFrom(name);
    if (other !== undefined && isAlive(other)) {
      release();
      return undefined;
    }
    rmSync(join(folder, name), { force: true });
  }
  return { release };
}

/** Whoever lets go of a folder last removes it, which may be just before we write into it: then it is made anew. */
function writeInto(folder: string, file: string): void {
  for (let attempt = 1; ; attempt++) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    try {
      writeFileSync(file, "", { mode: 0o600 });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT" || attempt === 100) throw error;
    }
  }
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOENT") throw error;
  }
}

function fileName(identity: ProcessIdentity): string {
  return `${identity.pid}@${encodeURIComponent(identity.start)}`;
}

function identityFrom(name: string): ProcessIdentity | undefined {
  const [pid, start] = name.split("@");
  return pid === undefined || start === undefined
    ? undefined
    : { pid: Number(pid), start: decodeURIComponent(start) };
}
