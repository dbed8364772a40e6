/**
 * Hosts as network namespaces of their own (Linux, root): real cards with the MAC addresses that FABRIC's API tells, a switch for each network, a
 * router between the sites, and a management network apart from both. Every namespace is held by a process that dies with the emulator and has no name, so
 * the kernel itself clears up after a kill -9; nothing of the machine's own network is touched.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { InfraError } from "../../problem.js";
import { execute } from "../../toolchain/execute.js";
import {
  type AdapterOptions,
  bastionLogin,
  type HostAdapter,
  type HostFacts,
  hostMark,
  markOfHost,
} from "./hosts-adapter.js";
import { loopbackRange, managementRange } from "./hosts-addresses.js";
import { type Door, openDoor } from "./hosts-door.js";
import { authorizedKeys, type HostFiles, writeHostFiles } from "./hosts-files.js";
import { bastionFiles, hasProgram, shellOf, systemPasswd } from "./hosts-loopback.js";
import {
  bridgeLines,
  managementCard,
  managementLines,
  type PluggedCard,
  planCards,
  plugLines,
  wireLines,
} from "./hosts-network.js";
import type { DesiredHost, DesiredNetwork } from "./hosts-plan.js";
import { endMarked, firstLine, hostEnvironment, ipIn, signal } from "./hosts-processes.js";
import type { Management } from "./hosts-record.js";
import {
  hostsFileFor,
  insideCache,
  insideFolder,
  loopbackScript,
  nodeScript,
  passwdFor,
  sshdConfig,
  sudoScript,
} from "./hosts-sshd.js";
import { macOf } from "./place.js";

/** Milliseconds that a namespace or an SSH server may take to be there, on a machine that is busy. */
const startMs = 60_000;

/** The bastion's side of the management network. IPv6: FABRIC's own prefix, which the emulated broker takes addresses from. */
const managementNetwork = {
  ipv4: { gateway: managementRange.bastion, bits: 15 },
  ipv6: { gateway: "2001:400:a100::1", bits: 48 },
} as const;

const routerScript = `set -e
echo 1 >/proc/sys/net/ipv4/ip_forward
[ ! -e /proc/sys/net/ipv6 ] || echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
ip link set lo up
echo ready
exec cat >/dev/null
`;
const managementScript = "ip link set lo up; echo ready; exec cat >/dev/null";

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  /** Of the process that holds the namespaces. */
  readonly holder: number;
  /** Of the node's first process. */
  readonly pid: number;
  readonly reboot: string | undefined;
  cards: readonly PluggedCard[];
}

/** Why namespaces cannot be had here; undefined when they can. */
export async function namespacesProblem(): Promise<string | undefined> {
  if (process.platform !== "linux") return "they are Linux's";
  if (userInfo().uid !== 0) return "they need root";
  const missing = ["unshare", "nsenter", "setpriv", "mount", "ip"].filter((name) => !hasProgram(name));
  if (missing.length > 0) return `${missing.join(", ")} missing (packages util-linux and iproute2)`;
  const script =
    "mount -t proc proc /proc && ip link add name br0 type bridge && ip link add name ve0 type veth peer name ve1";
  const tried = await execute(
    "unshare",
    ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "sh", "-c", script],
    {
      env: hostEnvironment(),
      timeoutMs: 20_000,
    },
  );
  return tried.code === 0 ? undefined : tried.stderr.trim() || `unshare ended with ${tried.code}`;
}

/** @throws InfraError `FAB-EMU-HOSTS` where namespaces cannot be had */
export async function namespaceHosts(
  options: AdapterOptions & { readonly management: Management },
): Promise<HostAdapter> {
  const problem = await namespacesProblem();
  if (problem !== undefined) {
    throw new InfraError({
      code: "FAB-EMU-HOSTS",
      message: `no network namespaces here: ${problem}`,
      remedy: "run as root on Linux, or use --hosts loopback",
    });
  }
  return new Namespaces(options);
}

class Namespaces implements HostAdapter {
  readonly addresses;
  readonly logins = "root under the image's name";
  readonly #options: AdapterOptions & { readonly management: Management };
  readonly #running = new Map<string, Running>();
  /** Network to its bridge. */
  readonly #bridges = new Map<string, string>();
  #counter = 0;
  #router: Running | undefined;
  #management: Running | undefined;
  #bastion: Door | undefined;

  constructor(options: AdapterOptions & { readonly management: Management }) {
    this.#options = options;
    this.addresses = options.management === "ipv4" ? managementRange : undefined;
  }

