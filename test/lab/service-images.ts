/** The product's own images, by its own command's function. */
import { copyFileSync, cpSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { BASE_HERE } from "../../dynamos/images/base.js";
import { buildImages } from "../../dynamos/images/build.js";
import { LOCK_FILE } from "../../dynamos/images/lock.js";
import { sourcesHash } from "../../dynamos/images/sources.js";
import { cacheFolder } from "../../infra/toolchain/cache.js";
import { withLock } from "../../infra/toolchain/file-lock.js";
import { silentProgress } from "../../infra/toolchain/progress.js";

/**
 * Images of our services and of a project's microservices, with their lock, in the project: built when their sources have changed, which takes a minute
 * and a half.
 *
 * @returns the folder of their archives, in the cache
 */
export async function serviceImages(project: string, experiment: string): Promise<string> {
  const kept = join(cacheFolder(), "lab-images");
  const unit = join(kept, sourcesHash(join(project, experiment)));
  await withLock(join(cacheFolder(), "locks", "lab-images"), async () => {
    if (existsSync(unit)) return;
    rmSync(kept, { recursive: true, force: true });
    const save = join(project, "images");
    await buildImages({ project, experiment, base: BASE_HERE, save }, silentProgress);
    mkdirSync(kept, { recursive: true });
    cpSync(save, join(kept, "new"), { recursive: true });
    copyFileSync(join(project, LOCK_FILE), join(kept, "new", LOCK_FILE));
    renameSync(join(kept, "new"), unit);
    rmSync(save, { recursive: true });
  });
  symlinkSync(unit, join(project, "images"));
  copyFileSync(join(unit, LOCK_FILE), join(project, LOCK_FILE));
  return unit;
}
