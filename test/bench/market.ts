// The product for measuring: its real services as processes of their own, on a real broker and store, with production durability.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { agentSecret, publishAgentKeys } from "../support/agent-keys.js";
import { startBroker, startStore } from "../support/servers.js";
import { TestIssuer } from "../support/test-issuer.js";
import { agents } from "./skeleton-agents.js";

export interface Market {
  readonly brokerPort: number;
  readonly store: string;
  readonly gateway: string;
  readonly orchestrator: string;
  readonly operatorToken: string;
  /** An access token with which this user may send requests. */
  token(user: string): Promise<string>;
  close(): Promise<void>;
}

const root = resolve(__dirname, "../..");
const operatorToken = "bench-operator-token";

/** Starts broker, store, enforcer, orchestrator, gateway and an agent for each party. The documents of the experiment are put through the API. */
export async function startMarket(experiment: string, parties: readonly string[]): Promise<Market> {
  const folder = mkdtempSync(join(tmpdir(), "dynamos-bench-"));
  const [broker, store, issuer] = await Promise.all([startBroker(), startStore(), TestIssuer.start()]);
  const secret = (name: string, text: string): string => {
    const file = join(folder, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const common = {
    AMQP_HOST: broker.host,
    AMQP_PORT: String(broker.port),
    AMQP_USER: "guest",
    AMQP_PASSWORD_FILE: secret("password", "guest"),
    ETCD_ENDPOINT: store.endpoint,
    LOG_LEVEL: "warn",
    OPERATOR_TOKEN_FILE: secret("token", operatorToken),
    OIDC_ISSUER: issuer.url,
  };
  const children: ChildProcess[] = [];
  const run = async (room: string, name: string, extra: Record<string, string> = {}): Promise<string> => {
    const port = await freePort();
    const env = {
      PATH: process.env.PATH,
      HOME: folder,
      ...common,
      SERVICE_NAME: name,
      HTTP_PORT: String(port),
      ...extra,
    };
    const child = spawn(process.execPath, [join(root, "dist/policy", room, "main.js")], {
      env,
      stdio: ["ignore", "ignore", "inherit"],
    });
    children.push(child);
    await healthy(port, name);
    return `http://127.0.0.1:${port}`;
  };
  const close = async (): Promise<void> => {
    await Promise.all(children.map(end));
    await Promise.all([broker.stop(), store.stop(), issuer.close()]);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await run("enforcer", "policy-enforcer", { AUDIT_FOLDER: join(folder, "audit") });
    const orchestrator = await run("orchestrator", "orchestrator");
    const gateway = await run("gateway", "api-gateway");
    await publishAgentKeys(store.endpoint, parties);
    for (const party of parties) {
      const work = join(folder, party);
      mkdirSync(work);
      await run("agent", `agent-${party}`, {
        AGENT_NAME: party,
        AGENT_KEY_FILE: secret(`key-${party}`, agentSecret(party)),
        EXPERIMENT_FOLDER: experiment,
        DATA_FOLDER: join(experiment, "data", party),
        WORK_FOLDER: work,
      });
    }
    const token = (user: string): Promise<string> =>
      issuer.token({ sub: user, exp: Date.now() / 1000 + 86_400 });
    return {
      brokerPort: broker.port,
      store: store.endpoint,
      gateway,
      orchestrator,
      operatorToken,
      token,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Starts the floor's four processes on the same broker and store. Returns the URL of its HTTP side. */
export async function startSkeleton(market: Market): Promise<{ url: string; close(): Promise<void> }> {
  const children: ChildProcess[] = [];
  const start = (role: string): Promise<number> =>
    new Promise((done, fail) => {
      const child = fork(join(__dirname, "skeleton.ts"), [role, String(market.brokerPort), market.store], {
        stdio: ["ignore", "inherit", "inherit", "ipc"],
      });
      children.push(child);
      child.once("message", (m: { port: number }) => done(m.port));
      child.once("exit", (code) => fail(new Error(`skeleton ${role} ended with ${code}`)));
    });
  await Promise.all(["orchestrator", "enforcer", "echo", ...agents].map(start));
  const port = await start("gateway");
  return { url: `http://127.0.0.1:${port}`, close: async () => void (await Promise.all(children.map(end))) };
}

function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((done) => {
    const late = setTimeout(() => child.kill("SIGKILL"), 8000);
    child.once("exit", () => {
      clearTimeout(late);
      done();
    });
    child.kill("SIGTERM");
  });
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer().once("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => done(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

async function healthy(port: number, name: string): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
    if (answer?.ok) return;
    await new Promise((r) => setTimeout(r, 50));
  }
  throw new Error(`${name} was not healthy within 30 s`);
}
