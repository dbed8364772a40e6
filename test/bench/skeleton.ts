// One service of the floor of an approval: the same hops as the product's, with nothing in between. Durable queues, persistent messages,
// publisher confirms, manual acknowledgement after the confirm, one etcd put on the way. Roles: gateway, orchestrator, enforcer, agent; and echo, which gives back
// what it gets.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import * as amqp from "amqplib";
import { Store } from "../../policy/platform/store.js";
import { agents } from "./skeleton-agents.js";

async function main(): Promise<void> {
  const [role = "", brokerPort = "", storeEndpoint = ""] = process.argv.slice(2);
  const queue = (name: string): string => `skeleton-${name}`;

  const connection = await amqp.connect(`amqp://guest:guest@127.0.0.1:${brokerPort}`, { noDelay: true });
  const channel = await connection.createConfirmChannel();
  await channel.prefetch(256);

  const publish = (to: string, type: string, correlationId: string, body: Buffer): Promise<void> =>
    new Promise((resolve, reject) => {
      channel.publish(
        "",
        queue(to),
        body,
        { persistent: true, mandatory: true, type, correlationId },
        (error) => (error === null || error === undefined ? resolve() : reject(error)),
      );
    });

  async function consume(handle: (message: amqp.ConsumeMessage) => Promise<void>): Promise<void> {
    await channel.assertQueue(queue(role), { durable: true });
    await channel.consume(queue(role), (message) => {
      if (message !== null) void handle(message).then(() => channel.ack(message));
    });
  }

  if (role === "enforcer") {
    await consume((m) => publish("orchestrator", "validated", String(m.properties.correlationId), m.content));
  } else if (role === "echo") {
    await consume((m) => publish("echo-caller", "echo", String(m.properties.correlationId), m.content));
  } else if (role.startsWith("agent")) {
    await consume(async () => undefined);
  } else if (role === "orchestrator") {
    const store = await Store.connect({ endpoint: storeEndpoint });
    await consume(async (m) => {
      const id = String(m.properties.correlationId);
      if (m.properties.type === "approval") return publish("enforcer", "approval", id, m.content);
      await store.put(`/skeleton/${id}`, { job: id });
      await Promise.all([
        publish("gateway", "answer", id, m.content),
        ...agents.map((agent) => publish(agent, "composition", id, m.content)),
      ]);
    });
  } else if (role === "gateway") {
    const waiting = new Map<string, () => void>();
    await consume(async (m) => {
      const id = String(m.properties.correlationId);
      waiting.get(id)?.();
      waiting.delete(id);
    });
    const server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        const id = randomUUID();
        waiting.set(id, () => response.setHeader("content-type", "application/json").end('{"jobId":"x"}'));
        void publish("orchestrator", "approval", id, Buffer.concat(parts));
      });
    });
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      process.send?.({ port: typeof address === "object" ? address?.port : 0 });
    });
  }
  if (role !== "gateway") process.send?.({ port: 0 });
  process.on("disconnect", () => process.exit(0));
}

void main();
