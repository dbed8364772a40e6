/** FABlib itself (FablibManager) as a client of an emulated FABRIC: over TLS on an address of its own, with the files and settings of an experimenter. */
import { type ChildProcessWithoutNullStreams, execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { fablibPython } from "./official-client.js";

const run = promisify(execFile);

export interface FablibNode {
  readonly site: string;
  readonly cores: number;
  readonly ram: number;
  readonly disk: number;
  readonly image: string;
  readonly username: string;
  readonly state: string;
  readonly management_ip: string;
  readonly user_data: Readonly<Record<string, unknown>>;
  readonly components: Readonly<Record<string, string>>;
  readonly interfaces: Readonly<
    Record<
      string,
      { readonly mac: string; readonly network: string | null; readonly data: Record<string, unknown> }
    >
  >;
}

/** A slice as FABlib shows it. */
export interface FablibSlice {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly lease_end: string;
  /** `slice.list_nodes(output="json")` */
  readonly listed: readonly Readonly<Record<string, string>>[];
  readonly nodes: Readonly<Record<string, FablibNode>>;
  readonly networks: Readonly<
    Record<
      string,
      {
        readonly type: string;
        readonly site: string | null;
        readonly subnet: string;
        readonly gateway: string;
        readonly interfaces: readonly string[];
        readonly user_data: Readonly<Record<string, unknown>>;
      }
    >
  >;
}

export interface FablibOptions {
  /** The emulator, e.g. `http://127.0.0.1:4321`. */
  readonly url: string;
  /** The folder of the emulator's hosts, for SSH. */
  readonly hosts?: string;
}

/** FABlib in a home folder of its own. */
export class Fablib {
  private readonly waiting: ((a: { ok?: unknown; error?: string }) => void)[] = [];
  private errors = "";

  private constructor(
    private readonly process: ChildProcessWithoutNullStreams,
    private readonly front: Server,
    /** HOME: `work/fabric_config` with rc, token and keys. */
    readonly home: string,
  ) {
    createInterface({ input: process.stdout }).on("line", (line) => this.waiting.shift()?.(JSON.parse(line)));
    process.stderr.on("data", (chunk: Buffer) => {
      this.errors = (this.errors + chunk.toString()).slice(-6000);
    });
    process.on("exit", () => {
      for (const w of this.waiting.splice(0)) w({ error: `FABlib ended: ${this.errors}` });
    });
  }

  static async start(options: FablibOptions): Promise<Fablib> {
    const python = await fablibPython();
    const home = await mkdtemp(join(tmpdir(), "fablib-home-"));
    const config = join(home, "work", "fabric_config");
    await mkdir(config, { recursive: true });
    // An address of our own where that is possible: FABlib probes port 443 of bare host names.
    const own = process.platform === "linux" ? `127.77.${byte()}.${byte()}` : "127.0.0.1";
    await run(python, [join(__dirname, "fablib_certificate.py"), home, own]);
    const front = await listen(home, own, options.url);
    const port = (front.address() as AddressInfo).port;
    const token = join(config, "tokens.json");
    await writeFile(token, JSON.stringify(await newToken(options.url)));
    const sliceKey = await makeKey(python, config, "slice_key");
    const host = port === 443 ? own : `${own}:${port}`;
    const settings = {
      FABRIC_ORCHESTRATOR_HOST: host,
      FABRIC_CREDMGR_HOST: host,
      FABRIC_CORE_API_HOST: host,
      FABRIC_TOKEN_LOCATION: token,
      FABRIC_PROJECT_ID: project.id,
      FABRIC_BASTION_KEY_LOCATION:
        options.hosts === undefined
          ? await makeKey(python, config, "fabric_bastion_key")
          : join(options.hosts, "bastion_key"),
      FABRIC_SLICE_PRIVATE_KEY_FILE: sliceKey,
      FABRIC_SLICE_PUBLIC_KEY_FILE: `${sliceKey}.pub`,
    };
    await writeFile(
      join(config, "fabric_rc"),
      Object.entries(settings)
        .map(([k, v]) => `export ${k}=${v}\n`)
        .join(""),
    );
    const ports = {
      ...(port === 443 ? {} : { https: port }),
      ...(options.hosts === undefined ? {} : { hosts: join(options.hosts, "hosts.json") }),
    };
    const child = spawn(python, [join(__dirname, "fablib.py")], {
      cwd: home,
      env: {
        PATH: process.env.PATH,
        HOME: home,
        PYTHONWARNINGS: "ignore",
        REQUESTS_CA_BUNDLE: join(home, "ca.pem"),
        FABLIB_PORTS: JSON.stringify(ports),
        ...settings,
        // fablib.py asks the emulator's hosts where the bastion is, once there are any.
        FABRIC_BASTION_HOST: own,
        FABRIC_BASTION_USERNAME: "nobody",
      },
    });
    const fablib = new Fablib(child, front, home);
    const first = await new Promise<{ ok?: unknown; error?: string }>((resolve) =>
      fablib.waiting.push(resolve),
    );
    if (first.ok !== "ready") throw new Error(first.error);
    return fablib;
  }

  /** The authority that signed the emulator's certificate. */
  get authority(): string {
    return join(this.home, "ca.pem");
  }

  get publicKey(): string {
    return readFileSync(join(this.home, "work", "fabric_config", "slice_key.pub"), "utf8").trim();
  }

  /** fabric_rc, as this library reads it too. */
  get rc(): string {
    return join(this.home, "work", "fabric_config", "fabric_rc");
  }

  /** What FABlib answers; an exception in it fails the test. */
  async ask<T>(command: Readonly<Record<string, unknown>>): Promise<T> {
    const answer = await new Promise<{ ok?: unknown; error?: string }>((resolve) => {
      this.waiting.push(resolve);
      this.process.stdin.write(`${JSON.stringify(command)}\n`);
    });
    if (answer.error !== undefined) throw new Error(`${command.do}: ${answer.error}\n${this.errors}`);
    return answer.ok as T;
  }

  async stop(): Promise<void> {
    this.process.stdin.end();
    if (this.process.exitCode === null && this.process.signalCode === null)
      await new Promise((resolve) => this.process.once("exit", resolve));
    this.front.closeAllConnections();
    await new Promise((resolve) => this.front.close(resolve));
    await rm(this.home, { recursive: true, force: true });
  }
}

const byte = (): number => 2 + Math.floor(Math.random() * 250);

/** The project of the emulator's default scenario. */
const project = { id: "00000000-0000-4000-8000-000000000002", name: "emulated" };

/** A token as a person gets one in the browser: with a refresh token, which FABlib spends as soon as it starts. */
async function newToken(url: string): Promise<unknown> {
  const query = new URLSearchParams({ project_name: project.name, scope: "all", lifetime: "4" });
  const answer = await fetch(`${url}/credmgr/tokens/create?${query}`, {
    method: "POST",
    headers: { cookie: "fabric-service=somebody" },
  });
  if (!answer.ok) throw new Error(`no token: ${answer.status} ${await answer.text()}`);
  return ((await answer.json()) as { data: unknown[] }).data[0];
}

async function makeKey(python: string, folder: string, name: string): Promise<string> {
  const file = join(folder, name);
  const make = [
    "import sys, os",
    "from cryptography.hazmat.primitives import serialization as s",
    "from cryptography.hazmat.primitives.asymmetric import rsa",
    "k = rsa.generate_private_key(65537, 3072)",
    "f = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o600)",
    "os.write(f, k.private_bytes(s.Encoding.PEM, s.PrivateFormat.OpenSSH, s.NoEncryption()))",
    "open(sys.argv[1] + '.pub', 'wb').write(k.public_key().public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH) + b' test\\n')",
  ].join("\n");
  await run(python, ["-c", make, file]);
  return file;
}

/** TLS before the emulator; on 443 where that is allowed, else on a free port. */
async function listen(home: string, address: string, url: string): Promise<Server> {
  const { hostname, port } = new URL(url);
  const server = createServer(
    { key: readFileSync(join(home, "key.pem")), cert: readFileSync(join(home, "cert.pem")) },
    (incoming, answer) => {
      const { method, url: path, headers } = incoming;
      const onward = httpRequest({ hostname, port, method, path, headers }, (reply) => {
        answer.writeHead(reply.statusCode ?? 502, reply.headers);
        reply.pipe(answer);
      });
      onward.on("error", () => answer.destroy());
      incoming.pipe(onward);
    },
  );
  const attempt = (p: number) =>
    new Promise<boolean>((resolve) => {
      const failed = () => resolve(false);
      server.once("error", failed);
      server.listen(p, address, () => {
        server.off("error", failed);
        resolve(true);
      });
    });
  if (!(await attempt(443)) && !(await attempt(0))) throw new Error(`cannot listen on ${address}`);
  return server;
}
