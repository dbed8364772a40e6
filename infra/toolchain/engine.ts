import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parse } from "yaml";
import { InfraError } from "../problem.js";
import { cacheFolder, type Environment } from "./cache.js";

import { type Executed, execute } from "./execute.js";
import { withLock } from "./file-lock.js";
import { type Progress, silentProgress } from "./progress.js";
import { type StackConfig, saltOf, stackConfig } from "./stack-config.js";
import { StackState } from "./stack-state.js";
import { placeStandIns } from "./stand-ins.js";
import { ensure, type Tool } from "./tools.js";

export interface EngineOptions {
  /** Folder of Pulumi.yaml. */
  readonly project: string;
  /** E.g. `dev`. */
  readonly stack: string;
  /** Default: `<project>/.state/<stack>`. */
  readonly state?: string;
  readonly env?: Environment;
  readonly progress?: Progress;
}

/** The engine, ready to work on one stack. */
export interface Engine {
  readonly tool: Tool;
  readonly project: string;
  readonly projectName: string;
  readonly stack: string;
  readonly state: string;
  /** Private copy of the stack's configuration. */
  readonly configFile: string;
  /** All variables that the engine and its children get. */
  readonly env: Environment;
  readonly onDisk: StackState;
}

/**
 * Makes the engine ready: finds or installs it, makes the stack's state folder, passphrase and configuration copy, and the stack
 * itself when there is none. Writes nothing outside the state and the cache folder.
 *
 * @throws InfraError `TOOL-STACK-NAME`, `TOOL-NO-PROJECT`, `TOOL-CONFIG-YAML`, `TOOL-PASSPHRASE`, `TOOL-ENGINE` and those of `ensure`
 */
export async function prepareEngine(options: EngineOptions): Promise<Engine> {
  const environment = options.env ?? process.env;
  const project = resolve(options.project);
  const stack = checkStackName(options.stack);
  const { name: projectName, configFolder } = readProject(project);
  const state = stateFolder(project, stack, options.state);
  const backend = join(state, "backend");
  const onDisk = new StackState(backend, projectName, stack);
  const configFile = join(state, `Pulumi.${stack}.yaml`);
  const source = join(configFolder, `Pulumi.${stack}.yaml`);
  const config = (salt: string | undefined): StackConfig =>
    stackConfig(existsSync(source) ? readFileSync(source, "utf8") : undefined, salt, `Pulumi.${stack}.yaml`);
  const copiedSalt = (): string | undefined =>
    existsSync(configFile) ? saltOf(readFileSync(configFile, "utf8"), configFile) : undefined;
  // Read before anything is made or fetched: a mistake in it is told at once.
  const first = config(copiedSalt() ?? onDisk.salt());

  const { pulumi: tool } = await ensure(["pulumi"], options.progress ?? silentProgress, environment);
  mkdirSync(backend, { recursive: true, mode: 0o700 });
  placeStandIns(pulumiHome(environment), project, tool.standIns);
  // Two commands may begin at once: both must end up with the same passphrase and salt.
  return await withLock(join(state, "prepare.lock"), async () => {
    const passphrase = makePassphrase(state);
    const env = engineEnvironment({
      environment,
      tool,
      state,
      backend,
      passphrase,
      ownSecrets: first.ownSecrets,
    });
    const engine: Engine = { tool, project, projectName, stack, state, configFile, env, onDisk };
    const known = config(copiedSalt() ?? onDisk.salt());
    const salt = onDisk.exists && known.salt !== undefined ? known.salt : await makeStack(engine, known.text);
    writePrivately(configFile, config(salt).text);
    return engine;
  });
}

/** Where a stack keeps everything it writes. */
export function stateFolder(project: string, stack: string, state?: string): string {
  return state === undefined ? join(resolve(project), ".state", checkStackName(stack)) : resolve(state);
}

/** What is on disk of a stack, without an engine; `undefined` when nothing can be read (lost or damaged). */
export function stackOnDisk(
  options: Pick<EngineOptions, "project" | "stack" | "state">,
): StackState | undefined {
  const state = stateFolder(options.project, options.stack, options.state);
  const onDisk = new StackState(join(state, "backend"), readProject(options.project).name, options.stack);
  try {
    onDisk.resourceCount();
  } catch {
    // Cut off or edited: as good as lost.
    return undefined;
  }
  return onDisk.exists ? onDisk : undefined;
}

/** Commands that take `--config-file`. */
const configured = new Set(["up", "preview", "refresh", "destroy", "import", "config", "watch"]);

/** The engine's arguments for this stack, e.g. `["up", "--yes"]` becomes `up --stack dev --config-file … --yes`. */
export function engineArguments(
  engine: Pick<Engine, "stack" | "configFile">,
  args: readonly string[],
): string[] {
  const words = args.findIndex((arg) => arg.startsWith("-"));
  const [command, rest] = words < 0 ? [args, []] : [args.slice(0, words), args.slice(words)];
  const file = configured.has(command[0] ?? "") ? ["--config-file", engine.configFile] : [];
  return [...command, "--stack", engine.stack, ...file, ...rest];
}

/** Runs a command of the engine on the stack to its end and keeps what it wrote. For a run that a person watches see `watch.ts`. */
export async function pulumi(
  engine: Engine,
  args: readonly string[],
  options: {
    readonly onLine?: (line: string) => void;
    readonly env?: Environment;
    readonly timeoutMs?: number;
  } = {},
): Promise<Executed> {
  return await execute(
    engine.tool.path,
    [...engineArguments(engine, args), "--non-interactive", "--color", "never"],
    {
      cwd: engine.project,
      env: { ...engine.env, ...options.env },
      ...(options.onLine === undefined ? {} : { onLine: options.onLine }),
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    },
  );
}

