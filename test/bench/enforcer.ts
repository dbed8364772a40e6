// The policy enforcer as a process of its own, with confirms and its audit on disk, against a bare durable echo on the same broker.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import * as amqp from "amqplib";
import {
  DEAD_LETTER_EXCHANGE,
  ENFORCER_QUEUE,
  EXCHANGE,
  KEY,
  MESSAGE,
  ORCHESTRATOR_QUEUE,
} from "../../policy/contract/names.js";
import { decode, encode } from "../../policy/contract/wire.js";
import { Store } from "../../policy/platform/store.js";
import { enforcerEnvironment, isHealthy } from "../support/enforcer.js";
import { freePorts, startBroker, startStore, until } from "../support/servers.js";
import { manyAgreements } from "./decision.js";
import { bareEcho } from "./floors.js";
import { alternate, type Line, rateLine, timeLine } from "./measure.js";

const root = resolve(__dirname, "../..");
const parties = ["alpha", "beta", "gamma"];
const user = "ada@uva.nl";

/** Two lines: one caller's median, and the rate of 128 callers. */
export async function enforcerLines(scale: number): Promise<Line[]> {
  return await withEnforcer(async ({ ask, echo }) => {
    const one = await alternate(ask, echo, { callers: 1, count: Math.ceil(1000 * scale), blocks: 7 });
    const many = await alternate(ask, echo, { callers: 128, count: Math.ceil(10_000 * scale), blocks: 7 });
    return [
      timeLine("enforcer with audit, 1 caller, p50", one.product.p50, one.floor.p50, 1.3),
      rateLine("enforcer with audit, 128 callers, rate", many.product.rate, many.floor.rate, 1.6),
    ];
  });
}

/** What the enforcer's process holds of memory after minutes of load, with the decisions' 1,000 agreements in force, each of so many users. Linux only. */
export async function enforcerMemoryLine(minutes: number, users = 100): Promise<Line> {
  return await withEnforcer(async ({ ask, store, pid }) => {
    for (const one of manyAgreements(users)) await store.put(KEY.agreement(one.name), one);
    const until = performance.now() + minutes * 60_000;
    let asked = 0;
    let most = 0;
    const caller = async (): Promise<void> => {
      while (performance.now() < until) {
        await ask();
        asked += 1;
        if (asked % 1_000 === 0) most = Math.max(most, residentMb(pid));
      }
    };
    await Promise.all(Array.from({ length: 16 }, caller));
    const held = residentMb(pid);
    console.log(
      `enforcer: ${held.toFixed(0)} MB after ${asked} requests in ${minutes} min, at most ${most.toFixed(0)} MB`,
    );
    return {
      name: "enforcer's memory, 1,000 agreements",
      unit: "MB",
      value: held,
      floor: 160,
      ratio: held / 160,
      goal: 1,
    };
  });
}

function residentMb(pid: number): number {
  const [, kb] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return (Number(kb) * 1024) / 1e6;
}

interface Running {
  /** One request to the enforcer, and one to the bare echo. */
  readonly ask: () => Promise<void>;
  readonly echo: () => Promise<unknown>;
  readonly store: Store;
  readonly pid: number;
}

async function withEnforcer<T>(work: (running: Running) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "enforcer-bench-"));
  const [broker, server] = await Promise.all([startBroker(), startStore()]);
  const children: ChildProcess[] = [];
  const closers: (() => Promise<void>)[] = [];
  try {
    const store = await Store.connect({ endpoint: server.endpoint });
    closers.push(() => store.close());
    await putPolicy(store);
    const [port] = await freePorts(1);
    writeFileSync(join(folder, "password"), "guest", { mode: 0o600 });
    const enforcer = spawn(process.execPath, [join(root, "dist/policy/enforcer/main.js")], {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...enforcerEnvironment(broker, server, folder, port), LOG_LEVEL: "warn" },
    });
    const echoer = fork(join(__dirname, "skeleton.ts"), ["echo", String(broker.port), server.endpoint], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    children.push(enforcer, echoer);
    await once(echoer, "message");
    await until("the enforcer is ready", () => isHealthy(`http://127.0.0.1:${port}`), 30);
    const echo = await bareEcho(broker.port);
    const ask = await asker(broker.port);
    closers.push(echo.close, ask.close);
    return await work({ ask: ask.call, echo: echo.call, store, pid: enforcer.pid ?? 0 });
  } finally {
    for (const close of closers) await close();
    await Promise.all(
      children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = once(child, "exit");
        child.kill("SIGTERM");
        await gone;
      }),
    );
    await Promise.all([broker.stop(), server.stop()]);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function putPolicy(store: Store): Promise<void> {
  for (const name of [...parties, "third"]) {
    await store.put(KEY.agreement(name), {
      name,
      relations: {
        [user]: {
          ID: "1",
          requestTypes: ["train"],
          allowedArchetypes: ["through"],
          allowedComputeProviders: ["third"],
        },
      },
      computeProviders: ["third"],
      archetypes: ["through"],
    });
  }
  const archetype = { name: "through", computeProvider: "other", resultRecipient: "requestor", weight: 1 };
  await store.put(KEY.archetype("through"), archetype);
  await store.put(KEY.requestType("train"), { name: "train", requiredServices: [] });
}

/** Asks as the orchestrator does: a first approval by three data providers. Every answer must be an allowance. */
async function asker(port: number): Promise<{ call(): Promise<void>; close(): Promise<void> }> {
  const connection = await amqp.connect(`amqp://guest:guest@127.0.0.1:${port}`, { noDelay: true });
  const channel = await connection.createConfirmChannel();
  const waiting = new Map<string, (body: Buffer) => void>();
  await channel.assertQueue(ORCHESTRATOR_QUEUE, {
    durable: true,
    // As the services declare it.
    arguments: { "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE },
  });
  await channel.bindQueue(ORCHESTRATOR_QUEUE, EXCHANGE, ORCHESTRATOR_QUEUE);
  await channel.consume(ORCHESTRATOR_QUEUE, (message) => {
    if (message === null) return;
    waiting.get(String(message.properties.correlationId))?.(message.content);
    channel.ack(message);
  });
  const request = { type: "train", user: { id: "1", userName: user }, dataProviders: parties };
  const body = Buffer.from(encode.requestApproval(request));
  const call = (): Promise<void> =>
    new Promise((done, fail) => {
      const correlationId = randomUUID();
      waiting.set(correlationId, (answer) => {
        waiting.delete(correlationId);
        const { requestApproved, error } = decode(MESSAGE.validationResponse, answer);
        if (requestApproved) done();
        else fail(new Error(`not allowed: ${error}`));
      });
      const options = { persistent: true, correlationId, type: MESSAGE.requestApproval };
      channel.publish(EXCHANGE, ENFORCER_QUEUE, body, options);
    });
  return { call, close: () => connection.close() };
}
