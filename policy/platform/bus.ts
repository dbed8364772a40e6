import { setTimeout as sleep } from "node:timers/promises";
import { CodedError } from "../contract/problem.js";
import {
  type ConsumeOptions,
  type Consumer,
  type Handler,
  queueError,
  Subscription,
} from "./bus-consumer.js";
import { BusLink, type BusOptions, connectProblem, downError } from "./bus-link.js";
import { createLogger, type Logger } from "./log.js";

export type { ConsumeOptions, Consumer, Handler, Incoming, Verdict } from "./bus-consumer.js";
export type { BusOptions } from "./bus-link.js";

export interface PublishOptions {
  readonly correlationId?: string;
  readonly headers?: Record<string, unknown>;
  /** Milliseconds to wait for a lost connection to come back before `BUS-DOWN`. Default 0. */
  readonly patience?: number;
}

/** How long {@link Bus.connect} waits for a broker that is not there yet, and {@link Bus.declareQueue} for one that went away. */
const PATIENCE_MS = 30_000;
const BACKOFF_MS = { least: 100, most: 2_000 };
const CLOSE_LIMIT_MS = 10_000;

/**
 * The message broker as services see it: publish with a confirm, consume with an acknowledgement.
 * It makes a lost connection again by itself, with all exchanges, queues and consumers; unacknowledged messages are handed out again.
 */
export class Bus {
  readonly #options: BusOptions;
  readonly #log: Logger;
  readonly #queues = new Set<string>();
  readonly #subscriptions = new Set<Subscription>();
  readonly #listeners = new Set<(up: boolean) => void>();
  #link: BusLink | undefined;
  #closed = false;

  private constructor(options: BusOptions, link: BusLink) {
    this.#options = options;
    this.#log = createLogger(options.service);
    this.#adopt(link);
  }

