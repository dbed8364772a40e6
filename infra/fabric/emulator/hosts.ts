/** The emulator's hosts: keeps what runs on this machine equal to what {@link planHosts} says, and tells clients where it is. */
import { mkdirSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { InfraError } from "../../problem.js";
import { cacheFolder } from "../../toolchain/cache.js";
import { find } from "../../toolchain/locate.js";
import type { HostAdapter, HostFacts } from "./hosts-adapter.js";
import { markOfHost } from "./hosts-adapter.js";
import { withAddresses } from "./hosts-addresses.js";
import { ensureKey, publicKeyOf } from "./hosts-files.js";
import { loopbackHosts } from "./hosts-loopback.js";
import { namespaceHosts } from "./hosts-namespaces.js";
import { type DesiredHost, nextChange, planHosts } from "./hosts-plan.js";
import { endMarked } from "./hosts-processes.js";
import {
  type HostEntry,
  type HostMode,
  type HostRecord,
  type Management,
  writeHostRecord,
} from "./hosts-record.js";
import type { EmulatorState } from "./model.js";
import type { Store } from "./store.js";

export interface HostsOptions {
  readonly mode: Exclude<HostMode, "none">;
  /** Of namespaces. Default `ipv4`. */
  readonly management?: Management;
  /** Where hosts.json and the nodes' folders go; made if missing. One emulator each. */
  readonly folder: string;
  readonly store: Store;
  /** A file with more public keys that open the bastion, one a line. The emulator's own is `bastion_key` in the folder. */
  readonly bastionKeysFile?: string;
  /** Milliseconds since 1970. Default: the machine's clock. */
  readonly now?: () => number;
}

/** Hosts of a running emulator. */
export interface Hosts {
  /** The store that routes must use: it gives nodes addresses that answer, and hosts follow its changes. */
  readonly store: Store;
  /** Waits until the hosts are as the state says at this moment, at most {@link patienceMs}. */
  settled(): Promise<void>;
  /** Ends all hosts. Their files stay for the next start. */
  close(): Promise<void>;
}

/** How long an answer waits for hosts. A client that sees a node active earlier finds it a little later, as on the real testbed. */
const patienceMs = 15_000;
/** Hosts start this much before their node is active. */
const aheadMs = 200;
/** Namespaces are made side by side, but not all at once on a small machine. */
const atOnce = 4;

/**
 * Starts the hosts of a saved state, after ending what an emulator that was killed left.
 *
 * @throws InfraError `FAB-EMU-HOSTS` where this machine cannot have hosts of this kind
 */
export async function openHosts(options: HostsOptions): Promise<Hosts> {
  mkdirSync(join(options.folder, "nodes"), { recursive: true, mode: 0o700 });
  const folder = realpathSync(options.folder);
  await endMarked((mark) => mark.startsWith(markOfHost(folder, "")));
  const key = ensureKey(join(folder, "bastion_key"), "emulated bastion");
  const more = options.bastionKeysFile === undefined ? [] : readKeys(options.bastionKeysFile);
  const tool = find("sshd");
  if (tool === undefined) {
    throw new InfraError({
      code: "FAB-EMU-HOSTS",
      message: "no OpenSSH server (sshd) on this machine",
      remedy: "install openssh-server, or let `up` or the tests fetch it into the cache",
    });
  }
  const manager: { current?: Manager } = {};
  const common = {
    folder,
    sshd: tool.path,
    cache: cacheFolder(),
    bastionKeys: [publicKeyOf(key), ...more],
    onEnd: (id: string, why: string) => manager.current?.ended(id, why),
  };
  const adapter =
    options.mode === "loopback"
      ? await loopbackHosts(common)
      : await namespaceHosts({ ...common, management: options.management ?? "ipv4" });
  try {
    const bastion = { ...(await adapter.start()), keyFile: key };
    manager.current = new Manager({ ...options, folder }, adapter, bastion);
    await manager.current.begin();
    return manager.current;
  } catch (error) {
    await adapter.close();
    throw error instanceof InfraError ? error : hostsError(error);
  }
}

class Manager implements Hosts {
  readonly store: Store;
  readonly #options: HostsOptions;
  readonly #adapter: HostAdapter;
  readonly #bastion: HostRecord["bastion"];
  readonly #applied = new Map<
    string,
    { readonly host: DesiredHost; readonly text: string; entry: HostEntry }
  >();
  #turn: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  /** The state that the hosts were last made from, and until when it says the same. */
  #seen: { readonly state?: EmulatorState; readonly until: number } = { until: 0 };
  #closed = false;

  constructor(options: HostsOptions, adapter: HostAdapter, bastion: HostRecord["bastion"]) {
    this.#options = options;
    this.#adapter = adapter;
    this.#bastion = bastion;
    const inner = options.store;
    this.store = {
      read: () => inner.read(),
      onChange: (listener) => inner.onChange(listener),
      update: (change) =>
        inner.update((state) => {
          const next = change(state);
          return { ...next, state: withAddresses(next.state, adapter.addresses) };
        }),
    };
    inner.onChange(() => void this.#sync());
  }

  /** Addresses for nodes that were made by an emulator with other hosts or none; then the hosts. */
  async begin(): Promise<void> {
    await this.store.update((state) => ({ state, result: undefined }));
    this.#forgetFolders();
    await this.settled();
  }

  async settled(): Promise<void> {
    const limit = new AbortController();
    await Promise.race([
      this.#sync(),
      sleep(patienceMs, undefined, { signal: limit.signal, ref: false }).catch(() => undefined),
    ]);
    limit.abort();
  }

  ended(id: string, why: string): void {
    const known = this.#applied.get(id);
    if (known === undefined || this.#closed) return;
    known.entry = { ...known.entry, state: "down", problem: why };
    this.#writeRecord();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#turn;
    await this.#adapter.close();
    this.#applied.clear();
    this.#writeRecord();
  }

  /** Brings the hosts to what the state says now; one at a time, so that two changes never cross. */
  #sync(): Promise<void> {
    this.#turn = this.#turn.then(() => (this.#closed ? undefined : this.#apply())).catch(report);
    return this.#turn;
  }

  async #apply(): Promise<void> {
    const now = (this.#options.now ?? Date.now)() + aheadMs;
    const state = this.store.read();
    if (state === this.#seen.state && now < this.#seen.until) return;
    const { hosts, networks } = planHosts(state, now);
    const next = nextChange(state, now);
    this.#wake(next, now);
    const wanted = new Set(hosts.map((host) => host.id));
    const gone = [...this.#applied.keys()].filter((id) => !wanted.has(id));
    const changed = hosts.filter((host) => this.#applied.get(host.id)?.text !== JSON.stringify(host));
    await this.#adapter.networks(networks);
    this.#seen = { state, until: next ?? Number.POSITIVE_INFINITY };
    if (gone.length + changed.length === 0) return;
    await inParallel(gone, async (id) => {
      this.#applied.delete(id);
      await this.#adapter.down(id, false).catch(report);
    });
    await inParallel(changed, (host) => this.#up(host));
    this.#writeRecord();
  }

  async #up(host: DesiredHost): Promise<void> {
    const before = this.#applied.get(host.id);
    // One that is switched off stays so until its node is rebooted.
    const off = before?.entry.state === "down" && before.host.reboot === host.reboot;
    let outcome: HostFacts | { readonly problem: string } | undefined;
    if (!off) {
      try {
        outcome = await this.#adapter.up(host);
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error);
        report(new Error(`node ${host.name}: ${problem}`));
        outcome = { problem };
      }
    }
    const entry: HostEntry = {
      name: host.name,
      id: host.id,
      hostKeyAlias: host.id,
      slice: host.sliceName,
      sliceId: host.sliceId,
      site: host.site,
      address: host.address,
      user: host.login,
      port: 22,
      folder: join(this.#options.folder, "nodes", host.id),
      ...(outcome === undefined
        ? { state: "down", ...(before?.entry.problem === undefined ? {} : { problem: before.entry.problem }) }
        : "problem" in outcome
          ? { state: "down", problem: outcome.problem }
          : { state: "up", ...outcome }),
    };
    this.#applied.set(host.id, { host, text: JSON.stringify(host), entry });
  }

  #wake(at: number | undefined, now: number): void {
    clearTimeout(this.#timer);
    if (at === undefined || this.#closed) return;
    this.#timer = setTimeout(() => void this.#sync(), Math.min(at - now + 1, 3_600_000));
    this.#timer.unref();
  }

  /** Folders of nodes that went while no emulator was there. */
  #forgetFolders(): void {
    const living = new Set(
      planHosts(this.store.read(), (this.#options.now ?? Date.now)()).hosts.map((h) => h.id),
    );
    const place = join(this.#options.folder, "nodes");
    for (const id of readdirSync(place))
      if (!living.has(id)) rmSync(join(place, id), { recursive: true, force: true, maxRetries: 5 });
  }

  #writeRecord(): void {
    writeHostRecord(this.#options.folder, {
      version: 1,
      mode: this.#options.mode,
      logins: this.#adapter.logins,
      bastion: this.#bastion,
      hosts: [...this.#applied.values()]
        .map(({ entry }) => entry)
        .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)),
    });
  }
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
}

function readKeys(file: string): string[] {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line.trim() !== "");
  } catch (error) {
    throw new InfraError(
      {
        code: "FAB-EMU-HOSTS",
        file,
        message: `the bastion's keys cannot be read: ${(error as Error).message}`,
        remedy: "name a file with public keys in BASTION_KEYS_FILE",
      },
      { cause: error },
    );
  }
}

/** The emulator's log is its standard error. Hosts that fail are no reason to stop answering. */
function report(error: unknown): void {
  process.stderr.write(`hosts: ${error instanceof Error ? error.message : String(error)}\n`);
}

function hostsError(cause: unknown): InfraError {
  return new InfraError(
    {
      code: "FAB-EMU-HOSTS",
      message: `the emulated hosts could not be started: ${cause instanceof Error ? cause.message : String(cause)}`,
      remedy: "mend what is named, or use --hosts none",
    },
    { cause },
  );
}
