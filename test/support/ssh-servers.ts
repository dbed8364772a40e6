import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HostAdapter } from "../../infra/fabric/emulator/hosts-adapter.js";
import { sharedLoopback } from "../../infra/fabric/emulator/hosts-addresses.js";
import { loopbackHosts, prepareFolder } from "../../infra/fabric/emulator/hosts-loopback.js";
import { makeSshKeyPair, type SshKeyPair } from "../../infra/fabric/ssh-key-pair.js";
import { cacheFolder } from "../../infra/toolchain/cache.js";
import { ensure } from "../../infra/toolchain/tools.js";

interface Address {
  readonly host: string;
  readonly port: number;
  readonly user: string;
}

/** A connection as `@pulumi/command` takes it. */
export interface SshConnection extends Address {
  readonly privateKey: string;
  /** Type and key. */
  readonly hostKey: string;
}

/** Real SSH servers on loopback addresses, each with a home folder of its own, and a bastion before them. */
export class SshServers {
  readonly #folder: string;
  readonly #hosts: HostAdapter;
  readonly #bastion: Address;
  /** Opens the hosts and the bastion. */
  readonly #key: SshKeyPair;
  #made = 0;

  private constructor(folder: string, hosts: HostAdapter, key: SshKeyPair, bastion: Address) {
    this.#folder = folder;
    this.#hosts = hosts;
    this.#key = key;
    this.#bastion = bastion;
  }

  static async start(): Promise<SshServers> {
    const folder = mkdtempSync(join(tmpdir(), "dynamos-fabric ssh "));
    const { sshd } = await ensure(["sshd"]);
    const key = makeSshKeyPair("test");
    prepareFolder(folder);
    const hosts = await loopbackHosts({
      folder,
      sshd: sshd.path,
      cache: cacheFolder(process.env),
      bastionKeys: [key.publicKey],
      onEnd: () => {},
    });
    const bastion = await hosts.start();
    return new SshServers(folder, hosts, key, bastion);
  }

  get bastion(): SshConnection {
    return { ...this.#bastion, privateKey: this.#key.privateKey, hostKey: this.#hostKey("bastion") };
  }

  /** Starts a host. @param options `accepted`: variables that its server lets be set; `at`: where it was before */
  async host(
    id: string,
    options: { readonly accepted?: string; readonly keys?: readonly string[]; readonly at?: Address } = {},
  ): Promise<SshConnection> {
    this.#made += 1;
    const scheme = this.#hosts.addresses;
    const free = (typeof scheme === "object" && scheme.address(this.#made)) || sharedLoopback;
    const address = options.at?.host ?? free;
    const cards: [] = [];
    const keys = [this.#key.publicKey, ...(options.keys ?? [])];
    const host = {
      id,
      sliceId: "s",
      sliceName: "s",
      name: id,
      site: "AMST",
      login: "ubuntu",
      address,
      keys,
      cards,
    };
    const { port = 22, user } = await this.#hosts.up(host);
    if (options.accepted !== undefined)
      appendFileSync(join(this.#folder, "nodes", id, "sshd_config"), `AcceptEnv ${options.accepted}\n`);
    return {
      host: address,
      port,
      user,
      privateKey: this.#key.privateKey,
      hostKey: this.#hostKey(join("nodes", id)),
    };
  }

  /** Where a host's sessions begin. */
  home(id: string): string {
    return join(this.#folder, "nodes", id, "home");
  }

  async stop(id: string): Promise<void> {
    await this.#hosts.down(id, true);
  }

  async end(): Promise<void> {
    await this.#hosts.close();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #hostKey(place: string): string {
    return readFileSync(join(this.#folder, place, "host_key.pub"), "utf8")
      .split(" ")
      .slice(0, 2)
      .join(" ");
  }
}
