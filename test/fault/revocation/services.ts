/** The real services as processes of their own, on a real broker and store, kept over schedules; each may be killed, frozen and started again. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { agentSecret, publishAgentKeys } from "../../support/agent-keys.js";
import { isHealthy } from "../../support/enforcer.js";
import {
  freePorts,
  startBroker,
  startStore,
  type TestBroker,
  type TestStore,
  until,
} from "../../support/servers.js";
import { TestIssuer } from "../../support/test-issuer.js";
import { HUB, type Party, PROVIDERS } from "./schedule.js";

const root = resolve(__dirname, "../../..");
export const PARTIES: readonly Party[] = [...PROVIDERS, HUB];

export class Service {
  readonly name: string;
  readonly url: string;
  readonly log: string;
  readonly #room: string;
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | undefined;
  /** Times at which it was killed, in milliseconds since 1970. */
  readonly kills: number[] = [];

  constructor(room: string, name: string, port: number, folder: string, env: NodeJS.ProcessEnv) {
    this.#room = room;
    this.name = name;
    this.url = `http://127.0.0.1:${port}`;
    this.log = join(folder, `${name}.log`);
    this.#env = { PATH: process.env.PATH, HOME: folder, SERVICE_NAME: name, HTTP_PORT: String(port), ...env };
  }

  /** Does not wait until it works. */
  start(): void {
    const out = openSync(this.log, "a");
    // Ends with this process, however that ends.
    const watch = join(root, "dist/infra/toolchain/watch-parent.js");
    const program = join(root, "dist/policy", this.#room, "main.js");
    this.#child = spawn(process.execPath, [`--require=${watch}`, program], {
      env: this.#env,
      stdio: ["ignore", out, out],
    });
  }

  ready(): Promise<void> {
    return until(`${this.name} healthy (${this.log})`, () => isHealthy(this.url), 60);
  }

  async kill9(): Promise<void> {
    this.kills.push(Date.now());
    await this.#end("SIGKILL");
  }

  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  async stop(): Promise<void> {
    this.thaw();
    const late = setTimeout(() => this.#child?.kill("SIGKILL"), 8_000);
    await this.#end("SIGTERM");
    clearTimeout(late);
  }

  /** Its log's lines that hold this text. */
  said(text: string): readonly string[] {
    return readFileSync(this.log, "utf8")
      .split("\n")
      .filter((line) => line.includes(text))
      .slice(-8);
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise((done) => child.once("exit", done).kill(signal));
  }
}

export class Services {
  readonly folder: string;
  readonly store: TestStore;
  readonly operatorToken = "fault-operator-token";
  readonly enforcer: Service;
  readonly orchestrator: Service;
  readonly gateway: Service;
  readonly agents: ReadonlyMap<Party, Service>;
  readonly auditFolder: string;
  readonly #broker: TestBroker;
  readonly #issuer: TestIssuer;

  private constructor(
    folder: string,
    broker: TestBroker,
    store: TestStore,
    issuer: TestIssuer,
    ports: readonly number[],
  ) {
    this.folder = folder;
    this.#broker = broker;
    this.#issuer = issuer;
    this.store = store;
    this.auditFolder = join(folder, "audit");
    const secret = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text, { mode: 0o600 });
      return join(folder, name);
    };
    const common = {
      AMQP_HOST: broker.host,
      AMQP_PORT: String(broker.port),
      AMQP_USER: "guest",
      AMQP_PASSWORD_FILE: secret("password", "guest"),
      ETCD_ENDPOINT: store.endpoint,
      LOG_LEVEL: "info",
      OIDC_ISSUER: issuer.url,
      OPERATOR_TOKEN_FILE: secret("token", this.operatorToken),
    };
    const left = [...ports];
    const service = (room: string, name: string, more: NodeJS.ProcessEnv = {}): Service =>
      new Service(room, name, left.shift() ?? 0, folder, { ...common, ...more });
    this.enforcer = service("enforcer", "policy-enforcer", { AUDIT_FOLDER: this.auditFolder });
    this.orchestrator = service("orchestrator", "orchestrator");
    this.gateway = service("gateway", "api-gateway");
    this.agents = new Map(
      PARTIES.map((party) => {
        mkdirSync(join(folder, party));
        const env = {
          AGENT_NAME: party,
          AGENT_KEY_FILE: secret(`key-${party}`, agentSecret(party)),
          EXPERIMENT_FOLDER: join(__dirname, "experiment"),
          DATA_FOLDER: join(folder, party),
          WORK_FOLDER: join(folder, party, "work"),
        };
        return [party, service("agent", `agent-${party}`, env)];
      }),
    );
  }

  static async start(): Promise<Services> {
    const folder = mkdtempSync(join(tmpdir(), "dynamos-revocation-"));
    const [broker, store, issuer, ports] = await Promise.all([
      startBroker(),
      startStore(),
      TestIssuer.start(),
      freePorts(3 + PARTIES.length),
    ]);
    const services = new Services(folder, broker, store, issuer, ports);
    try {
      await publishAgentKeys(store.endpoint, PARTIES);
      for (const service of services.all()) service.start();
      await Promise.all(services.all().map((service) => service.ready()));
    } catch (error) {
      await services.end();
      throw error;
    }
    return services;
  }

  all(): readonly Service[] {
    return [this.enforcer, this.orchestrator, this.gateway, ...this.agents.values()];
  }

  agent(party: Party): Service {
    const found = this.agents.get(party);
    if (found === undefined) throw new Error(`no agent ${party}`);
    return found;
  }

  /** The header of a user's token. */
  async asUser(user: string): Promise<Record<string, string>> {
    return { authorization: `Bearer ${await this.#issuer.token({ sub: user, exp: 9_999_999_999 })}` };
  }

  /** Calls the orchestrator's API with the operator's right. */
  async api(
    method: "GET" | "PUT" | "DELETE",
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ) {
    const response = await fetch(`${this.orchestrator.url}/api/v1/${path}`, {
      method,
      signal: AbortSignal.timeout(5_000),
      headers: {
        authorization: `Bearer ${this.operatorToken}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  async end(): Promise<void> {
    await Promise.all(this.all().map((service) => service.stop()));
    await Promise.all([this.#broker.stop(), this.store.stop(), this.#issuer.close()]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