  /**
   * Connects, waiting up to 30 s for the broker.
   *
   * @throws {@link CodedError} `BUS-UNREACHABLE` after 30 s, `BUS-AUTH` at once when the broker refuses the user
   */
  static async connect(options: BusOptions): Promise<Bus> {
    const deadline = performance.now() + PATIENCE_MS;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return new Bus(options, await BusLink.open(options));
      } catch (error) {
        const problem = connectProblem(options, error);
        const delay = backoff(attempt);
        if (problem.code === "BUS-AUTH" || performance.now() + delay > deadline) throw problem;
        await sleep(delay);
      }
    }
  }

  /** Whether a connection is up at this moment. */
  get up(): boolean {
    return this.#link !== undefined;
  }

  /**
   * Declares a durable queue bound to `topic_exchange` by its own name, now and at each reconnect.
   *
   * @throws {@link CodedError} `BUS-QUEUE` when it exists with other arguments, `BUS-DOWN` when no connection comes within 30 s
   */
  async declareQueue(name: string): Promise<void> {
    const link = await this.#connected(PATIENCE_MS, name);
    try {
      await link.declareQueue(name);
    } catch (error) {
      if (link.lost) return this.declareQueue(name);
      throw queueError(name, error);
    }
    this.#queues.add(name);
  }

  /** Deletes a queue with what is in it. No error when it is not there. */
  async deleteQueue(name: string): Promise<void> {
    this.#queues.delete(name);
    const link = await this.#connected(PATIENCE_MS, name);
    try {
      await link.administer((channel) => channel.deleteQueue(name));
    } catch (error) {
      if (link.lost) return this.deleteQueue(name);
      throw queueError(name, error);
    }
  }

  /**
   * Hands each message of a queue to the handler, up to `prefetch` at a time, and does with it what the handler says.
   * A handler that throws is logged and its message dead-lettered.
   */
  async consume(queue: string, handler: Handler, options: ConsumeOptions = {}): Promise<Consumer> {
    const subscription: Subscription = new Subscription(queue, handler, options, this.#log, () =>
      this.#subscriptions.delete(subscription),
    );
    for (;;) {
      const link = await this.#connected(PATIENCE_MS, queue);
      try {
        await subscription.attach(link);
        this.#subscriptions.add(subscription);
        // Lost just now: the reconnect may have looked before we were listed.
        if (!link.lost) return subscription;
        this.#subscriptions.delete(subscription);
      } catch (error) {
        if (!link.lost) throw queueError(queue, error);
      }
    }
  }

  /**
   * Publishes to `topic_exchange`, mandatory and persistent. Resolves on the broker's confirm: it is then in a queue and on disk.
   *
   * @throws {@link CodedError} `BUS-UNROUTABLE` at once when no queue takes it, `BUS-DOWN` when the connection is or gets lost (the message may
   * have been taken), `BUS-REFUSED` when the broker does not take it
   */
  publish(routingKey: string, type: string, body: Uint8Array, options: PublishOptions = {}): Promise<void> {
    const link = this.#link;
    if (link !== undefined)
      return link.publish(routingKey, type, body, options.correlationId, options.headers);
    if (options.patience === undefined || options.patience <= 0) return Promise.reject(downError(routingKey));
    return this.#connected(options.patience, routingKey).then((l) =>
      l.publish(routingKey, type, body, options.correlationId, options.headers),
    );
  }

  /** Tells of each loss (`false`) and return (`true`) of the connection from now on. */
  onState(listener: (up: boolean) => void): void {
    this.#listeners.add(listener);
  }

  /** Stops the consumers, lets their handlers finish (10 s), and disconnects. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const stopped = Promise.all([...this.#subscriptions].map((s) => s.stop()));
    await Promise.race([stopped, sleep(CLOSE_LIMIT_MS, undefined, { ref: false })]);
    const link = this.#link;
    this.#link = undefined;
    await link?.close();
    this.#tell(false);
  }

  #adopt(link: BusLink): void {
    this.#link = link;
    link.onLost(() => {
      if (this.#link !== link) return;
      this.#link = undefined;
      if (this.#closed) return;
      this.#log.warn({ code: "BUS-DOWN" }, "the connection to the message broker is lost; making it again");
      this.#tell(false);
      void this.#reconnect();
    });
  }

  async #reconnect(): Promise<void> {
    for (let attempt = 0; !this.#closed; attempt += 1) {
      await sleep(backoff(attempt));
      if (this.#closed) return;
      try {
        const link = await BusLink.open(this.#options);
        try {
          for (const queue of this.#queues) await link.declareQueue(queue);
          for (const subscription of this.#subscriptions) await subscription.reattach(link);
        } catch (error) {
          await link.close();
          throw error;
        }
        if (this.#closed) return await link.close();
        this.#adopt(link);
        if (this.#link !== link) return; // lost again at once: adopt has begun anew
        this.#log.info("connected to the message broker again");
        this.#tell(true);
        return;
      } catch (error) {
        // Not there yet, or there without our user or queues: a broker that comes up passes through all of these.
        this.#log.debug(
          { error: connectProblem(this.#options, error) },
          "the message broker is not back yet",
        );
      }
    }
  }

  /** The connection, waited for. */
  #connected(milliseconds: number, path: string): Promise<BusLink> {
    if (this.#link !== undefined) return Promise.resolve(this.#link);
    if (this.#closed)
      return Promise.reject(
        new CodedError({
          code: "BUS-CLOSED",
          path,
          message: "this service is closing its connection to the broker",
        }),
      );
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
      };
      const listener = () => {
        if (this.#link === undefined && !this.#closed) return;
        end();
        if (this.#link !== undefined) resolve(this.#link);
        else reject(downError(path));
      };
      const timer = setTimeout(() => {
        end();
        reject(downError(path));
      }, milliseconds);
      this.#listeners.add(listener);
    });
  }

  #tell(up: boolean): void {
    for (const listener of [...this.#listeners]) listener(up);
  }
}

/** Doubling, bounded, with up to half of it random so that services do not come back all in the same moment. */
function backoff(attempt: number): number {
  const whole = Math.min(BACKOFF_MS.most, BACKOFF_MS.least * 2 ** Math.min(attempt, 10));
  return whole * (0.5 + Math.random() / 2);
}
