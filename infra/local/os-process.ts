/**
 * Processes of this machine, as far as the system tells: /proc on Linux, `ps` elsewhere.
 *
 * A pid alone is never trusted: the system gives it to others later. A process is known by pid and start time together.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { InfraError } from "../problem.js";

export interface ProcessIdentity {
  readonly pid: number;
  /** When it was started, in the system's own words; compared, never read. On Linux with the boot's id: ticks begin anew at each boot. */
  readonly start: string;
}

export interface ProcessRow extends ProcessIdentity {
  readonly group: number;
  /** -1 where the system does not tell. */
  readonly session: number;
}

/** The environment variable by which a service's processes are found again, even those that left its group and session. */
export const markVariable = "DYNAMOS_FABRIC_PROCESS";

/** The mark of a service's processes. */
export function markOf(stateDir: string, service: string): string {
  return `${stateDir}:${service}`;
}

const linux = process.platform === "linux";
let bootId: string | undefined;

/** The identity of a process that runs; undefined when there is none of this pid, or only its zombie. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const row = linux ? linuxRow(pid) : otherRows(["-p", String(pid)])[0];
  return row === undefined ? undefined : { pid: row.pid, start: row.start };
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identityOf(identity.pid)?.start === identity.start;
}

/** All processes of the machine, zombies left out. */
export function processTable(): ProcessRow[] {
  if (!linux) return otherRows(["-ax"]);
  return numbersIn("/proc").flatMap((pid) => linuxRow(pid) ?? []);
}

/** The value of a process's mark, where the system lets us read it. */
export function markOfProcess(pid: number): string | undefined {
  if (!linux) return undefined;
  const text = readOptional(`/proc/${pid}/environ`);
  const entry = text?.split("\0").find((line) => line.startsWith(`${markVariable}=`));
  return entry?.slice(markVariable.length + 1);
}

/** A short name and the command line of a process, for messages. */
export function nameOfProcess(pid: number): string {
  if (linux) return readOptional(`/proc/${pid}/comm`)?.trim() || "unknown program";
  return ps(["-p", String(pid), "-o", "comm="]).trim() || "unknown program";
}

/** Which processes to look for: those of a leader's group and session, and those that bear a mark. */
export interface Belonging {
  readonly leader?: ProcessIdentity | undefined;
  /** Says whether a process with this mark belongs. */
  readonly marked: (mark: string) => boolean;
}

/** The processes that belong and still run. */
export function survivors(belonging: Belonging): ProcessRow[] {
  const rows = processTable();
  const { leader, marked } = belonging;
  const holder = rows.find((row) => row.pid === leader?.pid);
  // Another process under the leader's pid proves that nothing is left of the leader's group: the system does not
  // give away a number that a group or session still bears.
  const trusted = leader !== undefined && (holder === undefined || holder.start === leader.start);
  return rows.filter((row) => {
    if (row.pid === process.pid) return false;
    if (trusted && (row.group === leader.pid || row.session === leader.pid)) return true;
    const mark = markOfProcess(row.pid);
    return mark !== undefined && marked(mark);
  });
}

/**
 * Ends the processes that belong: SIGTERM to all, SIGKILL to what is left after the grace time, and a look that nothing remains.
 * Throws LOC-STOP-FAILED, naming them, when some outlive SIGKILL by 5 seconds.
 */
export async function endProcesses(belonging: Belonging, graceSeconds: number): Promise<void> {
  for (const [signal, seconds] of [
    ["SIGTERM", graceSeconds],
    ["SIGKILL", 5],
  ] as const) {
    const deadline = performance.now() + seconds * 1000;
    let left = survivors(belonging);
    signalAll(left, signal);
    for (
      let pause = 10;
      left.length > 0 && performance.now() < deadline;
      pause = Math.min(pause * 1.5, 100)
    ) {
      await sleep(pause);
      left = survivors(belonging);
    }
    if (left.length === 0) return;
  }
  const left = survivors(belonging);
  if (left.length === 0) return;
  throw new InfraError({
    code: "LOC-STOP-FAILED",
    message: `still running after SIGKILL: ${left.map((row) => `${nameOfProcess(row.pid)} (pid ${row.pid})`).join(", ")}`,
    remedy: "end these processes by hand, then try again",
  });
}

/** Groups are signalled as one, so that no member can start another between two signals unseen. */
function signalAll(rows: readonly ProcessRow[], signal: NodeJS.Signals): void {
  const leaders = new Set(rows.filter((row) => row.pid === row.group).map((row) => row.pid));
  for (const leader of leaders) signalOne(-leader, signal);
  for (const row of rows) if (!leaders.has(row.group)) signalOne(row.pid, signal);
}

function signalOne(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // Gone in between is what we want; one that we may not signal shows up in LOC-STOP-FAILED.
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

/** Source: proc(5). The program's name stands in parentheses and may hold spaces and parentheses itself. */
function linuxRow(pid: number): ProcessRow | undefined {
  const stat = readOptional(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const [state, , group, session, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (state === "Z" || state === "X") return undefined;
  bootId ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return { pid, group: Number(group), session: Number(session), start: `${bootId}.${rest[15]}` };
}

function otherRows(selection: readonly string[]): ProcessRow[] {
  const lines = ps([...selection, "-o", "pid=,pgid=,stat=,lstart="]).split("\n");
  return lines.flatMap((line) => {
    const [pid, group, state, ...start] = line.trim().split(/\s+/);
    if (pid === undefined || pid === "" || state === undefined || state.startsWith("Z")) return [];
    return [{ pid: Number(pid), group: Number(group), session: -1, start: start.join("_") }];
  });
}

function ps(args: readonly string[]): string {
  try {
    return execFileSync("ps", args, {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C" },
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch {
    return ""; // ps answers 1 when no process matches
  }
}

function numbersIn(folder: string): number[] {
  return readdirSync(folder).flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

/** A file of /proc; undefined when the process ended in between or belongs to another user. */
function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
