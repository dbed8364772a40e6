/** FABRIC as this machine has it: the emulator with its namespaced hosts at several sites, and the credentials of a person who uses it. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bastionLogin } from "../../infra/fabric/emulator/hosts-adapter.js";
import { loopbackRange } from "../../infra/fabric/emulator/hosts-addresses.js";
import { type HostRecord, readHostRecord } from "../../infra/fabric/emulator/hosts-record.js";
import { writeSshConfig } from "../../infra/fabric/ssh-config.js";
import { makeSshKeyPair } from "../../infra/fabric/ssh-key-pair.js";
import { cacheFolder } from "../../infra/toolchain/cache.js";
import { type Executed, execute } from "../../infra/toolchain/execute.js";
import { prepare } from "../integration/emulator/hosts-lab.js";
import { makeToken } from "../integration/emulator/token.js";
import { type Guard, labMark, startGuard } from "./guard.js";

export class Testbed {
  /** What all that belongs to it is called. */
  readonly name = `dynamos-fabric-lab-${process.pid}`;
  readonly folder = mkdtempSync(join(tmpdir(), "dynamos-fabric-lab-"));
  /** In the cache, where every host sees it. */
  readonly shared = join(cacheFolder(), "lab", this.name);
  /** For programs that use it: FABRIC's variables, a home folder of its own, the toolchain's cache as it was, the mark. */
  readonly env: Readonly<Record<string, string>>;
  readonly #guard: Guard;
  #ssh = "";
  #calls = 0;

  constructor() {
    this.#guard = startGuard(this.name, [this.folder, this.shared]);
    mkdirSync(this.shared, { recursive: true });
    const home = join(this.folder, "home");
    mkdirSync(home);
    for (const name of ["slice_key", "bastion_key"]) {
      const pair = makeSshKeyPair(name);
      writeFileSync(join(home, name), pair.privateKey, { mode: 0o600 });
      writeFileSync(join(home, `${name}.pub`), `${pair.publicKey}\n`);
    }
    writeFileSync(
      join(home, "tokens.json"),
      JSON.stringify({ id_token: makeToken({ exp: Math.floor(Date.now() / 1000) + 86_400 }) }),
      { mode: 0o600 },
    );
    this.env = {
      [labMark]: this.name,
      HOME: home,
      TMPDIR: this.folder,
      DYNAMOS_FABRIC_CACHE: cacheFolder(),
      FABRIC_TOKEN_LOCATION: join(home, "tokens.json"),
      FABRIC_SLICE_PUBLIC_KEY_FILE: join(home, "slice_key.pub"),
      FABRIC_SLICE_PRIVATE_KEY_FILE: join(home, "slice_key"),
      FABRIC_BASTION_USERNAME: bastionLogin,
      FABRIC_BASTION_KEY_LOCATION: join(home, "bastion_key"),
    };
  }

  /** Starts the emulator. @returns the variables that lead to it */
  async start(): Promise<Readonly<Record<string, string>>> {
    const program = join(this.folder, "emulator.js");
    this.#ssh = await prepare(program);
    const child = spawn(process.execPath, [program, "--hosts", "namespaces"], {
      env: {
        PATH: process.env.PATH,
        ...this.env,
        HTTP_PORT: "0",
        STATE_FILE: join(this.folder, "emulator/state.json"),
        BASTION_KEYS_FILE: join(this.env.HOME ?? "", "bastion_key.pub"),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    const url = await new Promise<string>((found, failed) => {
      const hear = (chunk: Buffer): void => {
        said += chunk.toString();
        const address = /http:\S+/.exec(said)?.[0];
        if (address !== undefined) found(address);
      };
      child.stdout.on("data", hear);
      child.stderr.on("data", hear);
      child.once("close", (code) => failed(new Error(`the emulator ended with ${code}: ${said}`)));
    });
    return {
      ...this.env,
      FABRIC_ORCHESTRATOR_HOST: url,
      FABRIC_CREDMGR_HOST: url,
      FABRIC_BASTION_HOST: loopbackRange(this.#hostsFolder).bastion,
    };
  }

  get #hostsFolder(): string {
    return join(this.folder, "emulator/hosts");
  }

  get hosts(): HostRecord {
    const record = readHostRecord(this.#hostsFolder);
    if (record === undefined) throw new Error("the emulator has no hosts");
    return record;
  }

  /** A command on a host by the real ssh, through the bastion. */
  async ssh(host: string, command: string): Promise<Executed> {
    const { bastion, hosts } = this.hosts;
    const file = join(this.folder, `ssh_config-${this.#calls++}`);
    const sliceKeyFile = this.env.FABRIC_SLICE_PRIVATE_KEY_FILE ?? "";
    const keyFile = this.env.FABRIC_BASTION_KEY_LOCATION ?? "";
    writeSshConfig(
      file,
      hosts,
      { sliceKeyFile, knownHostsFile: join(this.folder, "known_hosts") },
      { ...bastion, keyFile },
    );
    return await execute(this.#ssh, ["-F", file, "-o", "BatchMode=yes", host, command], {
      timeoutMs: 120_000,
    });
  }

  /** As {@link ssh}, for a command that must succeed. @returns what it wrote */
  async on(host: string, command: string): Promise<string> {
    const { code, stdout, stderr } = await this.ssh(host, command);
    if (code !== 0) throw new Error(`${command} on ${host} ended with ${code}: ${stderr}${stdout}`);
    return stdout.trim();
  }

  async end(): Promise<void> {
    await this.#guard.end();
  }
}
