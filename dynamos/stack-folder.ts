import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse } from "yaml";

/** A stack's state folder, relative to the folder of Pulumi.yaml: what resources carry, the same in every checkout. */
export const stateFolderOf = (stack: string): string => `.state/${stack}`;

/** A path as it was typed: npm runs scripts in another folder than the one it was called in. */
export const fromHere = (path: string): string => resolve(process.env.INIT_CWD ?? process.cwd(), path);

/** The project's name as Pulumi.yaml has it; empty where it has none. */
export function projectName(folder: string): string {
  const { name } = (parse(readFileSync(join(folder, "Pulumi.yaml"), "utf8")) ?? {}) as {
    readonly name?: unknown;
  };
  return typeof name === "string" ? name : "";
}
