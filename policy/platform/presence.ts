import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import type { LeaseKeepAliveRequest, LeaseKeepAliveResponse } from "../contract/generated/etcd.js";
import { ETCD, type EtcdClient, utf8 } from "./etcd-client.js";
import type { Logger } from "./log.js";

/** A key that is there as long as its writer lives: it goes with its lease, within the time to live after a crash. */
export interface Presence {
  /** Takes the key away now; with `linger`, keeps it alive no more, so that it goes when its time to live is over. */
  close(): Promise<void>;
}

export interface PresenceOptions {
  /** On close, leave the key until its time to live is over. Default false. */
  readonly linger?: boolean;
}

const RETRY_MS = 500;

/** Puts the key under a lease and keeps the lease alive; when the lease is lost (a long pause, a new store), puts it again. */
export async function keepPresence(
  client: EtcdClient,
  key: string,
  value: unknown,
  ttlSeconds: number,
  log: Logger,
  options: PresenceOptions = {},
): Promise<Presence> {
  const stop = new AbortController();
  let lease = await putUnderLease(client, key, value, ttlSeconds);
  const running = (async () => {
    while (!stop.signal.aborted) {
      try {
        if (lease === 0) {
          lease = await putUnderLease(client, key, value, ttlSeconds);
          log.info({ key }, "presence is written again");
        }
        await keepAlive(client, lease, ttlSeconds, stop.signal);
        if (!stop.signal.aborted) lease = 0; // the store does not know the lease any more
      } catch (error) {
        log.debug({ key, error: client.problem(error) }, "presence cannot be kept; trying again");
      }
      await sleep(RETRY_MS, undefined, { signal: stop.signal }).catch(() => {}); // close() ends the pause
    }
  })();
  return {
    async close() {
      stop.abort();
      await running;
      if (lease !== 0 && options.linger !== true) {
        // Without an answer the lease runs out by itself.
        await client
          .call(ETCD.leaseRevoke, { ID: lease }, { retryMs: 0 })
          .catch((error: unknown) => log.debug({ key, error }, "a lease was not revoked"));
      }
    },
  };
}

async function putUnderLease(
  client: EtcdClient,
  key: string,
  value: unknown,
  ttlSeconds: number,
): Promise<number> {
  // Our own id: those that etcd chooses do not fit into a JavaScript number.
  const lease = randomInt(1, 2 ** 47);
  await client.call(ETCD.leaseGrant, { ID: lease, TTL: ttlSeconds }, { retryMs: 0 });
  await client.call(ETCD.put, { key: utf8(key), value: utf8(JSON.stringify(value)), lease });
  return lease;
}

/** Resolves when the lease is no more or the signal comes; rejects when the stream breaks. */
async function keepAlive(
  client: EtcdClient,
  lease: number,
  ttlSeconds: number,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  const stream: ClientDuplexStream<LeaseKeepAliveRequest, LeaseKeepAliveResponse> = await client.stream(
    ETCD.leaseKeepAlive,
  );
  await new Promise<void>((resolve, reject) => {
    const beat = () => stream.write({ ID: lease });
    const timer = setInterval(beat, (ttlSeconds * 1000) / 3);
    const end = (error?: unknown) => {
      clearInterval(timer);
      signal.removeEventListener("abort", abort);
      stream.cancel();
      if (error === undefined) resolve();
      else reject(error);
    };
    const abort = () => end();
    signal.addEventListener("abort", abort);
    stream.on("error", end);
    stream.on("end", () => end(new Error("the store ended the stream")));
    stream.on("data", (answer: LeaseKeepAliveResponse) => {
      if (answer.TTL <= 0) end();
    });
    if (signal.aborted) return abort();
    beat();
  });
}
