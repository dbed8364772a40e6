/** Hosts on this machine's loopback addresses: for anybody, everywhere. A node is an SSH server with a folder of its own; all else is the machine's. */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { InfraError } from "../../problem.js";
import { shellWord } from "../../shell-word.js";
import { execute } from "../../toolchain/execute.js";
import {
  type AdapterOptions,
  bastionLogin,
  type HostAdapter,
  hostMark,
  markOfHost,
  ownLogin,
} from "./hosts-adapter.js";
import { loopbackRange, sharedLoopback } from "./hosts-addresses.js";
import { type Door, type Doorkeeper, openDoor } from "./hosts-door.js";
import { authorizedKeys, type HostFiles, writeHostFiles } from "./hosts-files.js";
import type { DesiredHost } from "./hosts-plan.js";
import { endMarked, hostEnvironment } from "./hosts-processes.js";
import {
  hostsFileFor,
  loopbackScript,
  passwdFor,
  sessionScript,
  sshdConfig,
  sudoScript,
} from "./hosts-sshd.js";

interface Running {
  readonly door: Door;
  readonly login: string;
  readonly reboot: string | undefined;
}

/** @throws InfraError `FAB-EMU-HOSTS` where sshd cannot run */
export async function loopbackHosts(options: AdapterOptions): Promise<HostAdapter> {
  const rooted = await isRooted();
  const one = process.platform !== "linux";
  const addresses = one ? ("shared" as const) : loopbackRange(options.folder);
  const running = new Map<string, Running>();
  let bastion: Door | undefined;

  const folderOf = (id: string): string => join(options.folder, "nodes", id);
  const portsFor = (folder: string): number[] => {
    const last = Number(readOptional(join(folder, "port")));
    // FABRIC's clients know no port but 22: it is taken wherever this machine allows it.
    return [...(one ? [] : [22]), ...(last > 0 ? [last] : []), 0];
  };
  const keeper = (folder: string, id: string, name: string): Doorkeeper => {
    const mark = { [hostMark]: markOfHost(options.folder, id) };
    const log = join(folder, "sshd.log");
    if (!rooted) {
      const config = join(folder, "sshd_config");
      return { command: [options.sshd, "-i", "-e", "-f", config], env: hostEnvironment(mark), log };
    }
    return {
      command: ["unshare", "--mount", "--uts", "sh", "-c", loopbackScript],
      env: hostEnvironment({ ...mark, NODE: folder, HOST: name.slice(0, 63), SSHD: options.sshd }),
      log,
    };
  };
  const open = async (folder: string, address: string, id: string, name: string): Promise<Door> => {
    const door = await openDoor(address, portsFor(folder), () => keeper(folder, id, name));
    writeHostFiles(folder, { port: `${door.port}\n` });
    return door;
  };

  return {
    addresses,
    logins: rooted ? "root under the image's name" : "own user",
    start: async () => {
      const folder = join(options.folder, "bastion");
      const user = rooted ? bastionLogin : ownLogin();
      const host = one ? sharedLoopback : loopbackRange(options.folder).bastion;
      writeHostFiles(folder, bastionFiles(folder, user, options.bastionKeys));
      bastion = await open(folder, host, "bastion", "bastion");
      return { host, port: bastion.port, user };
    },
    networks: async () => {}, // the machine's loopback is all there is
    up: async (host) => {
      const folder = folderOf(host.id);
      const before = running.get(host.id);
      if (before !== undefined && before.reboot !== host.reboot) await endSessions(options.folder, host.id);
      const login = rooted ? host.login : ownLogin();
      writeHostFiles(folder, nodeFiles(folder, host, login, rooted, options));
      const door = before?.door ?? (await open(folder, host.address, host.id, host.name));
      running.set(host.id, { door, login, reboot: host.reboot });
      return { address: host.address, port: door.port, user: login };
    },
    down: async (id, keep) => {
      await running.get(id)?.door.close();
      running.delete(id);
      await endSessions(options.folder, id);
      if (!keep) rmSync(folderOf(id), { recursive: true, force: true, maxRetries: 5 });
    },
    close: async () => {
      await bastion?.close();
      for (const { door } of running.values()) await door.close();
      running.clear();
      await endMarked((mark) => mark.startsWith(markOfHost(options.folder, "")));
    },
  };
}

