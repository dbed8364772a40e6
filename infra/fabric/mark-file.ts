import { randomUUID } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { InfraError } from "../problem.js";
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

/** Forgets a mark after its slice is gone. */
export function forgetMark(stateDir: string, sliceName: string): void {
  rmSync(markFile(stateDir, sliceName), { force: true });
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
