import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "../platform/log.js";

/** A microservice as noted beside its working folder. */
export interface LeftOver {
  readonly pid: number;
  /** Of `startTicks`: tells it from a later process with the same pid. */
  readonly start: string | undefined;
}

/** When a process started, in the kernel's own count (proc(5), field 22 of stat). `undefined`: no such process, or no Linux. */
export function startTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The program's name may hold spaces and brackets; what follows the last bracket does not.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[22 - 3];
  } catch {
    return undefined; // no such process
  }
}

/**
 * Ends microservices of an agent that died without ending them, and empties the working folder.
 * They end by themselves when their agent goes; this is for one that computes without a pause and so does not notice.
 */
export function removeLeftOvers(workFolder: string, log: Logger): void {
  for (const job of readdirSync(workFolder, { withFileTypes: true })) {
    const folder = join(workFolder, job.name);
    if (!job.isDirectory()) continue;
    for (const name of readdirSync(folder).filter((file) => file.endsWith(".pid")))
      endLeftOver(join(folder, name), log);
    rmSync(folder, { recursive: true, force: true });
    log.info({ job: job.name }, "removed what an earlier agent left of a job");
  }
}

function endLeftOver(file: string, log: Logger): void {
  try {
    const { pid, start } = JSON.parse(readFileSync(file, "utf8")) as LeftOver;
    if (start === undefined || startTicks(pid) !== start) return;
    process.kill(pid, "SIGKILL");
    log.warn({ pid }, "ended a microservice of an earlier agent");
  } catch (error) {
    // A note half written, or a process that ended just now.
    log.debug({ file, error }, "nothing to end");
  }
}