/** Files of a bastion: `folder` as its sshd sees it. */
export function bastionFiles(folder: string, login: string, keys: readonly string[]): HostFiles {
  return {
    authorized_keys: authorizedKeys(keys),
    passwd: passwdFor(systemPasswd(), login, join(folder, "home"), "/bin/sh"),
    sshd_config: sshdConfig({ folder, login, env: {}, forwardOnly: true }),
  };
}

function nodeFiles(
  folder: string,
  host: DesiredHost,
  login: string,
  rooted: boolean,
  options: AdapterOptions,
): HostFiles {
  const home = join(folder, "home");
  const marks = Object.entries(hostEnvironment({ [hostMark]: markOfHost(options.folder, host.id) })).filter(
    ([name]) => name !== "PATH" && name !== "LC_ALL",
  );
  const env = Object.fromEntries(marks);
  const keys = { authorized_keys: authorizedKeys(host.keys) };
  if (!rooted) {
    const session = join(folder, "bin", "session");
    return {
      ...keys,
      "bin/session": sessionScript(sftpServer(options)),
      sshd_config: sshdConfig({
        folder,
        login,
        env: { ...env, HOME: home },
        command: `exec ${shellWord(session)}`,
      }),
    };
  }
  const sudo = hasProgram("sudo") ? {} : { "bin/sudo": sudoScript };
  const path = `/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:${join(folder, "bin")}`;
  return {
    ...keys,
    ...sudo,
    passwd: passwdFor(systemPasswd(), login, home, shellOf()),
    hosts: hostsFileFor(host.name),
    sshd_config: sshdConfig({ folder, login, env: { ...env, PATH: path } }),
  };
}

async function endSessions(folder: string, id: string): Promise<void> {
  const mine = markOfHost(folder, id);
  await endMarked((mark) => mark === mine);
}

/**
 * Whether sshd runs as root, in a mount namespace with a passwd of its own: it wants a user and a folder that a machine without
 * openssh-server has not got.
 */
async function isRooted(): Promise<boolean> {
  if (process.platform !== "linux" || userInfo().uid !== 0) return false;
  const tried = await execute("unshare", ["--mount", "--uts", "true"], {
    env: hostEnvironment(),
    timeoutMs: 10_000,
  });
  if (tried.code === 0) return true;
  if (/^sshd:/m.test(systemPasswd()) && existsSync("/run/sshd")) return false;
  throw new InfraError({
    code: "FAB-EMU-HOSTS",
    message: `an SSH server cannot run here as root: no mount namespace can be made (${tried.stderr.trim()})`,
    remedy: "install openssh-server, or run as another user than root",
  });
}

export function systemPasswd(): string {
  return readFileSync("/etc/passwd", "utf8");
}

export function shellOf(): string {
  return existsSync("/bin/bash") ? "/bin/bash" : "/bin/sh";
}

export function hasProgram(name: string): boolean {
  return (hostEnvironment().PATH ?? "").split(":").some((folder) => existsSync(join(folder, name)));
}

/** Where systems keep it; Debian, Fedora, macOS, Alpine, and the cache. */
function sftpServer(options: AdapterOptions): string | undefined {
  const places = [
    "/usr/lib/openssh",
    "/usr/libexec/openssh",
    "/usr/libexec",
    "/usr/lib/ssh",
    join(options.sshd, ".."),
  ];
  return places.map((place) => join(place, "sftp-server")).find((path) => existsSync(path));
}

function readOptional(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined; // the first time there is none
  }
}

/** Makes the folder of all hosts; kept beside the adapters that fill it. */
export function prepareFolder(folder: string): void {
  mkdirSync(join(folder, "nodes"), { recursive: true, mode: 0o700 });
}
