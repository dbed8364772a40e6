/** Kubernetes' own control plane, built from its Go modules into the cache: minutes, once. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "../../infra/toolchain/cache.js";
import { withLock } from "../../infra/toolchain/file-lock.js";

const VERSION = "1.34.4";
const COMMANDS = ["kube-apiserver", "kube-controller-manager"] as const;

/** The folder that holds `kube-apiserver` and `kube-controller-manager`. */
export async function kubernetesBinaries(): Promise<string> {
  const unit = join(cacheFolder(), `kubernetes-${VERSION}`);
  const bin = join(unit, "bin");
  const there = (): boolean => COMMANDS.every((command) => existsSync(join(bin, command)));
  if (there()) return bin;
  mkdirSync(join(cacheFolder(), "locks"), { recursive: true });
  await withLock(join(cacheFolder(), "locks", "kubernetes"), async () => {
    if (there()) return;
    const work = `${unit}.new`;
    rmSync(work, { recursive: true, force: true });
    mkdirSync(join(work, "bin"), { recursive: true });
    build(work);
    rmSync(unit, { recursive: true, force: true });
    renameSync(work, unit);
  });
  return bin;
}

function build(folder: string): void {
  const go = (...args: string[]): string =>
    execFileSync("go", args, { cwd: folder, encoding: "utf8", env: { ...process.env, GOFLAGS: "-mod=mod" } });
  writeFileSync(join(folder, "go.mod"), "module control-plane\n\ngo 1.24.0\n");
  const { GoMod } = JSON.parse(go("mod", "download", "-json", `k8s.io/kubernetes@v${VERSION}`)) as {
    GoMod: string;
  };
  // Kubernetes names its own parts as v0.0.0: they are published as v0 of the same version.
  const staging = [...readFileSync(GoMod, "utf8").matchAll(/^\s*(k8s\.io\/[a-z-]+) v0\.0\.0\s*$/gm)].map(
    ([, name]) => `replace ${name} => ${name} v${VERSION.replace(/^1/, "0")}`,
  );
  writeFileSync(
    join(folder, "go.mod"),
    [
      "module control-plane",
      "go 1.24.0",
      `require k8s.io/kubernetes v${VERSION}`,
      ...staging,
      ...COMMANDS.map((command) => `tool k8s.io/kubernetes/cmd/${command}`),
      "",
    ].join("\n\n"),
  );
  go("mod", "tidy");
  const [major, minor] = VERSION.split(".");
  const flags = [
    "-s -w",
    ...["component-base", "client-go/pkg"].map((at) => `-X k8s.io/${at}/version.gitVersion=v${VERSION}`),
    `-X k8s.io/component-base/version.gitMajor=${major}`,
    `-X k8s.io/component-base/version.gitMinor=${minor}`,
  ].join(" ");
  go(
    "build",
    "-ldflags",
    flags,
    "-o",
    "bin/",
    ...COMMANDS.map((command) => `k8s.io/kubernetes/cmd/${command}`),
  );
}
