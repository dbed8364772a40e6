import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InfraError } from "../problem.js";
import type { Environment } from "./cache.js";
import { execute } from "./execute.js";
import type { Step } from "./progress.js";

/** The newest engine that is served as a Go module. */
export const engineGoVersion = "3.259.0";
/** What that module's go.mod asks for. */
const leastGo = [1, 25, 11] as const;

/** `replace`: the fork that pulumi's own go.mod replaces it with; a replace of a dependency does not reach its users. */
const goModule = `module engine

go ${leastGo.join(".")}

require github.com/pulumi/pulumi/pkg/v3 v${engineGoVersion}

replace github.com/atotto/clipboard => github.com/tgummerer/clipboard v0.0.0-20241001131231-d02d263e614e
`;

/**
 * A line of sh that runs one of our own programs in place of a plugin that only the official command-line package brings.
 * It lies beside the engine, where the engine looks for these two; which clone's program it runs is in the environment.
 */
export const standIn = (program: string): string => `#!/bin/sh
# Made by dynamos-fabric. The official plugin is not to be had by this road.
exec "$DYNAMOS_FABRIC_NODE" "$DYNAMOS_FABRIC_TOOLCHAIN/${program}" "$@"
`;

/** Whether `go version`'s answer is new enough. */
export function goIsNewEnough(answer: string): boolean {
  const found = /\bgo(\d+)\.(\d+)(?:\.(\d+))?/.exec(answer);
  if (found === null) return false;
  const version = found.slice(1).map((part) => Number(part ?? 0));
  for (const [i, least] of leastGo.entries()) {
    const part = version[i] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
}

/** The command that brings a new Go, for the system at hand. */
export function goInstallCommand(platform: NodeJS.Platform): string {
  const version = leastGo.join(".");
  if (platform === "darwin") return "`brew install go`";
  return `\`sudo apt install golang-go\` (${version} or newer; with an older Go: \`go install golang.org/dl/go${version}@latest\`, then \`go${version} download\`)`;
}

/**
 * Builds the engine from its Go module into `folder` (`bin/pulumi` and the two stand-in plugins).
 *
 * @param scratch folder for Go's caches where the user has none; stays after a build that failed or was killed, so that the next goes on
 * from there, and is removed after one that did not
 */
export async function buildEngine(
  folder: string,
  scratch: string,
  env: Environment,
  step: Step,
): Promise<void> {
  const source = join(folder, "src");
  mkdirSync(source, { recursive: true });
  mkdirSync(join(folder, "bin"));
  await requireGo(env, source);
  writeFileSync(join(source, "go.mod"), goModule);
  const goEnv = { ...env, ...(await goCaches(scratch, env)) };
  const version = `-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v${engineGoVersion}`;
  const target = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi";
  let fetched = 0;
  let built = 0;
  const outcome = await execute(
    "go",
    [
      "build",
      "-v",
      "-mod=mod",
      "-modcacherw",
      "-ldflags",
      version,
      "-o",
      join(folder, "bin", "pulumi"),
      target,
    ],
    {
      cwd: source,
      env: goEnv,
      onLine: (line) => {
        if (line.startsWith("go: downloading")) fetched += 1;
        else built += 1;
        step.update(built === 0 ? `${fetched} modules fetched` : `${built} packages built`);
      },
    },
  );
  if (outcome.code !== 0) throw goProblem(outcome.stderr);
  const plugins = {
    "pulumi-language-nodejs": "language-host.js",
    "pulumi-resource-pulumi-nodejs": "dynamic-provider.js",
  };
  for (const [name, program] of Object.entries(plugins)) {
    writeFileSync(join(folder, "bin", name), standIn(program));
    chmodSync(join(folder, "bin", name), 0o755);
  }
  rmSync(source, { recursive: true, force: true });
  rmSync(scratch, { recursive: true, force: true });
}

async function requireGo(env: Environment, folder: string): Promise<void> {
  const answer = await execute("go", ["version"], { cwd: folder, env, timeoutMs: 30_000 });
  const remedy = `install it with ${goInstallCommand(process.platform)}, or install Pulumi`;
  if (answer.code !== 0) {
    throw new InfraError({
      code: "TOOL-GO-MISSING",
      message: `Pulumi's own download cannot be reached and there is no Go to build the engine with`,
      remedy,
    });
  }
  if (goIsNewEnough(answer.stdout)) return;
  // A Go since 1.21 fetches the toolchain that a module names, unless it is told not to.
  const toolchain = await execute("go", ["env", "GOTOOLCHAIN"], { cwd: folder, env, timeoutMs: 30_000 });
  if (toolchain.code === 0 && /^(auto|.*\+auto)$/.test(toolchain.stdout.trim())) return;
  throw new InfraError({
    code: "TOOL-GO-OLD",
    message: `the engine is built with Go ${leastGo.join(".")} or newer, here is ${answer.stdout.trim()}`,
    remedy,
  });
}

/** A user who works with Go has caches: they are used. Nobody else's home gets 3 GB of them: ours go when the build is done. */
async function goCaches(scratch: string, env: Environment): Promise<Record<string, string>> {
  const answer = await execute("go", ["env", "GOCACHE", "GOMODCACHE"], { env, timeoutMs: 30_000 });
  const [build, modules] = answer.stdout.split("\n");
  if (answer.code === 0 && build && modules && existsSync(build) && existsSync(modules)) return {};
  return {
    GOCACHE: join(scratch, "build"),
    GOMODCACHE: join(scratch, "mod"),
    GOPATH: join(scratch, "path"),
  };
}

const noNetwork =
  /dial tcp|no such host|network is unreachable|i\/o timeout|connection refused|TLS handshake|GOPROXY=off/;

function goProblem(stderr: string): InfraError {
  const last =
    stderr
      .trim()
      .split("\n")
      .filter((line) => !line.startsWith("go: downloading"))
      .at(-1) ?? "";
  if (noNetwork.test(stderr)) {
    return new InfraError({
      code: "TOOL-NO-NETWORK",
      message: `the Go module proxy cannot be reached (${last})`,
      remedy: "connect this machine (or set GOPROXY and HTTPS_PROXY) and run the same command again",
    });
  }
  return new InfraError({
    code: "TOOL-ENGINE-BUILD",
    message: `the engine could not be built: ${last}`,
    remedy: "install Pulumi from https://www.pulumi.com/docs/install and run the same command again",
  });
}
