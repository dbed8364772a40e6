import { setTimeout as sleep } from "node:timers/promises";
import type { Channel, ConsumeMessage } from "amqplib";
import { CodedError } from "../contract/problem.js";
import { Acks } from "./bus-acks.js";
import { type BusLink, NOT_FOUND } from "./bus-link.js";
import type { Logger } from "./log.js";

/** A message as a handler sees it. */
export interface Incoming {
  /** AMQP `type`; empty where the sender set none. */
  readonly type: string;
  readonly body: Uint8Array;
  readonly correlationId: string | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  /** The broker handed it out before: its work may have been done. */
  readonly redelivered: boolean;
}

/** What becomes of a message. `drop`: it goes to the dead-letter queue. */
export type Verdict = "ack" | "requeue" | "drop";

export type Handler = (message: Incoming) => Promise<Verdict>;

export interface ConsumeOptions {
  /** Messages handled at the same time. Default 64. */
  readonly prefetch?: number;
  /**
   * `declared` (default): the queue is declared, and again when somebody deletes it.
   * `existing`: it must be there; when it is deleted, consuming ends. For a job's queue, which goes with its job.
   */
  readonly queue?: "declared" | "existing";
}

/** A running consumer. */
export interface Consumer {
  /** Takes no more messages, and resolves when the handlers at work have finished. */
  stop(): Promise<void>;
}

/** AMQP's reply code for a queue that is not there. */
const DEFAULT_PREFETCH = 64;
/** A message that comes back at once would spin; this is how long a repeated requeue waits. */
const REQUEUE_DELAY_MS = 200;
/** How long a queue that somebody deleted stays away, so that a job's end does not bring it back. */
const DELETED_QUEUE_DELAY_MS = 1_000;

/** A subscription that outlives connections. The bus gives it each new one. */
export class Subscription implements Consumer {
  readonly queue: string;
  readonly #handler: Handler;
  readonly #prefetch: number;
  readonly #declares: boolean;
  readonly #log: Logger;
  readonly #onStop: () => void;
  #channel: Channel | undefined;
  #acks: Acks | undefined;
  #tag = "";
  #stopped = false;
  readonly #running = new Set<Promise<void>>();

  constructor(queue: string, handler: Handler, options: ConsumeOptions, log: Logger, onStop: () => void) {
    this.queue = queue;
    this.#handler = handler;
    this.#prefetch = options.prefetch ?? DEFAULT_PREFETCH;
    this.#declares = (options.queue ?? "declared") === "declared";
    this.#log = log;
    this.#onStop = onStop;
  }

  /** Begins to consume on this connection. */
  async attach(link: BusLink): Promise<void> {
    if (this.#declares) await link.declareQueue(this.queue);
    const channel = await link.model.createChannel();
    channel.on("error", (error) =>
      this.#log.warn({ queue: this.queue, error }, "the broker closed a consumer's channel"),
    );
    channel.on("close", () => {
      if (this.#channel === channel) this.#again(link, 100);
    });
    await channel.prefetch(this.#prefetch);
    this.#channel = channel;
    const acks = new Acks(channel, () =>
      this.#log.debug({ queue: this.queue }, "the connection was lost before a message was acknowledged"),
    );
    this.#acks = acks;
    const { consumerTag } = await channel.consume(this.queue, (message) => {
      if (message === null) this.#cancelled(link, channel);
      else this.#take(acks, message);
    });
    this.#tag = consumerTag;
    // stop() may have come while we waited.
    if (this.#stopped) await channel.close().catch(() => {});
  }

  /** Begins on a new connection. One queue's fault does not hold up the others: it is tried again by itself. */
  async reattach(link: BusLink): Promise<void> {
    try {
      await this.attach(link);
    } catch (error) {
      if (link.lost) throw error;
      this.#failed(link, error, 500);
    }
  }

  async stop(): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true;
      this.#onStop();
      // On a dead channel there is nothing to cancel; that is the same to the caller.
      await this.#channel?.cancel(this.#tag).catch(() => {});
    }
    while (this.#running.size > 0) await Promise.all(this.#running);
    this.#acks?.flush();
    const channel = this.#channel;
    this.#channel = undefined;
    await channel?.close().catch(() => {});
  }

  #take(acks: Acks, message: ConsumeMessage): void {
    acks.take(message);
    const work = this.#handle(acks, message);
    this.#running.add(work);
    void work.finally(() => this.#running.delete(work));
  }

  async #handle(acks: Acks, message: ConsumeMessage): Promise<void> {
    const incoming = asIncoming(message);
    let verdict: Verdict;
    try {
      verdict = await this.#handler(incoming);
    } catch (error) {
      this.#log.error(
        { queue: this.queue, type: incoming.type, correlationId: incoming.correlationId, error },
        "a message could not be handled; it goes to the dead-letter queue",
      );
      verdict = "drop";
    }
    if (verdict === "requeue" && incoming.redelivered) await sleep(REQUEUE_DELAY_MS);
    if (verdict === "ack") acks.ack(message);
    else acks.nack(message, verdict === "requeue");
  }

  /** The broker ended the consumer: its queue was deleted. */
  #cancelled(link: BusLink, channel: Channel): void {
    this.#channel = undefined;
    channel.close().catch(() => {});
    if (this.#stopped) return;
    if (this.#declares) this.#again(link, DELETED_QUEUE_DELAY_MS);
    else this.#log.info({ queue: this.queue }, "the queue is gone; consuming ends");
  }

  /** Comes back on the same connection; on a lost one the bus does it. */
  #again(link: BusLink, milliseconds: number): void {
    this.#channel = undefined;
    if (this.#stopped || link.lost) return;
    setTimeout(() => {
      if (this.#stopped || link.lost) return;
      this.attach(link).catch((error: unknown) =>
        this.#failed(link, error, Math.min(2 * milliseconds, 5_000)),
      );
    }, milliseconds);
  }

  #failed(link: BusLink, error: unknown, milliseconds: number): void {
    if (!this.#declares && (error as { code?: unknown }).code === NOT_FOUND) {
      this.#log.info({ queue: this.queue }, "the queue is gone; consuming ends");
      this.#stopped = true;
      this.#onStop();
      return;
    }
    this.#log.warn({ queue: this.queue, error }, "cannot consume; trying again");
    this.#again(link, milliseconds);
  }
}

/** A queue that another declared with other arguments, or that we may not touch. */
export function queueError(name: string, error: unknown): CodedError {
  const text = error instanceof Error ? error.message : String(error);
  return new CodedError(
    {
      code: "BUS-QUEUE",
      path: name,
      message: `queue ${name} cannot be declared (${text})`,
      remedy: "delete the queue that was made with other arguments, or give the user permission",
    },
    { cause: error },
  );
}

function asIncoming(message: ConsumeMessage): Incoming {
  const { type, correlationId, headers } = message.properties as {
    type?: unknown;
    correlationId?: unknown;
    headers?: Record<string, unknown>;
  };
  return {
    type: typeof type === "string" ? type : "",
    body: message.content,
    correlationId: typeof correlationId === "string" && correlationId !== "" ? correlationId : undefined,
    headers: headers ?? {},
    redelivered: message.fields.redelivered,
  };
}
