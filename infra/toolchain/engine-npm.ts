import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "./cache.js";
import { execute } from "./execute.js";
import type { Step } from "./progress.js";

/** The official npm package `pulumi`: a small script that fetches the command-line program with all its plugins. */
export const engineNpmVersion = "3.265.0";

/**
 * Installs the official engine into `folder` (`bin/`). Answers `undefined` when done, else in few words why it could not be,
 * which is no error: there are other roads.
 */
export async function downloadEngine(
  folder: string,
  env: Environment,
  step: Step,
): Promise<string | undefined> {
  const home = join(folder, "download");
  mkdirSync(home, { recursive: true });
  const npm = await execute(
    "npm",
    [
      "install",
      "--prefix",
      home,
      "--no-audit",
      "--no-fund",
      "--no-save",
      "--loglevel=error",
      `pulumi@${engineNpmVersion}`,
    ],
    { cwd: home, env, timeoutMs: 60_000 },
  );
  if (npm.code !== 0) return npm.code === 124 ? "npm took over 60 s" : "npm could not fetch it";
  step.update("fetching the official program");
  // Its first step is one small request; Node gives up on a host that does not answer after 10 s.
  const run = await execute(process.execPath, [join(home, "node_modules", "pulumi", "run.js"), "version"], {
    cwd: home,
    env: { ...env, PULUMI_HOME: home },
    timeoutMs: 600_000,
  });
  const bin = join(home, "versions", engineNpmVersion, "bin");
  if (run.code !== 0 || !existsSync(join(bin, "pulumi"))) {
    return run.code === 124 ? "its download took over 10 minutes" : "its download site cannot be reached";
  }
  renameSync(bin, join(folder, "bin"));
  rmSync(home, { recursive: true, force: true });
  return undefined;
}
