import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InfraError } from "../problem.js";
import { cacheFolder, type Environment } from "./cache.js";
import { containerRuntime, writeLaunchers } from "./container.js";
import { buildahPackages, type PackageSet, serverPackages, sshPackages, unpackPackages } from "./debian.js";
import { buildEngine, engineGoVersion } from "./engine-go.js";
import { downloadEngine, engineNpmVersion } from "./engine-npm.js";
import { execute } from "./execute.js";
import { withLock } from "./file-lock.js";
import { cacheUnits, find, onPath, type ToolName } from "./locate.js";
import { type Progress, type Step, silentProgress } from "./progress.js";

export { locate, type ToolName } from "./locate.js";

/** A program that is there and how it came. */
export interface Tool {
  readonly name: ToolName;
  readonly path: string;
  /** In a few words, e.g. `on PATH` or `built from Go module v3.259.0`. */
  readonly road: string;
  /** Only for `pulumi`: its plugins for Node are our stand-ins, not the official ones. */
  readonly standIns: boolean;
}

type Unit = (typeof cacheUnits)[ToolName];
/** `unit.json` of a folder in the cache: how it was made. */
interface UnitRecord {
  readonly road: string;
  readonly standIns?: boolean;
}

const leastEngine = [3, 200] as const;

/**
 * Finds the named programs and installs those that are missing into the cache folder, each by the best road there is; says
 * in one line which. A failed install leaves nothing behind.
 *
 * @throws InfraError `TOOL-NO-NETWORK`, `TOOL-GO-MISSING`, `TOOL-GO-OLD`, `TOOL-ENGINE-BUILD`, `TOOL-PACKAGES`, `TOOL-IMAGE`,
 * `TOOL-NO-ROAD`, `TOOL-CACHE`
 */
export async function ensure<Name extends ToolName>(
  names: readonly Name[],
  progress: Progress = silentProgress,
  env: Environment = process.env,
): Promise<Record<Name, Tool>> {
  const tools: Partial<Record<ToolName, Tool>> = {};
  for (const name of names) {
    const there = await present(name, env);
    if (there !== undefined) {
      tools[name] = there;
      continue;
    }
    await install(cacheUnits[name], progress, env);
    const tool = inCache(name, env);
    if (tool === undefined) {
      throw new InfraError({
        code: "TOOL-NO-ROAD",
        message: `${name} is still missing after its install`,
        remedy: `remove ${cacheFolder(env)} and run the same command again`,
      });
    }
    tools[name] = tool;
  }
  return tools as Record<Name, Tool>;
}

async function present(name: ToolName, env: Environment): Promise<Tool | undefined> {
  const found = find(name, env);
  if (found?.where !== "PATH") return inCache(name, env);
  const tool: Tool = { name, path: found.path, road: "on PATH", standIns: false };
  if (name !== "pulumi") return tool;
  const version = await execute(found.path, ["version"], {
    env: { ...env, PULUMI_SKIP_UPDATE_CHECK: "true" },
  });
  return isNewEnough(version.stdout) ? tool : inCache(name, env);
}

/** Whether `pulumi version`'s answer is one that works with the SDK in use. */
export function isNewEnough(answer: string): boolean {
  const found = /^v?(\d+)\.(\d+)\./.exec(answer.trim());
  if (found === null) return false;
  const [major, minor] = [Number(found[1]), Number(found[2])];
  return major > leastEngine[0] || (major === leastEngine[0] && minor >= leastEngine[1]);
}

function inCache(name: ToolName, env: Environment): Tool | undefined {
  const unit = join(cacheFolder(env), cacheUnits[name]);
  const path = join(unit, "bin", name);
  const record = existsSync(path) ? readRecord(unit) : undefined;
  return record && { name, path, road: `in the cache, ${record.road}`, standIns: record.standIns === true };
}

function readRecord(unit: string): UnitRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(unit, "unit.json"), "utf8"));
  } catch {
    // Not one of ours, or of another version: made anew.
    return undefined;
  }
}

