import { execFile } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheFolder } from "../../../infra/toolchain/cache.js";

const run = promisify(execFile);

/** What FABRIC's own servers run on: the version this library writes for. */
const packageVersion = "fabric-fim==2.0.0";

/** The Python of a virtual environment with fabric-fim, made on first use in the cache that `clean` removes. */
export async function fimPython(): Promise<string> {
  const folder = join(cacheFolder(), "venv-fim");
  const python = join(folder, "bin", "python");
  const done = join(folder, "complete");
  if (existsSync(done)) return python;
  rmSync(folder, { recursive: true, force: true });
  await run("python3", ["-m", "venv", folder]);
  await run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", packageVersion]);
  writeFileSync(done, `${packageVersion}\n`);
  return python;
}
