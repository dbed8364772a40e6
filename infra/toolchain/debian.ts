import { chmodSync, globSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { InfraError } from "../problem.js";
import type { Environment } from "./cache.js";
import { type Executed, execute } from "./execute.js";
import type { Step } from "./progress.js";

/** Programs that are unpacked together. */
export interface PackageSet {
  /** What is wanted; the packages they need are found by apt itself. */
  readonly wanted: readonly string[];
  /** For messages, e.g. `the broker and the store`. */
  readonly label: string;
  /** What a person installs instead. */
  readonly instead: string;
  /** Name of a program in `bin` to the last line of its launcher. */
  readonly launchers: Readonly<Record<string, string>>;
}

/**
 * Which of the packages that apt would install on an empty system are unpacked: what is asked for, all of Erlang, and
 * libraries that this system has not got. The C library and the like are always there and must stay the system's own.
 */
export function packagesToUnpack(
  simulation: string,
  installed: ReadonlySet<string>,
  wanted: readonly string[] = serverPackages.wanted,
): string[] {
  const all = simulation
    .split("\n")
    .flatMap((line) => /^Inst (\S+)/.exec(line)?.[1] ?? [])
    .map((name) => name.replace(/:.*$/, ""));
  const needed = (name: string): boolean =>
    wanted.includes(name) || name.startsWith("erlang-") || (name.startsWith("lib") && !installed.has(name));
  return [...new Set(all)].filter(needed).sort();
}

/** Programs made runnable from where they were unpacked: Debian's own scripts name folders of the system. */
export const serverPackages: PackageSet = {
  wanted: ["rabbitmq-server", "etcd-server", "etcd-client"],
  label: "the broker and the store",
  instead: "rabbitmq-server and etcd",
  launchers: {
    erl: 'exec "$BINDIR/erlexec" "$@"',
    epmd: 'exec "$BINDIR/epmd" "$@"',
    etcd: 'exec "$root/usr/bin/etcd" "$@"',
    etcdctl: 'exec "$root/usr/bin/etcdctl" "$@"',
    "rabbitmq-server": 'exec "$rabbit/rabbitmq-server" "$@"',
    rabbitmqctl: 'exec "$rabbit/rabbitmqctl" "$@"',
    "rabbitmq-diagnostics": 'exec "$rabbit/rabbitmq-diagnostics" "$@"',
  },
};

/** OpenSSH, for the emulator's hosts. From 9.8 on its server runs helpers whose place is compiled in: they are named anew. */
export const sshPackages: PackageSet = {
  wanted: ["openssh-server", "openssh-client", "openssh-sftp-server"],
  label: "OpenSSH",
  instead: "openssh-client and openssh-server",
  launchers: {
    ssh: 'exec "$root/usr/bin/ssh" "$@"',
    sshd: `for helper in auth:SshdAuthPath session:SshdSessionPath; do
  found="$root/usr/lib/openssh/sshd-\${helper%%:*}"
  if [ -x "$found" ]; then set -- -o "\${helper#*:}="$found"" "$@"; fi
done
exec "$root/usr/sbin/sshd" "$@"`,
    "sftp-server": 'exec "$root/usr/lib/openssh/sftp-server" "$@"',
  },
};

/** Builds images without a daemon. */
export const buildahPackages: PackageSet = {
  wanted: ["buildah"],
  label: "buildah",
  instead: "docker, podman or buildah",
  launchers: { buildah: 'exec "$root/usr/bin/buildah" "$@"' },
};

const preamble = `#!/bin/sh
# Made by dynamos-fabric: runs an unpacked Debian package; nothing of it is installed on this system.
bin=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$bin/../root")
for found in "$root"/usr/lib/erlang/erts-*/bin; do BINDIR=$found; done
for found in "$root"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin; do rabbit=$found; done
for found in "$root"/usr/lib/*-linux-gnu* "$root"/lib/*-linux-gnu*; do
  if [ -d "$found" ]; then LD_LIBRARY_PATH=$found\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; fi
done
ROOTDIR="$root/usr/lib/erlang" EMU=beam PROGNAME=erl PATH="$bin:$PATH"
export ROOTDIR BINDIR EMU PROGNAME LD_LIBRARY_PATH PATH
`;

/** RabbitMQ's script `rabbitmq-env` for a folder with a space in its path: it leaves its own place unquoted. */
export function quotePaths(script: string): string {
  return script
    .replace("`dirname $SCRIPT_PATH`", '`dirname "$SCRIPT_PATH"`')
    .replace(/`readlink( -f)? \$SCRIPT_PATH/g, '`readlink$1 "$SCRIPT_PATH"')
    .replace(
      /\. \$\{RABBITMQ_SCRIPTS_DIR\}\/rabbitmq-defaults/,
      `. "\${RABBITMQ_SCRIPTS_DIR}/rabbitmq-defaults"`,
    );
}

/**
 * Unpacks Debian's (or Ubuntu's) packages, with what they need, into `folder` (`root/`, `bin/`). Needs no root and
 * changes nothing of the system: apt keeps its lists, its cache and its idea of what is installed in a folder of ours.
 */
export async function unpackPackages(
  folder: string,
  packages: PackageSet,
  env: Environment,
  step: Step,
): Promise<void> {
  const { wanted, label } = packages;
  const aptProblem = (message: string, run: Executed): InfraError => problemOf(message, packages, run);
  const work = join(folder, "apt");
  const root = join(folder, "root");
  const bin = join(folder, "bin");
  for (const dir of ["lists/partial", "archives/partial", "state", "debs"]) {
    mkdirSync(join(work, dir), { recursive: true });
  }
  mkdirSync(root);
  mkdirSync(bin);
  writeFileSync(join(work, "state", "status"), "");
  const apt = async (args: readonly string[]): Promise<Executed> =>
    await execute("apt-get", [...aptOptions(work), ...args], {
      cwd: join(work, "debs"),
      env: { ...env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
      timeoutMs: 600_000,
    });

  step.update("reading the package lists");
  // One of several sources may well be out of reach: what counts is whether the packages are found.
  const update = await apt(["update"]);
  const simulation = await apt(["install", "--simulate", "--no-install-recommends", ...wanted]);
  if (simulation.code !== 0) {
    if (unreachable.test(update.stderr)) throw aptProblem("the package lists could not be read", update);
    throw aptProblem(`${label}: not among this system's packages`, simulation);
  }
  const names = packagesToUnpack(simulation.stdout, await installedPackages(env), wanted);
  step.update(`fetching ${names.length} packages`);
  const download = await apt(["download", ...names]);
  if (download.code !== 0) throw aptProblem("the packages could not be fetched", download);

  for (const [i, file] of readdirSync(join(work, "debs")).entries()) {
    step.update(`unpacking ${i + 1} of ${names.length}`);
    const unpacked = await execute("dpkg", ["-x", join(work, "debs", file), root], { env });
    if (unpacked.code !== 0) throw aptProblem(`${file} could not be unpacked`, unpacked);
  }
  for (const script of globSync(join(root, "usr/lib/rabbitmq/lib/*/sbin/rabbitmq-env"))) {
    writeFileSync(script, quotePaths(readFileSync(script, "utf8")));
  }
  for (const [name, line] of Object.entries(packages.launchers)) {
    writeFileSync(join(bin, name), `${preamble}${line}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  rmSync(work, { recursive: true, force: true });
}

/** apt.conf(5): every folder that apt writes to becomes one below `work`; the sources and their keys stay the system's. */
function aptOptions(work: string): string[] {
  const settings: Record<string, string> = {
    "Dir::State": join(work, "state"),
    "Dir::State::Lists": join(work, "lists"),
    "Dir::State::status": join(work, "state", "status"),
    "Dir::State::extended_states": join(work, "state", "extended_states"),
    "Dir::Cache": join(work, "archives"),
    "Dir::Cache::Archives": join(work, "archives"),
    "Dir::Log": join(work, "state"),
    // As root, apt would fetch as a user that may not enter our folder.
    "APT::Sandbox::User": userInfo().username,
    "APT::Get::List-Cleanup": "0",
    "Acquire::Languages": "none",
    "Acquire::Retries": "2",
    "Acquire::http::Timeout": "15",
    "Acquire::https::Timeout": "15",
    "DPkg::Post-Invoke": "",
    "APT::Update::Post-Invoke": "",
    "APT::Update::Post-Invoke-Success": "",
  };
  return Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
}

async function installedPackages(env: Environment): Promise<Set<string>> {
  const list = await execute("dpkg-query", ["-W", "-f", `\${db:Status-Status} \${Package}\\n`], { env });
  return new Set(list.stdout.split("\n").flatMap((line) => /^installed (\S+)$/.exec(line)?.[1] ?? []));
}

const unreachable =
  /Could not (resolve|connect)|Temporary failure|Connection (failed|timed out)|Network is unreachable/;

function problemOf(message: string, packages: PackageSet, run: Executed): InfraError {
  const lines = run.stderr.split("\n").filter((line) => /^(E|Err|W):/.test(line));
  const detail = (
    lines.find((line) => line.startsWith("E:")) ??
    lines[0] ??
    run.stderr.trim().split("\n").at(-1) ??
    ""
  ).trim();
  if (run.code === 124 || unreachable.test(run.stderr)) {
    return new InfraError({
      code: "TOOL-NO-NETWORK",
      message: `${message}: the package mirror cannot be reached (${detail})`,
      remedy: "connect this machine and run the same command again",
    });
  }
  return new InfraError({
    code: "TOOL-PACKAGES",
    message: `${message} (${detail})`,
    remedy: `install ${packages.instead} yourself, so that they are on PATH, and run the same command again`,
  });
}
