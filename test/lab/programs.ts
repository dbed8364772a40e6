/** What Kubespray would download for a cluster, from where this machine can have it: Go modules and Debian's packages. Built or unpacked once, cached. */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "../../infra/toolchain/cache.js";
import { type PackageSet, unpackPackages } from "../../infra/toolchain/debian.js";
import { withLock } from "../../infra/toolchain/file-lock.js";
import { silentProgress } from "../../infra/toolchain/progress.js";
import { ensure } from "../../infra/toolchain/tools.js";
import { goPrograms } from "../support/go-programs.js";
import { kubernetesBinaries, kubernetesCommands } from "../support/kubernetes-binaries.js";

export const flannelVersion = "0.28.4";
export const corednsVersion = "1.14.3";

/** Folders of the cluster's programs. Every emulated host sees the cache under its own path. */
export interface ClusterPrograms {
  readonly kubernetes: string;
  readonly flannel: string;
  readonly coredns: string;
  /** containerd, ctr, runc, iptables. */
  readonly node: string;
  /** bridge, host-local, portmap, loopback. */
  readonly cni: string;
  /** etcd, which Kubernetes keeps its objects in. */
  readonly store: string;
}

/** Minutes the first time. */
export async function clusterPrograms(say: (text: string) => void = () => {}): Promise<ClusterPrograms> {
  // The small ones first: what is missing on this machine is said soon.
  const { bin: node, root } = await nodePackages();
  const store = (await ensure(["etcd"])).etcd.path;
  say("containerd, runc, iptables, etcd: Debian's packages, unpacked only");
  const kubernetes = await kubernetesBinaries(kubernetesCommands);
  say("Kubernetes: built from its Go modules");
  const [flanneld, dns] = [await flannel(), await coredns()];
  say("Flannel and CoreDNS: built from their Go modules");
  const cni = join(root, "usr/lib/cni");
  return { kubernetes, flannel: flanneld, coredns: dns, node, cni, store: join(store, "..") };
}

/** Flannel's daemon, static. It only builds with one of its clouds' libraries raised. */
async function flannel(): Promise<string> {
  return await goPrograms({
    unit: `flannel-${flannelVersion}`,
    packages: { flanneld: "github.com/flannel-io/flannel" },
    requirements: async () => [
      `require github.com/flannel-io/flannel v${flannelVersion}`,
      "require github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common v1.3.210",
    ],
    linkerFlags: `-X github.com/flannel-io/flannel/pkg/version.Version=v${flannelVersion}`,
    c: true,
  });
}

async function coredns(): Promise<string> {
  return await goPrograms({
    unit: `coredns-${corednsVersion}`,
    packages: { coredns: "github.com/coredns/coredns" },
    requirements: async () => [`require github.com/coredns/coredns v${corednsVersion}`],
  });
}

/** iptables is one program that does what the first word says; its extensions are found by a variable. */
const iptables = (name: string): readonly [string, string] => [
  name,
  `for found in "$root"/usr/lib/*-linux-gnu*/xtables; do XTABLES_LIBDIR=$found; done
export XTABLES_LIBDIR
exec "$root/usr/sbin/xtables-legacy-multi" ${name} "$@"`,
];

const program = (name: string, path = `usr/bin/${name}`): readonly [string, string] => [
  name,
  `exec "$root/${path}" "$@"`,
];

const packages: PackageSet = {
  wanted: ["containerd", "runc", "containernetworking-plugins", "iptables"],
  label: "the container runtime",
  instead: "containerd, runc, containernetworking-plugins and iptables",
  launchers: Object.fromEntries([
    program("containerd"),
    program("ctr"),
    program("runc", "usr/sbin/runc"),
    ...["iptables", "iptables-save", "iptables-restore"].map(iptables),
    ...["ip6tables", "ip6tables-save", "ip6tables-restore"].map(iptables),
  ]),
};

async function nodePackages(): Promise<{ readonly bin: string; readonly root: string }> {
  const unit = join(cacheFolder(), "kubernetes-node");
  const there = { bin: join(unit, "bin"), root: join(unit, "root") };
  if (existsSync(unit)) return there;
  mkdirSync(cacheFolder(), { recursive: true });
  await withLock(join(cacheFolder(), "locks", "kubernetes-node"), async () => {
    if (existsSync(unit)) return;
    const work = `${unit}.new`;
    rmSync(work, { recursive: true, force: true });
    mkdirSync(work);
    const step = silentProgress.step(packages.label);
    await unpackPackages(work, packages, process.env, step);
    renameSync(work, unit);
  });
  return there;
}
