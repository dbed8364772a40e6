/** Images that a cluster itself runs, where no registry is: built from this machine's programs, once, into the cache. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheFolder } from "../../infra/toolchain/cache.js";
import { withLock } from "../../infra/toolchain/file-lock.js";
import { ImageWork } from "./image-work.js";
import { corednsVersion } from "./programs.js";

/** What holds a pod's namespaces: it waits, and takes in orphans of the pod. */
const pauseSource = `#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(int s) { (void)s; _exit(0); }
static void reap(int s) { (void)s; while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) {
  signal(SIGINT, end);
  signal(SIGTERM, end);
  signal(SIGCHLD, reap);
  for (;;) pause();
}
`;

/** The folder of \`pause.tar\` and \`coredns.tar\`: \`localhost/lab/NAME:1\`. */
export async function clusterImages(coredns: string): Promise<string> {
  const unit = join(cacheFolder(), `kubernetes-images-${corednsVersion}`);
  if (existsSync(unit)) return unit;
  await withLock(join(cacheFolder(), "locks", "kubernetes-images"), async () => {
    if (existsSync(unit)) return;
    const work = mkdtempSync(join(tmpdir(), "lab-images-"));
    const images = await ImageWork.open(work);
    try {
      const out = join(work, "out");
      mkdirSync(out);
      const pause = join(work, "pause");
      mkdirSync(pause);
      writeFileSync(join(work, "pause.c"), pauseSource);
      execFileSync("cc", ["-Os", "-static", "-s", "-o", join(pause, "pause"), join(work, "pause.c")]);
      await images.save(
        "localhost/lab/pause:1",
        pause,
        ["USER 65535:65535", 'ENTRYPOINT ["/pause"]'],
        join(out, "pause.tar"),
      );
      const dns = join(work, "coredns");
      mkdirSync(dns);
      copyFileSync(join(coredns, "coredns"), join(dns, "coredns"));
      chmodSync(join(dns, "coredns"), 0o755);
      await images.save(
        "localhost/lab/coredns:1",
        dns,
        ['ENTRYPOINT ["/coredns"]'],
        join(out, "coredns.tar"),
      );
      execFileSync("cp", ["-r", out, `${unit}.new`]);
      renameSync(`${unit}.new`, unit);
    } finally {
      await images.close();
      rmSync(work, { recursive: true, force: true });
    }
  });
  return unit;
}
