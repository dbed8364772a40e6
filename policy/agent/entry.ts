import { realpathSync } from "node:fs";
import { isAbsolute, relative, resolve, sep } from "node:path";
import { CodedError } from "../contract/problem.js";

/**
 * The program a microservice's document names, as an absolute path.
 * It must lie inside the experiment's folder, symbolic links followed: a document must not make an agent run something else of its machine.
 *
 * @throws CodedError `JOB-ENTRY`
 */
export function resolveEntry(folder: string, entry: string): string {
  const wrong = (message: string) =>
    new CodedError({
      code: "JOB-ENTRY",
      path: entry,
      message,
      remedy: "set the microservice's entry to a file below the experiment's folder",
    });
  if (entry === "" || entry.includes("\0") || isAbsolute(entry))
    throw wrong(`entry ${JSON.stringify(entry)} is not a relative path`);
  let root: string;
  let file: string;
  try {
    root = realpathSync(folder);
    file = realpathSync(resolve(root, entry));
  } catch {
    throw wrong(`there is no ${entry} in the experiment's folder`);
  }
  const inside = relative(root, file);
  if (inside === "" || inside === ".." || inside.startsWith(`..${sep}`) || isAbsolute(inside))
    throw wrong(`${entry} leads out of the experiment's folder`);
  return file;
}
