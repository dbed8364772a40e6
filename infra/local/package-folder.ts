import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** The folder of this package: the nearest above this file with a package.json. */
export function packageFolder(): string {
  return folderWith("package.json", __dirname) ?? __dirname;
}

/** The project a provider or command works for: the nearest folder, from `from` upwards, with a Pulumi.yaml. */
export function projectFolder(from: string): string | undefined {
  return folderWith("Pulumi.yaml", from);
}

function folderWith(file: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    if (existsSync(join(folder, file))) return folder;
    if (folder === dirname(folder)) return undefined;
  }
}