function checkStackName(stack: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/.test(stack)) return stack;
  throw new InfraError({
    code: "TOOL-STACK-NAME",
    message: `"${stack}" is no name of a stack`,
    remedy: "use letters, digits, hyphens, underscores and dots",
  });
}

function readProject(folder: string): { name: string; configFolder: string } {
  const file = join(folder, "Pulumi.yaml");
  const project: unknown = existsSync(file) ? parse(readFileSync(file, "utf8")) : undefined;
  if (
    typeof project !== "object" ||
    project === null ||
    !("name" in project) ||
    typeof project.name !== "string"
  ) {
    throw new InfraError({
      code: "TOOL-NO-PROJECT",
      message: `no Pulumi.yaml with a name in ${folder}`,
      remedy: "go to your project's folder, or name it with --cwd",
    });
  }
  const folderName = "stackConfigDir" in project ? String(project.stackConfigDir) : ".";
  return { name: project.name, configFolder: resolve(folder, folderName) };
}

/** Made once. Whoever can read the state folder can read the stack's secrets: it is the user's own. */
function makePassphrase(state: string): string {
  const file = join(state, "passphrase");
  try {
    writeFileSync(file, `${randomBytes(24).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  return file;
}

function writePrivately(file: string, text: string): void {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, file);
}

function pulumiHome(environment: Environment): string {
  return join(cacheFolder(environment), "pulumi");
}

/** What of the caller's environment would send the engine elsewhere. */
const foreign =
  /^PULUMI_(STACK|CONFIG|CONFIG_SECRET_KEYS|NODEJS_.*|BACKEND_URL|ACCESS_TOKEN|HOME|CREDENTIALS_PATH)$/;

/** Where the stand-ins' programs are: beside this file, or in dist when this file runs from its source (in a test). */
const builtToolchain = existsSync(join(__dirname, "language-host.js"))
  ? __dirname
  : resolve(__dirname, "../../dist/infra/toolchain");

function engineEnvironment(from: {
  environment: Environment;
  tool: Tool;
  state: string;
  backend: string;
  passphrase: string;
  ownSecrets: boolean;
}): Environment {
  const env: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(from.environment)) if (!foreign.test(name)) env[name] = value;
  if (!from.ownSecrets) {
    env.PULUMI_CONFIG_PASSPHRASE = undefined;
    env.PULUMI_CONFIG_PASSPHRASE_FILE = from.passphrase;
  } else if (env.PULUMI_CONFIG_PASSPHRASE === undefined && env.PULUMI_CONFIG_PASSPHRASE_FILE === undefined) {
    throw new InfraError({
      code: "TOOL-PASSPHRASE",
      message: "the stack's configuration has secrets of its own (encryptionsalt or secretsprovider)",
      remedy: "set PULUMI_CONFIG_PASSPHRASE_FILE (for a key service: to an empty file)",
    });
  }
  // The Node that runs this also runs the program: a newer one than a plain `node` may be.
  const path = [dirname(process.execPath), from.environment.PATH, dirname(from.tool.path)];
  return {
    ...env,
    PATH: path.filter((folder) => folder !== undefined).join(delimiter),
    PULUMI_BACKEND_URL: backendUrl(from.backend),
    PULUMI_HOME: pulumiHome(from.environment),
    PULUMI_SKIP_UPDATE_CHECK: "true",
    // The program and its providers load the whole SDK at each run.
    NODE_COMPILE_CACHE: env.NODE_COMPILE_CACHE ?? join(cacheFolder(from.environment), "compiled"),
    // Where the official program cannot be had, plugins cannot either: say so at once.
    ...(from.tool.standIns ? { PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true" } : {}),
    DYNAMOS_FABRIC_NODE: process.execPath,
    DYNAMOS_FABRIC_TOOLCHAIN: builtToolchain,
    DYNAMOS_FABRIC_STATE: from.state,
  };
}

/**
 * The file backend without its files of attributes (`*.attrs`, gocloud's fileblob): unlike the state itself they are not replaced
 * at once, so that a run killed while one is written left a state that can no longer be read ("failed to load checkpoint: EOF").
 */
function backendUrl(folder: string): string {
  const url = pathToFileURL(folder);
  url.searchParams.set("metadata", "skip");
  return url.href;
}

/**
 * Makes the stack; answers its salt. `stack init` writes the salt into the project's own Pulumi.<stack>.yaml and takes no other
 * file, so it is run in a project folder made for it.
 */
async function makeStack(engine: Engine, text: string): Promise<string | undefined> {
  const folder = mkdtempSync(join(engine.state, "init-"));
  const name = `Pulumi.${engine.stack}.yaml`;
  try {
    writeFileSync(join(folder, "Pulumi.yaml"), `name: ${engine.projectName}\nruntime: nodejs\n`);
    writeFileSync(join(folder, name), text);
    const args = ["stack", "init", engine.stack, "--no-select", "--non-interactive", "--color", "never"];
    const init = await execute(engine.tool.path, args, { cwd: folder, env: engine.env });
    if (init.code !== 0 && !/already exists/.test(init.stderr)) {
      throw new InfraError({
        code: "TOOL-ENGINE",
        message: `the stack ${engine.stack} could not be made (${init.stderr.trim().replace(/^error: /, "")})`,
        remedy: `remove ${engine.state} if nothing of the stack runs, and run the same command again`,
      });
    }
    return saltOf(readFileSync(join(folder, name), "utf8"), name);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
