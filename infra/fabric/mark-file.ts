import { randomUUID } from "node:crypto";
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { writeFileAtomic } from "../local/state-folder.js";
import { InfraError } from "../problem.js";
import { endpointSchema, type FabricEndpoint } from "./endpoint-schema.js";
import { forgetLease } from "./lease-file.js";
import type { SliceMark } from "./mark.js";

/** Where a slice's mark is kept: in the stack's state folder, since a run that is killed while it creates leaves nothing in Pulumi's state. */
function markFile(stateDir: string, sliceName: string): string {
  return join(stateDir, "slices", `${encodeURIComponent(sliceName)}.json`);
}

/**
 * The mark of a slice, made and written to the disk on first use. Two processes at once get the same one.
 *
 * @throws InfraError FAB-MARK-DAMAGED when the file is not ours
 */
export function ensureMark(
  stateDir: string,
  sliceName: string,
  owner: { readonly project: string; readonly stack: string },
): SliceMark {
  const file = markFile(stateDir, sliceName);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const beside = `${file}.${process.pid}.${randomUUID()}.tmp`;
  const known = readMark(file);
  if (known !== undefined) return known;
  writeFileSync(
    beside,
    `${JSON.stringify({ project: owner.project, stack: owner.stack, id: randomUUID() })}\n`,
    { mode: 0o600, flush: true },
  );
  try {
    linkSync(beside, file); // fails when another process was first, unlike a rename
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    rmSync(beside);
  }
  const made = readMark(file);
  if (made === undefined) throw damaged(file);
  return made;
}

/** Forgets a mark, and what is noted of the lease, after its slice is gone. */
export function forgetMark(stateDir: string, sliceName: string): void {
  rmSync(markFile(stateDir, sliceName), { force: true });
  forgetLease(stateDir, sliceName);
}

/** Notes that a slice is about to be submitted: from then on it may be there although the engine's state never heard of it. */
export function noteSubmission(stateDir: string, sliceName: string, endpoint: FabricEndpoint): void {
  const file = markFile(stateDir, sliceName);
  const mark = readMark(file);
  if (mark === undefined) throw damaged(file);
  rewrite(file, { ...mark, submitted: endpoint });
}

/**
 * Notes that a slice's end is about to be asked for, or that it was refused: a run that is killed in between leaves a slice in the engine's state that
 * is gone.
 */
export function noteEnding(stateDir: string, sliceName: string, ending: boolean): void {
  const file = markFile(stateDir, sliceName);
  if (readMark(file) === undefined) return;
  rewrite(file, { ...(JSON.parse(readFileSync(file, "utf8")) as object), ending });
}

/** Whether a slice's end was asked for and has not been recorded. */
export function isEnding(stateDir: string, sliceName: string): boolean {
  const file = markFile(stateDir, sliceName);
  if (readMark(file) === undefined) return false;
  return (JSON.parse(readFileSync(file, "utf8")) as { readonly ending?: unknown }).ending === true;
}

function rewrite(file: string, content: object): void {
  writeFileAtomic(file, `${JSON.stringify(content)}\n`);
}

/** Where this slice was last submitted to; undefined when it never was. */
export function submittedTo(stateDir: string, sliceName: string): FabricEndpoint | undefined {
  const file = markFile(stateDir, sliceName);
  if (readMark(file) === undefined) return undefined;
  const { submitted } = JSON.parse(readFileSync(file, "utf8")) as { readonly submitted?: unknown };
  const endpoint = endpointSchema.safeParse(submitted);
  return endpoint.success ? (endpoint.data as FabricEndpoint) : undefined;
}

/**
 * The slices that this state folder has marks for, by name.
 *
 * @throws InfraError FAB-MARK-DAMAGED
 */
export function knownMarks(stateDir: string): Readonly<Record<string, SliceMark>> {
  const folder = dirname(markFile(stateDir, ""));
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")) : [];
  return Object.fromEntries(
    files.sort().flatMap((file): [string, SliceMark][] => {
      const mark = readMark(join(folder, file));
      return mark === undefined ? [] : [[decodeURIComponent(file.slice(0, -".json".length)), mark]];
    }),
  );
}

function readMark(file: string): SliceMark | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    const { project, stack, id } = JSON.parse(text) as Record<string, unknown>;
    if (typeof project === "string" && typeof stack === "string" && typeof id === "string")
      return { project, stack, id };
  } catch {
    // the same as a file without the three texts
  }
  throw damaged(file);
}

function damaged(file: string): InfraError {
  return new InfraError({
    code: "FAB-MARK-DAMAGED",
    file,
    message: "the slice's mark cannot be read",
    remedy: "put back what was there, or remove the file; a slice that bears the old mark is then nobody's",
  });
}