const labels: Readonly<Record<Unit, string>> = {
  engine: "engine",
  servers: "broker and store",
  openssh: "OpenSSH",
  buildah: "buildah",
};

async function install(unit: Unit, progress: Progress, env: Environment): Promise<void> {
  const cache = cacheFolder(env);
  const target = join(cache, unit);
  try {
    mkdirSync(join(cache, "locks"), { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new InfraError(
      {
        code: "TOOL-CACHE",
        message: `the cache folder ${cache} cannot be written`,
        remedy: "set DYNAMOS_FABRIC_CACHE to a folder of yours",
      },
      { cause },
    );
  }
  const label = labels[unit];
  const onWait = (): void => progress.line(`${label}: waiting for another process that installs the same`);
  await withLock(
    join(cache, "locks", unit),
    async () => {
      // Another process may have made it while this one waited.
      if (readRecord(target) !== undefined) return;
      // What a killed install left; nobody else works on it while the lock is ours.
      for (const name of readdirSync(cache)) {
        if (name.startsWith(`${unit}.new-`)) rmSync(join(cache, name), { recursive: true, force: true });
      }
      const work = join(cache, `${unit}.new-${randomBytes(4).toString("hex")}`);
      const started = Date.now();
      const step = progress.step(label);
      try {
        mkdirSync(work);
        const record =
          unit === "engine"
            ? await makeEngine(work, progress, env, step)
            : unit === "servers"
              ? await makeServers(work, env, step)
              : await makeUnpacked(work, unit === "openssh" ? sshPackages : buildahPackages, env, step);
        writeFileSync(join(work, "unit.json"), JSON.stringify(record));
        rmSync(target, { recursive: true, force: true });
        renameSync(work, target);
        step.done(`${label}: ${record.road} (${Math.round((Date.now() - started) / 1000)} s)`);
      } finally {
        step.done();
        rmSync(work, { recursive: true, force: true });
      }
    },
    onWait,
  );
}

async function makeEngine(
  work: string,
  progress: Progress,
  env: Environment,
  step: Step,
): Promise<UnitRecord> {
  step.update("asking for the official program");
  const problem = await downloadEngine(work, env, step);
  if (problem === undefined) return { road: `official Pulumi ${engineNpmVersion}` };
  progress.line(
    `engine: the official Pulumi is not to be had here (${problem}); building it from its Go module`,
  );
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work);
  await buildEngine(work, join(cacheFolder(env), "go"), env, step);
  return {
    road: `built from Go module v${engineGoVersion}, with our stand-ins for its Node plugins`,
    standIns: true,
  };
}

async function makeServers(work: string, env: Environment, step: Step): Promise<UnitRecord> {
  if (onPath("apt-get", env) !== undefined && onPath("dpkg", env) !== undefined) {
    await unpackPackages(work, serverPackages, env, step);
    return { road: "Debian packages, unpacked only" };
  }
  const runtime = await containerRuntime(env);
  if (runtime === undefined) {
    const command =
      process.platform === "darwin"
        ? "`brew install rabbitmq etcd`"
        : "your system's packages of rabbitmq-server and etcd";
    throw new InfraError({
      code: "TOOL-NO-ROAD",
      message: "no RabbitMQ and etcd on PATH, no apt-get and no container runtime that answers",
      remedy: `install them with ${command}, or start podman or docker`,
    });
  }
  await writeLaunchers(work, runtime, env, step);
  return { road: `containers, run by ${runtime}` };
}

async function makeUnpacked(
  work: string,
  packages: PackageSet,
  env: Environment,
  step: Step,
): Promise<UnitRecord> {
  if (onPath("apt-get", env) === undefined || onPath("dpkg", env) === undefined) {
    throw new InfraError({
      code: "TOOL-NO-ROAD",
      message: `no ${packages.label} on this machine, and no apt-get to fetch it with`,
      remedy: `install your system's packages of ${packages.instead}`,
    });
  }
  await unpackPackages(work, packages, env, step);
  return { road: "Debian packages, unpacked only" };
}
