import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { projectFolder } from "../infra/local/package-folder.js";
import { InfraError } from "../infra/problem.js";

/** A stack's state folder, relative to the folder of Pulumi.yaml: what resources carry, the same in every checkout. */
export const stateFolderOf = (stack: string): string => `.state/${stack}`;

/**
 * The folder of Pulumi.yaml, at or above a folder. Programs and providers run in the folder of the program's `main`, which lies below it.
 *
 * @throws InfraError SPEC-NO-PROJECT
 */
export function findProject(from: string = process.cwd()): string {
  const folder = projectFolder(from);
  if (folder !== undefined) return folder;
  throw new InfraError({
    code: "SPEC-NO-PROJECT",
    message: `no Pulumi.yaml in ${from} or above`,
    remedy: "run this in a project's folder; `dynamos-fabric new` makes one",
  });
}

/** The project's name as Pulumi.yaml has it; empty where it has none. */
export function projectName(folder: string): string {
  const { name } = (parse(readFileSync(join(folder, "Pulumi.yaml"), "utf8")) ?? {}) as {
    readonly name?: unknown;
  };
  return typeof name === "string" ? name : "";
}
