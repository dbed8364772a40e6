import { execFile } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheFolder } from "../../infra/toolchain/cache.js";
import { withLock } from "../../infra/toolchain/file-lock.js";

const run = promisify(execFile);

/**
 * The folder of a virtual environment with some packages from PyPI, made on first use in the cache that `clean` removes.
 *
 * @param also more to make in it, once
 */
export async function pythonVenv(
  name: string,
  packages: readonly string[],
  also: (folder: string) => Promise<void> = async () => {},
): Promise<string> {
  const folder = join(cacheFolder(), name);
  const done = join(folder, "complete");
  return await withLock(join(cacheFolder(), "locks", name), async () => {
    if (existsSync(done)) return folder;
    rmSync(folder, { recursive: true, force: true });
    await run("python3", ["-m", "venv", folder]);
    const python = join(folder, "bin", "python");
    await run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...packages]);
    await also(folder);
    writeFileSync(done, `${packages.join("\n")}\n`);
    return folder;
  });
}
