import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { writeFileAtomic } from "../local/state-folder.js";
import { parseFabricTime } from "./lease.js";

/** A lease as FABRIC gave it to a renewal outside the engine, which does not know of it. */
export interface NotedLease {
  /** The slice's id: a note about another slice of the name says nothing. */
  readonly id: string;
  readonly leaseEnd: Date;
}

function leaseFile(stateDir: string, sliceName: string): string {
  return join(stateDir, "leases", `${encodeURIComponent(sliceName)}.json`);
}

/** Writes down in the stack's state folder until when a lease goes, for those who show it. */
export function noteLease(stateDir: string, sliceName: string, { id, leaseEnd }: NotedLease): void {
  const file = leaseFile(stateDir, sliceName);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileAtomic(file, `${JSON.stringify({ id, leaseEnd: leaseEnd.toISOString() })}\n`);
}

/** The end of a lease that was noted for this very slice; undefined without one. */
export function notedLease(stateDir: string, sliceName: string, id: string | undefined): Date | undefined {
  try {
    const noted = JSON.parse(readFileSync(leaseFile(stateDir, sliceName), "utf8")) as Record<
      string,
      unknown
    > | null;
    const end = new Date(String(noted?.leaseEnd));
    return noted?.id === id && !Number.isNaN(end.getTime()) ? end : undefined;
  } catch (error) {
    // None, or cut off by a kill: it is a help for showing and nothing more.
    if ((error as NodeJS.ErrnoException).code === "ENOENT" || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Until when a lease goes as far as this machine knows: as the engine recorded it, or later by a noted renewal. */
export function knownLeaseEnd(
  stateDir: string,
  sliceName: string,
  id: string | undefined,
  recorded: unknown,
): Date | undefined {
  const said = typeof recorded === "string" ? parseFabricTime(recorded) : undefined;
  const noted = notedLease(stateDir, sliceName, id);
  return noted !== undefined && (said === undefined || noted > said) ? noted : said;
}

export function forgetLease(stateDir: string, sliceName: string): void {
  rmSync(leaseFile(stateDir, sliceName), { force: true });
}
