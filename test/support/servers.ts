/**
 * Real servers for integration tests: RabbitMQ and etcd on free loopback ports, in folders of their own.
 *
 * They end with `stop()`, and at the latest when the test process ends, however it ends: a guard process holds a pipe to it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../infra/local/ports.js";
import { rabbitmqPasswordHash } from "../../infra/local/rabbitmq-hash.js";
import { cacheFolder } from "../../infra/toolchain/cache.js";
import { type Guard, startGuard } from "./guard.js";
import { takeBroker } from "./shared-brokers.js";

export interface BrokerUser {
  readonly name: string;
  readonly password: string;
  /** For the management interface. Default: none. */
  readonly tags?: string;
  /** Patterns of permission on vhost `/`. Default `.*`. */
  readonly configure?: string;
  readonly write?: string;
  readonly read?: string;
}

export interface TestServer {
  readonly folder: string;
  /** Ends it in good order; its data stay until the test process ends, so `restart()` finds them. */
  stop(): Promise<void>;
  /** Ends it as a power cut would. */
  kill9(): Promise<void>;
  /** Starts it again on the same port and data, stopping it first where it still runs. */
  restart(): Promise<void>;
}

export interface TestBroker extends TestServer {
  readonly host: string;
  readonly port: number;
}

/** One whose process is this one's child. */
export interface OwnBroker extends TestBroker {
  /** Its management interface on the loopback, and who may do everything there. */
  readonly management?: { readonly port: number; readonly user: string; readonly password: string };
}

export interface TestStore extends TestServer {
  /** `host:port` */
  readonly endpoint: string;
}

/** A broker that is as new, with these users; default: one user guest/guest. Inside of vitest one of {@link takeBroker}'s, else one of its own. */
export async function startBroker(
  options: { readonly users?: readonly BrokerUser[] } = {},
): Promise<TestBroker> {
  const { users = [{ name: "guest", password: "guest" }] } = options;
  return (await takeBroker(users)) ?? (await startOwnBroker({ users }));
}

/** A RabbitMQ server of one's own: about 6 s until ready. */
export async function startOwnBroker(options: {
  readonly users: readonly BrokerUser[];
  /** Whether its management interface is on. Default: no. */
  readonly management?: boolean;
}): Promise<OwnBroker> {
  const folder = mkdtempSync(join(tmpdir(), "broker-"));
  const [port, distribution, mapper, http] = await freePorts(4);
  const at = (name: string) => join(folder, name);
  const admin = { name: "keeper", password: randomUUID(), tags: "administrator" };
  const management = options.management
    ? { port: http, user: admin.name, password: admin.password }
    : undefined;
  writeFileSync(at("plugins"), management === undefined ? "[].\n" : "[rabbitmq_management].\n");
  const definitions = brokerDefinitions([...options.users, ...(management === undefined ? [] : [admin])]);
  writeFileSync(at("definitions.json"), JSON.stringify(definitions), { mode: 0o600 });
  writeFileSync(
    at("rabbitmq.conf"),
    [
      `listeners.tcp.1 = 127.0.0.1:${port}`,
      "log.console = true",
      "log.file = false",
      `load_definitions = ${at("definitions.json")}`,
      ...(management === undefined ? [] : ["management.tcp.ip = 127.0.0.1", `management.tcp.port = ${http}`]),
      "",
    ].join("\n"),
  );
  const env = {
    HOME: folder,
    ERL_EPMD_PORT: String(mapper),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_NODENAME: "test@localhost",
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: at("data"),
    RABBITMQ_LOG_BASE: at("log"),
    RABBITMQ_CONFIG_FILE: at("rabbitmq.conf"),
    RABBITMQ_ENABLED_PLUGINS_FILE: at("plugins"),
    RABBITMQ_PID_FILE: at("pid"),
    // +sbwt none: idle schedulers do not spin, which matters where two cores run several servers at once.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
  };
  const group = new Group(folder, [
    { command: [findProgram("epmd"), "-address", "127.0.0.1", "-port", String(mapper)], env, port: mapper },
    {
      command: [findProgram("rabbitmq-server")],
      env,
      port,
      ...(management === undefined ? {} : { health: `http://127.0.0.1:${http}/api/index.html` }),
    },
  ]);
  await group.start();
  return {
    host: "127.0.0.1",
    port,
    ...(management === undefined ? {} : { management }),
    ...group.face(),
  };
}

/** An etcd server of one's own. */
export async function startStore(): Promise<TestStore> {
  const folder = mkdtempSync(join(tmpdir(), "store-"));
  const [port, peer] = await freePorts(2);
  const client = `http://127.0.0.1:${port}`;
  const peers = `http://127.0.0.1:${peer}`;
  const flags = {
    name: "test",
    "data-dir": join(folder, "data"),
    "listen-client-urls": client,
    "advertise-client-urls": client,
    "listen-peer-urls": peers,
    "initial-advertise-peer-urls": peers,
    "initial-cluster": `test=${peers}`,
  };
  const command = [
    findProgram("etcd"),
    ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
  ];
  const group = new Group(folder, [{ command, env: { HOME: folder }, port, health: `${client}/health` }]);
  await group.start();
  return { endpoint: `127.0.0.1:${port}`, ...group.face() };
}

