// The policy enforcer as a process of its own, with confirms and its audit on disk, against a bare durable echo on the same broker.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
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
import { bareEcho } from "./floors.js";
import { alternate, type Line, rateLine, timeLine } from "./measure.js";

const root = resolve(__dirname, "../..");
const parties = ["alpha", "beta", "gamma"];
const user = "ada@uva.nl";

/** Two lines: one caller's median, and the rate of 128 callers. */
export async function enforcerLines(scale: number): Promise<Line[]> {
  const folder = mkdtempSync(join(tmpdir(), "enforcer-bench-"));
  const [broker, server] = await Promise.all([startBroker(), startStore()]);
  const children: ChildProcess[] = [];
  const closers: (() => Promise<void>)[] = [];
  try {
    await putPolicy(server.endpoint);
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
    const one = await alternate(ask.call, echo.call, {
      callers: 1,
      count: Math.ceil(1000 * scale),
      blocks: 7,
    });
    const many = await alternate(ask.call, echo.call, {
      callers: 128,
      count: Math.ceil(10_000 * scale),
      blocks: 7,
    });
    return [
      timeLine("enforcer with audit, 1 caller, p50", one.product.p50, one.floor.p50, 1.3),
      rateLine("enforcer with audit, 128 callers, rate", many.product.rate, many.floor.rate, 1.6),
    ];
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

async function putPolicy(endpoint: string): Promise<void> {
  const store = await Store.connect({ endpoint });
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
  await store.close();
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
