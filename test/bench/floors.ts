// Bare calls on the same broker and store: what no marketplace on them can be quicker than.
import { randomUUID } from "node:crypto";
import * as amqp from "amqplib";
import { Store } from "../../policy/platform/store.js";

/** A durable round trip through another process (the skeleton's echo): persistent messages, confirms, manual acknowledgement. */
export async function bareEcho(port: number): Promise<{ call(): Promise<void>; close(): Promise<void> }> {
  const connection = await amqp.connect(`amqp://guest:guest@127.0.0.1:${port}`, { noDelay: true });
  const channel = await connection.createConfirmChannel();
  const waiting = new Map<string, () => void>();
  await channel.assertQueue("skeleton-echo-caller", { durable: true });
  await channel.consume("skeleton-echo-caller", (message) => {
    if (message === null) return;
    waiting.get(String(message.properties.correlationId))?.();
    channel.ack(message);
  });
  const body = Buffer.alloc(200, 1);
  const call = (): Promise<void> =>
    new Promise((resolve) => {
      const id = randomUUID();
      waiting.set(id, () => {
        waiting.delete(id);
        resolve();
      });
      channel.publish("", "skeleton-echo", body, { persistent: true, correlationId: id, type: "echo" });
    });
  return { call, close: () => connection.close() };
}

/** One transaction as a round's opening: three compares and a put. */
export async function bareTransaction(
  endpoint: string,
): Promise<{ call(): Promise<void>; close(): Promise<void> }> {
  const store = await Store.connect({ endpoint });
  const compare = await Promise.all(
    ["a", "b", "c"].map(async (name) => ({
      key: `/floor/${name}`,
      revision: await store.put(`/floor/${name}`, { name }),
    })),
  );
  const call = async (): Promise<void> => {
    await store.open(compare, { key: `/floor/rounds/${randomUUID()}`, value: { round: 1 } });
  };
  return { call, close: () => store.close() };
}
