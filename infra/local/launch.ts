import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { InfraError } from "../problem.js";
import { identityOf, markOf, markVariable, type ProcessIdentity } from "./os-process.js";
import type { ServiceSpec } from "./service.js";
import type { StateFolder } from "./state-folder.js";
import { renderTemplate, type TemplateValues } from "./template.js";

/** A specification with all its placeholders filled in. */
export interface Rendered {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly files: readonly { readonly path: string; readonly content: string }[];
}

export function renderSpec(spec: ServiceSpec, values: TemplateValues): Rendered {
  const render = (place: string, text: string) =>
    renderTemplate({ place: `${spec.name}.${place}`, text }, values);
  return {
    command: spec.command.map((text, i) => render(`command[${i}]`, text)),
    env: Object.fromEntries(
      Object.entries(spec.env ?? {}).map(([name, text]) => [name, render(`env.${name}`, text)]),
    ),
    files: (spec.files ?? []).map((file, i) => ({
      path: file.path,
      content: render(`files[${i}].content`, file.content),
    })),
  };
}

/** Writes a service's files below its folder, readable by nobody else. */
export function writeServiceFiles(folder: string, files: Rendered["files"]): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const file of files) {
    const path = join(folder, file.path);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, file.content, { mode: 0o600 });
    chmodSync(path, 0o600); // the mode above holds for new files only
  }
}

/** Removes files that an earlier specification wrote and the present one does not. */
export function removeStaleFiles(folder: string, before: ServiceSpec, now: ServiceSpec): void {
  const kept = new Set(now.files?.map((file) => file.path));
  for (const file of before.files ?? [])
    if (!kept.has(file.path)) rmSync(join(folder, file.path), { force: true });
}

/** A child that has been made, has its identity, and waits to be let go. */
export interface Held {
  readonly child: ChildProcess;
  readonly identity: ProcessIdentity;
  readonly logOffset: number;
  /** Lets it become the service. */
  release(): void;
}

/**
 * Makes the process of a service, in a session and group of its own, its output going straight to its log, so that it needs us no more.
 *
 * It waits until `release()`: if this process dies before it has recorded the child, the child sees its input end and ends too, and no
 * process runs that no record names.
 */
export async function launch(spec: ServiceSpec, rendered: Rendered, state: StateFolder): Promise<Held> {
  const folder = state.serviceFolder(spec);
  const log = openSync(state.log(spec.name), "a", 0o600);
  try {
    const logOffset = fstatSync(log).size;
    const env = {
      ...inheritedEnvironment(process.env),
      ...rendered.env,
      [markVariable]: markOf(state.path, spec.name),
    };
    const child = spawn("/bin/sh", ["-c", 'read -r _ && exec "$@" </dev/null', "sh", ...rendered.command], {
      cwd: folder,
      env,
      detached: true,
      stdio: ["pipe", log, log],
    });
    // A child that ended early closes the pipe: its end is what is reported, not our failed write.
    child.stdin?.on("error", () => undefined);
    const identity = child.pid === undefined ? undefined : identityOf(child.pid);
    if (identity === undefined) throw await startError(spec, child);
    return { child, identity, logOffset, release: () => void child.stdin?.end("\n") };
  } finally {
    closeSync(log);
  }
}

async function startError(spec: ServiceSpec, child: ChildProcess): Promise<InfraError> {
  const cause = await new Promise<unknown>((done) => child.once("error", done).once("exit", done));
  const message = `${spec.name} could not be started: ${cause instanceof Error ? cause.message : "its process ended at once"}`;
  return new InfraError(
    {
      code: "LOC-START-FAILED",
      path: spec.name,
      message,
      remedy: "see that this machine can start more processes",
    },
    { cause },
  );
}

/**
 * The part of our own environment that a service may see. A list of what is allowed: the engine's environment holds the passphrase of the
 * stack's secrets, and a user's may hold anything.
 */
export function inheritedEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const allowed =
    /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR|XDG_CACHE_HOME|XDG_RUNTIME_DIR|DYNAMOS_FABRIC_CACHE|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE)$/;
  const inherited = Object.fromEntries(
    Object.entries(env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && allowed.test(entry[0]),
    ),
  );
  return { ...inherited, PATH: inherited.PATH ?? ["/usr/local/bin", "/usr/bin", "/bin"].join(delimiter) };
}

/** The last lines that a run wrote to its log, at most 8 KiB of it. */
export function lastLines(path: string, offset: number, count = 15): string[] {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return []; // no log, no lines: the message says so by having none
  }
  try {
    const size = fstatSync(file).size;
    const from = Math.max(Math.min(offset, size), size - 8192);
    const buffer = Buffer.alloc(size - from);
    const length = readSync(file, buffer, 0, buffer.length, from);
    const lines = buffer.subarray(0, length).toString("utf8").split("\n");
    return lines
      .map((line) => line.trimEnd())
      .filter((line) => line !== "")
      .slice(-count);
  } finally {
    closeSync(file);
  }
}