  async start(): Promise<{ host: string; port: number; user: string }> {
    const { folder, bastionKeys, management, sshd } = this.#options;
    [this.#router, this.#management] = await Promise.all([
      this.#hold("router", join(folder, "router"), ["--net"], routerScript, {}),
      this.#hold("management", join(folder, "management"), ["--net"], managementScript, {}),
    ]);
    const { gateway, bits } = managementNetwork[management];
    await ipIn(this.#management.holder, bridgeLines("mgmt", [`${gateway}/${bits}`]));
    const place = join(folder, "bastion");
    writeHostFiles(place, bastionFiles(place, bastionLogin, bastionKeys));
    const host = loopbackRange(folder).bastion;
    const holder = this.#management.holder;
    // The connection comes in from this machine's loopback; what sshd opens for it is in the management network.
    this.#bastion = await openDoor(host, [22, 0], () => ({
      command: [
        "nsenter",
        `--net=/proc/${holder}/ns/net`,
        "unshare",
        "--mount",
        "--uts",
        "sh",
        "-c",
        loopbackScript,
      ],
      env: hostEnvironment({
        [hostMark]: markOfHost(folder, "bastion"),
        NODE: place,
        HOST: "bastion",
        SSHD: sshd,
      }),
      log: join(place, "sshd.log"),
    }));
    return { host, port: this.#bastion.port, user: bastionLogin };
  }

  async networks(networks: readonly DesiredNetwork[]): Promise<void> {
    const wanted = new Set(networks.map((n) => n.id));
    const lines: string[] = [];
    for (const [id, bridge] of this.#bridges) {
      if (wanted.has(id)) continue;
      lines.push(`link del dev ${bridge}`);
      this.#bridges.delete(id);
    }
    for (const network of networks) {
      if (this.#bridges.has(network.id)) continue;
      const bridge = this.#name("b");
      lines.push(...bridgeLines(bridge, network.gateways));
      this.#bridges.set(network.id, bridge);
    }
    await ipIn(this.#routerPid(), lines);
  }

  async up(host: DesiredHost): Promise<HostFacts> {
    const before = this.#running.get(host.id);
    if (before !== undefined && before.reboot !== host.reboot) await this.down(host.id, true);
    writeHostFiles(this.#folderOf(host.id), this.#filesOf(host));
    const node = this.#running.get(host.id) ?? (await this.#boot(host));
    await this.#plug(node, host);
    return {
      address: host.address,
      port: 22,
      user: host.login,
      pid: node.pid,
      cards: Object.fromEntries(node.cards.map((card) => [card.name, card.mac])),
    };
  }

  async down(id: string, keep: boolean): Promise<void> {
    const node = this.#running.get(id);
    this.#running.delete(id);
    if (node !== undefined) await end(node);
    if (!keep) rmSync(this.#folderOf(id), { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }

  async close(): Promise<void> {
    await this.#bastion?.close();
    await Promise.all([...this.#running.keys()].map((id) => this.down(id, true)));
    for (const holder of [this.#router, this.#management]) if (holder !== undefined) await end(holder);
    await endMarked((mark) => mark.startsWith(markOfHost(this.#options.folder, "")));
  }

  async #boot(host: DesiredHost): Promise<Running> {
    const { sshd, cache, management } = this.#options;
    const inside = sshd.startsWith(`${cache}/`) ? insideCache + sshd.slice(cache.length) : sshd;
    const env = { HOST: host.name.slice(0, 63), LOGIN: host.login, SSHD: inside, CACHE: cache };
    const flags = ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child=KILL"];
    const node = await this.#hold(host.id, this.#folderOf(host.id), flags, nodeScript, env, host.reboot);
    this.#running.set(host.id, node);
    void node.ended.then(() => {
      if (this.#running.get(host.id) !== node) return;
      this.#running.delete(host.id);
      this.#options.onEnd(host.id, "its first process ended");
    });
    try {
      const { gateway, bits } = managementNetwork[management];
      const mac = macOf(host.id).toLowerCase();
      const card = { mac, name: managementCard, link: this.#name("m") };
      await ipIn(this.#managementPid(), plugLines(card, node.holder, "mgmt"));
      await ipIn(node.holder, managementLines(`${host.address}/${bits}`, gateway));
      await listening(node);
    } catch (error) {
      this.#running.delete(host.id);
      await end(node);
      throw error;
    }
    return node;
  }

  async #plug(node: Running, host: DesiredHost): Promise<void> {
    const change = planCards(node.cards, host.cards, () => this.#name("v"));
    const bridgeOf = (card: PluggedCard) =>
      card.network === undefined ? undefined : this.#bridges.get(card.network);
    await ipIn(this.#routerPid(), [
      ...change.remove.map((card) => `link del dev ${card.link}`),
      ...change.add.flatMap((card) => plugLines(card, node.holder, bridgeOf(card))),
      // also those that stayed: their network may have been made anew
      ...change.move.flatMap((card) => wireLines(card, bridgeOf(card))),
    ]);
    node.cards = change.cards;
  }

  /** Starts the process that holds namespaces, which dies when this one does. */
  async #hold(
    id: string,
    place: string,
    flags: readonly string[],
    script: string,
    env: Readonly<Record<string, string>>,
    reboot?: string,
  ): Promise<Running> {
    const { folder } = this.#options;
    writeHostFiles(place, {});
    const log = openSync(join(place, "console.log"), "a", 0o600);
    try {
      const child = spawn("setpriv", ["--pdeathsig", "KILL", "unshare", ...flags, "sh", "-c", script], {
        // standard input: a holder that reads it ends with us in any case
        stdio: ["pipe", "pipe", log],
        detached: true, // a terminal's Ctrl-C is for the emulator, which ends its hosts in order
        env: hostEnvironment({ ...env, NODE: place, [hostMark]: markOfHost(folder, id) }),
      });
      const ended = new Promise<void>((done) => {
        child.once("error", () => done());
        child.once("exit", () => done());
      });
      child.stdin?.on("error", () => undefined);
      let line: string;
      try {
        line = await firstLine(child, startMs);
      } catch (error) {
        if (child.pid !== undefined) signal(child.pid, "SIGKILL");
        throw new Error(`${(error as Error).message}: ${lastLine(join(place, "console.log"))}`, {
          cause: error,
        });
      }
      child.stdout?.resume();
      const holder = child.pid ?? 0;
      return {
        child,
        ended,
        holder,
        pid: Number(/^started (\d+)$/.exec(line)?.[1] ?? holder),
        reboot,
        cards: [],
      };
    } finally {
      closeSync(log);
    }
  }

  #filesOf(host: DesiredHost): HostFiles {
    const mark = { [hostMark]: markOfHost(this.#options.folder, host.id) };
    return {
      ...(hasProgram("sudo") ? {} : { "bin/sudo": sudoScript }),
      authorized_keys: authorizedKeys(host.keys),
      hosts: hostsFileFor(host.name),
      passwd: passwdFor(systemPasswd(), host.login, `/home/${host.login}`, shellOf()),
      sshd_config: sshdConfig({ folder: insideFolder, login: host.login, env: mark, homeKeys: true }),
    };
  }

  #folderOf(id: string): string {
    return join(this.#options.folder, "nodes", id);
  }

  #name(kind: string): string {
    return `${kind}${this.#counter++}`;
  }

  #routerPid(): number {
    return this.#router?.holder ?? notStarted();
  }

  #managementPid(): number {
    return this.#management?.holder ?? notStarted();
  }
}

/** The first process of a node first: its holder ends when the last of its processes is gone, and not before. */
async function end(node: Running): Promise<void> {
  signal(node.pid, "SIGKILL");
  await Promise.race([node.ended, sleep(10_000)]);
  if (node.child.exitCode === null && node.child.signalCode === null) signal(node.holder, "SIGKILL");
  await node.ended;
}

/** Waits until something listens on port 22 in the node. Source: proc(5), net/tcp; 0A is LISTEN. */
async function listening(node: Running): Promise<void> {
  const deadline = performance.now() + startMs;
  for (;;) {
    if (node.child.exitCode !== null || node.child.signalCode !== null)
      throw new Error("its SSH server ended at once");
    const tables = ["tcp", "tcp6"].map((name) => readOptional(`/proc/${node.holder}/net/${name}`));
    if (tables.some((table) => /^\s*\d+: [0-9A-F]+:0016 [0-9A-F]+:0000 0A /m.test(table))) return;
    if (performance.now() > deadline) throw new Error(`no SSH server within ${startMs / 1000} s`);
    await sleep(10);
  }
}

function lastLine(file: string): string {
  return readOptional(file).trim().split("\n").at(-1) ?? "";
}

function readOptional(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // not there yet, or no more
  }
}

function notStarted(): never {
  throw new Error("the hosts' networks were not started");
}
