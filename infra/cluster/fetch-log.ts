/** Brings the log of a failed playbook from the control node to this machine. I/O: SSH, files. */
import { mkdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { projectFolder } from "../local/package-folder.js";
import { shellWord } from "../shell-word.js";
import { run } from "../toolchain/command/command.js";
import type { Connection } from "./connection.js";

/** The path of the log in what a failed run wrote; the runner's own words. */
export function logNamed(error: string): string | undefined {
  return /\(all of it: (\/[^\n]*\/logs\/[\w.-]+\.log) on the control node\)/.exec(error)?.[1];
}

/**
 * Keeps the whole log in `.state/<stack>/logs`, for its owner only.
 *
 * @returns the file here, relative to the project
 */
export async function fetchLog(connection: Connection, log: string): Promise<string> {
  const signal = AbortSignal.timeout(120_000);
  const create = `cat -- ${shellWord(log)}`;
  const { stdout } = await run(
    "create",
    { connection, create, logging: "none" },
    {},
    { signal, onLine: () => {} },
  );
  const folder = `.state/${pulumi.getStack()}/logs`;
  const here = join(projectFolder(process.cwd()) ?? process.cwd(), folder);
  mkdirSync(here, { recursive: true, mode: 0o700 });
  await writeFile(join(here, basename(log)), `${stdout}\n`, { mode: 0o600 });
  return `${folder}/${basename(log)}`;
}
