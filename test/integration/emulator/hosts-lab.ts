/** An emulator with hosts as a process of its own, a client of its API, and a real ssh. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type HostEntry,
  type HostRecord,
  readHostRecord,
} from "../../../infra/fabric/emulator/hosts-record.js";
import type { PropertyGraph } from "../../../infra/fabric/graph.js";
import { readGraphml, writeGraphml } from "../../../infra/fabric/graphml.js";
import { writeSshConfig } from "../../../infra/fabric/ssh-config.js";
import { makeSshKeyPair } from "../../../infra/fabric/ssh-key-pair.js";
import { type Executed, execute } from "../../../infra/toolchain/execute.js";
import { ensure } from "../../../infra/toolchain/tools.js";
import { bundle } from "../../support/bundle.js";
import { joined } from "../../unit/emulator/graphs.js";
import { makeToken } from "./token.js";
import { until } from "./until.js";

/** Fetches OpenSSH where it is missing, and bundles the emulator. @returns path of ssh */
export async function prepare(program: string): Promise<string> {
  const [tools] = await Promise.all([
    ensure(["ssh", "sshd"]),
    bundle("infra/fabric/emulator/main.ts", program),
  ]);
  return tools.ssh.path;
}

/** For a machine that has much else to do. */
export const patienceSeconds = 90;

export class HostsLab {
  readonly folder: string;
  readonly #program: string;
  readonly #ssh: string;
  readonly #args: readonly string[];
  readonly #token = makeToken();
  readonly #keyFile: string;
  readonly #before: readonly string[];
  readonly #cache: string | undefined;
  #child: ChildProcess | undefined;
  #url = "";
  #calls = 0;
  #said = "";

  /**
   * @param before a command that the emulator's is given to, to run it as somebody else
   * @param cache where the emulator finds sshd, if not where it usually is
   */
  constructor(
    program: string,
    ssh: string,
    folder: string,
    args: readonly string[],
    before: readonly string[] = [],
    cache: string | undefined = process.env.DYNAMOS_FABRIC_CACHE,
  ) {
    mkdirSync(folder, { recursive: true });
    this.#before = before;
    this.#cache = cache;
    this.folder = folder;
    this.#program = program;
    this.#ssh = ssh;
    this.#args = args;
    this.#keyFile = this.newKey("slice key");
  }

  /** A key pair in a file whose name has a space. @returns the private key's path */
  newKey(name: string): string {
    const pair = makeSshKeyPair(name);
    const file = join(this.folder, name);
    writeFileSync(file, pair.privateKey, { mode: 0o600 });
    writeFileSync(`${file}.pub`, `${pair.publicKey}\n`);
    if (name === "slice key") this.publicKey = pair.publicKey;
    return file;
  }
  publicKey = "";

  get hostsFolder(): string {
    return join(this.folder, "hosts");
  }

  async start(): Promise<void> {
    const [command = "", ...rest] = [...this.#before, process.execPath, this.#program, ...this.#args];
    const child = spawn(command, rest, {
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        ...(this.#cache === undefined ? {} : { DYNAMOS_FABRIC_CACHE: this.#cache }),
        HTTP_PORT: "0",
        STATE_FILE: join(this.folder, "state.json"),
      },
    });
    this.#child = child;
    this.#said = "";
    this.#url = await new Promise<string>((resolve, reject) => {
      const hear = (chunk: Buffer): void => {
        this.#said += chunk.toString();
        const found = /http:\S+/.exec(this.#said)?.[0];
        if (found !== undefined) resolve(found);
      };
      child.stdout?.on("data", hear);
      child.stderr?.on("data", hear);
      child.once("close", (code) => reject(new Error(`the emulator ended with ${code}: ${this.#said}`)));
    });
  }