/** A program by PATH, then by what the toolchain fetched or built (see infra/toolchain/tools.ts). Throws when it is nowhere. */
export function findProgram(name: string): string {
  const cache = cacheFolder(process.env);
  const made = ["engine", "servers"].map((unit) => join(cache, unit, "bin"));
  const folders = [...(process.env.PATH ?? "").split(delimiter), ...made];
  for (const folder of folders.filter((f) => f !== "")) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // Not in this folder: the next one is tried, and being in none is the error below.
    }
  }
  throw new Error(`${name} is in none of ${folders.join(", ")}; run npm test once, which fetches it`);
}

/** Free loopback ports, all different. */
export async function freePorts<N extends number>(
  count: N,
): Promise<number[] & { 0: number; 1: number; 2: number; 3: number }> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort(ports));
  return [...ports] as number[] & { 0: number; 1: number; 2: number; 3: number };
}

/** Polls until `holds` is true. Throws with `what` at the deadline. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  seconds = 20,
): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${seconds} s`);
    await sleep(20);
  }
}

/** RabbitMQ's own form of users and what they may do. */
export function brokerDefinitions(users: readonly BrokerUser[]): unknown {
  return {
    vhosts: [{ name: "/" }],
    users: users.map(({ name, password, tags = "" }) => ({
      name,
      password_hash: rabbitmqPasswordHash(password),
      hashing_algorithm: "rabbit_password_hashing_sha256",
      tags,
    })),
    permissions: users.map(({ name, configure = ".*", write = ".*", read = ".*" }) => ({
      user: name,
      vhost: "/",
      configure,
      write,
      read,
    })),
  };
}

interface Part {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly port: number;
  /** Answers 200 when the part is ready; without it, an accepted connection at `port` is enough. */
  readonly health?: string;
}

/** Processes that belong together, each in a process group of its own, started in order. */
class Group {
  readonly #folder: string;
  readonly #parts: readonly Part[];
  readonly #guard: Guard;
  #pids: number[] = [];

  constructor(folder: string, parts: readonly Part[]) {
    this.#folder = folder;
    this.#parts = parts;
    this.#guard = startGuard(folder);
  }

  face(): TestServer {
    return {
      folder: this.#folder,
      stop: () => this.stop(),
      kill9: () => this.#end("SIGKILL"),
      restart: () => this.restart(),
    };
  }

  async start(): Promise<void> {
    for (const [i, part] of this.#parts.entries()) {
      const log = join(this.#folder, `${i}.log`);
      const out = openSync(log, "a");
      const [program = "", ...args] = part.command;
      mkdirSync(join(this.#folder, "work"), { recursive: true });
      const env = { ...process.env, ...part.env };
      const child = spawn(program, args, {
        cwd: join(this.#folder, "work"),
        env,
        detached: true,
        stdio: ["ignore", out, out],
      });
      if (child.pid === undefined) throw new Error(`${program} could not be started`);
      child.unref();
      this.#pids.push(child.pid);
      this.#tellGuard();
      try {
        await until(`${program} ready`, () => this.#ready(part, child), 90);
      } catch (error) {
        await this.#end("SIGKILL");
        throw new Error(`${String(error)}\n${readFileSync(log, "utf8").slice(-3000)}`);
      }
    }
  }

  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async #ready(part: Part, child: ChildProcess): Promise<boolean> {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`${part.command[0]} ended with ${child.exitCode ?? child.signalCode}`);
    if (!(await accepts(part.port))) return false;
    if (part.health === undefined) return true;
    try {
      return (await fetch(part.health, { signal: AbortSignal.timeout(1000) })).status === 200;
    } catch {
      return false; // not listening yet: asked again until the deadline
    }
  }

  /** Last started first, so that a broker can still tell its port mapper good-bye. */
  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    for (const pid of [...this.#pids].reverse()) {
      signalGroup(pid, signal);
      await until(`process group ${pid} ended`, () => !signalGroup(pid, 0), 10).catch(async () => {
        signalGroup(pid, "SIGKILL");
        await until(`process group ${pid} killed`, () => !signalGroup(pid, 0), 10);
      });
    }
    this.#pids = [];
    this.#tellGuard();
  }

  #tellGuard(): void {
    this.#guard.tell(this.#pids);
  }
}

/** Whether the group had a process to signal. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((answer) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    const end = (result: boolean) => {
      socket.destroy();
      answer(result);
    };
    socket.setTimeout(1000, () => end(false));
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });
}
