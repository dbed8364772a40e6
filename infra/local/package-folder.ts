import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { InfraError } from "../problem.js";

/** The folder of this package: the nearest above this file with a package.json. */
export function packageFolder(): string {
  return folderWith("package.json", __dirname) ?? __dirname;
}

/** The project a provider or command works for: the nearest folder, from `from` upwards, with a Pulumi.yaml. */
export function projectFolder(from: string): string | undefined {
  return folderWith("Pulumi.yaml", from);
}

/**
 * The folder of Pulumi.yaml, at or above a folder. Programs and providers run in the folder of the program's `main`, which lies below it.
 *
 * @throws InfraError LOC-PROJECT
 */
export function findProject(from: string = process.cwd()): string {
  const folder = projectFolder(from);
  if (folder !== undefined) return folder;
  throw new InfraError({
    code: "LOC-PROJECT",
    message: `no Pulumi.yaml in ${from} or above`,
    remedy: "run this in a project's folder; `dynamos-fabric new` makes one",
  });
}

/** The state folder that a resource's properties name relative to the project, as a path. */
export const stateFolder = ({ state }: { readonly state: string }): string => join(findProject(), state);

function folderWith(file: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    if (existsSync(join(folder, file))) return folder;
    if (folder === dirname(folder)) return undefined;
  }
}