  /** Ends the emulator and waits for its end. @returns its exit code, null after a signal */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return null;
    return await new Promise((resolve) => {
      child.once("close", resolve);
      child.kill(signal);
    });
  }

  /** What the emulator has written since its start. */
  get said(): string {
    return this.#said;
  }

  async #ask(path: string, init: RequestInit = {}): Promise<readonly Record<string, string>[]> {
    const response = await fetch(this.#url + path, {
      ...init,
      headers: {
        authorization: `Bearer ${this.#token}`,
        "content-type": "application/json",
        ...init.headers,
      },
    });
    const body = (await response.json()) as { data?: readonly Record<string, string>[] };
    if (body.data === undefined) throw new Error(`${path}: ${JSON.stringify(body)}`);
    return body.data;
  }

  async create(name: string, graph: PropertyGraph): Promise<string> {
    const made = await this.#ask(`/slices/creates?name=${name}`, {
      method: "POST",
      body: JSON.stringify({ graph_model: writeGraphml(graph), ssh_keys: [this.publicKey] }),
    });
    const id = made[0]?.slice_id ?? "";
    await this.#reaches(id, "StableOK");
    await this.hostsAre("up");
    return id;
  }

  async modify(id: string, graph: PropertyGraph): Promise<void> {
    const wanted = joined(await this.graph(id), graph);
    await this.#ask(`/slices/modify/${id}`, {
      method: "PUT",
      body: writeGraphml(wanted),
      headers: { "content-type": "text/plain" },
    });
    await this.#reaches(id, "ModifyOK");
    await this.#ask(`/slices/modify/${id}/accept`, { method: "POST" });
  }

  async graph(id: string): Promise<PropertyGraph> {
    const [slice] = await this.#ask(`/slices/${id}?graph_format=GRAPHML`);
    return readGraphml(slice?.model ?? "");
  }

  async slivers(id: string): Promise<readonly Record<string, string>[]> {
    return await this.#ask(`/slivers?slice_id=${id}`);
  }

  async reboot(sliverId: string): Promise<void> {
    await this.#ask(`/poas/create/${sliverId}`, {
      method: "POST",
      body: JSON.stringify({ operation: "reboot" }),
    });
  }

  async #reaches(id: string, state: string): Promise<void> {
    await until(
      state,
      async () => (await this.#ask(`/slices/${id}?graph_format=NONE`))[0]?.state,
      (s) => s === state,
      patienceSeconds,
    );
  }

  /** Waits until every active node has its host in this state. */
  async hostsAre(state: HostEntry["state"]): Promise<void> {
    const count = async () => {
      const slices = await this.#ask("/slices");
      const all = await Promise.all(slices.map((slice) => this.slivers(slice.slice_id ?? "")));
      return all.flat().filter((s) => s.sliver_type === "NodeSliver" && s.state === "Active").length;
    };
    await until(
      `host ${state}`,
      async () => ({ wanted: await count(), hosts: this.record.hosts }),
      ({ wanted, hosts }) => hosts.length === wanted && hosts.every((h) => h.state === state),
      patienceSeconds,
    );
  }

  get record(): HostRecord {
    const record = readHostRecord(this.hostsFolder);
    if (record === undefined) throw new Error("no record of hosts");
    return record;
  }

  host(name: string): HostEntry {
    const host = this.record.hosts.find((h) => h.name === name);
    if (host === undefined) throw new Error(`no host ${name}`);
    return host;
  }

  /** Runs a command on a node by the real ssh and a configuration that is written for it. */
  async ssh(
    name: string,
    command: string,
    options: { slice?: string; bastion?: string; connectSeconds?: number } = {},
  ): Promise<Executed> {
    const { bastion, hosts } = this.record;
    // one for each call: calls run side by side
    const file = join(this.folder, `ssh_config ${this.#calls++}`);
    writeSshConfig(
      file,
      hosts,
      { sliceKeyFile: options.slice ?? this.#keyFile, knownHostsFile: join(this.folder, "known hosts") },
      { ...bastion, keyFile: options.bastion ?? bastion.keyFile },
    );
    const { connectSeconds } = options;
    const patience = connectSeconds === undefined ? [] : ["-o", `ConnectTimeout=${connectSeconds}`];
    return await execute(this.#ssh, ["-F", file, "-o", "BatchMode=yes", ...patience, name, command], {
      timeoutMs: 60_000,
    });
  }

  /** As {@link ssh}, for a command that must succeed. @returns what it wrote */
  async on(name: string, command: string): Promise<string> {
    const done = await this.ssh(name, command);
    if (done.code !== 0)
      throw new Error(`${command} on ${name} ended with ${done.code}: ${done.stderr}${done.stdout}`);
    return done.stdout.trim();
  }
}
