import { type ChannelModel, type ConfirmChannel, connect, type Message } from "amqplib";
import { DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, EXCHANGE } from "../contract/names.js";
import { CodedError } from "../contract/problem.js";

/** Where the broker is and who we are there. */
export interface BusOptions {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** The service's name, shown by the broker beside its connection. */
  readonly service: string;
}

interface InFlight {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly routingKey: string;
}

/** A dead connection is noticed after at most two of these. */
const HEARTBEAT_SECONDS = 10;
/** What amqplib says when the broker refuses a message; every other error means that the channel is gone. */
const NACKED = "message nacked";
const CONNECT_TIMEOUT_MS = 5_000;
/** AMQP reply code: no such exchange or queue. */
export const NOT_FOUND = 404;

/** One connection to the broker with its publishing channel. It lives once: when it is lost, a new one is made. */
export class BusLink {
  readonly model: ChannelModel;
  readonly #publisher: ConfirmChannel;
  readonly #inFlight = new Map<string, InFlight>();
  #sequence = 0;
  #lost = false;
  #onLost: () => void = () => {};

  private constructor(model: ChannelModel, publisher: ConfirmChannel) {
    this.model = model;
    this.#publisher = publisher;
    model.on("close", () => this.#lose());
    // A "close" follows each of these; without a listener Node would end the process.
    model.on("error", () => {});
    publisher.on("error", () => {});
    // The channel alone can die too (no permission to write, say). The link is of no use without it.
    publisher.on("close", () => this.#lose());
    publisher.on("return", (message: Message) => this.#returned(message));
  }

  /** @throws what amqplib throws; see {@link connectProblem} */
  static async open(options: BusOptions): Promise<BusLink> {
    const model = await connect(
      {
        protocol: "amqp",
        hostname: options.host,
        port: options.port,
        username: options.user,
        password: options.password,
        vhost: "/",
        heartbeat: HEARTBEAT_SECONDS,
      },
      // Without noDelay a durable round trip waits 44 ms for Nagle's algorithm and delayed acknowledgements.
      { noDelay: true, timeout: CONNECT_TIMEOUT_MS, clientProperties: { connection_name: options.service } },
    );
    // Until the link listens for itself, an error event must not end the process.
    const ignore = () => {};
    model.on("error", ignore);
    try {
      const publisher = await model.createConfirmChannel();
      const link = new BusLink(model, publisher);
      model.removeListener("error", ignore);
      await link.#declareExchanges();
      return link;
    } catch (error) {
      await model.close().catch(ignore);
      throw error;
    }
  }

  get lost(): boolean {
    return this.#lost;
  }

  /** Called once, when the connection is gone for whatever reason. */
  onLost(listener: () => void): void {
    this.#onLost = listener;
    if (this.#lost) listener();
  }

  publish(
    routingKey: string,
    type: string,
    body: Uint8Array,
    correlationId: string | undefined,
    headers: Record<string, unknown> | undefined,
  ): Promise<void> {
    if (this.#lost) return Promise.reject(downError(routingKey));
    return new Promise((resolve, reject) => {
      // A returned message carries its properties back: the id says which call it was.
      const messageId = String(++this.#sequence);
      this.#inFlight.set(messageId, { resolve, reject, routingKey });
      try {
        this.#publisher.publish(
          EXCHANGE,
          routingKey,
          Buffer.from(body.buffer, body.byteOffset, body.byteLength),
          {
            mandatory: true,
            persistent: true,
            type,
            messageId,
            ...(correlationId === undefined ? {} : { correlationId }),
            ...(headers === undefined ? {} : { headers }),
          },
          (error) => this.#confirmed(messageId, error),
        );
      } catch (error) {
        this.#inFlight.delete(messageId);
        reject(downError(routingKey, error));
      }
    });
  }

  /** Runs broker administration on a channel of its own, since a refusal closes the channel it came on. */
  async administer<T>(
    work: (channel: Awaited<ReturnType<ChannelModel["createChannel"]>>) => Promise<T>,
  ): Promise<T> {
    const channel = await this.model.createChannel();
    channel.on("error", () => {}); // told by the rejection of the call that caused it
    const result = await work(channel);
    await channel.close();
    return result;
  }

  /** A durable queue bound by its own name, with exactly DYNAMOS's arguments: others are refused with 406. */
  declareQueue(name: string): Promise<void> {
    return this.administer(async (channel) => {
      await channel.assertQueue(name, {
        durable: true,
        arguments: { "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE },
      });
      await channel.bindQueue(name, EXCHANGE, name);
    });
  }

  async close(): Promise<void> {
    if (this.#lost) return;
    // Its error would be about a connection that is already gone, which is what we want.
    await this.model.close().catch(() => {});
    this.#lose();
  }

  /** Where the exchanges are there already, a service needs no right to make them: asking whether they exist needs none. */
  async #declareExchanges(): Promise<void> {
    const there = await this.administer(async (channel) => {
      await channel.checkExchange(EXCHANGE);
      await channel.checkExchange(DEAD_LETTER_EXCHANGE);
    }).then(
      () => true,
      (error: { code?: unknown }) => {
        if (error.code === NOT_FOUND) return false;
        throw error;
      },
    );
    if (there) return;
    await this.administer(async (channel) => {
      await channel.assertExchange(EXCHANGE, "topic", { durable: true });
      await channel.assertExchange(DEAD_LETTER_EXCHANGE, "fanout", { durable: true });
      await channel.assertQueue(DEAD_LETTER_QUEUE, { durable: true });
      await channel.bindQueue(DEAD_LETTER_QUEUE, DEAD_LETTER_EXCHANGE, "");
    });
  }

  /** The broker sends the return before the confirm, so the confirm finds the entry gone. */
  #returned(message: Message): void {
    const id: unknown = message.properties.messageId;
    const entry = this.#take(id);
    entry?.reject(
      new CodedError({
        code: "BUS-UNROUTABLE",
        path: entry.routingKey,
        message: `no queue takes messages for ${entry.routingKey}`,
        remedy: "is that service or agent running?",
      }),
    );
  }

  #confirmed(id: string, error: unknown): void {
    const entry = this.#take(id);
    if (entry === undefined) return;
    if (error === null || error === undefined) entry.resolve();
    else if (error instanceof Error && error.message === NACKED)
      entry.reject(refusedError(entry.routingKey, error));
    else entry.reject(downError(entry.routingKey, error));
  }

  #take(id: unknown): InFlight | undefined {
    if (typeof id !== "string") return undefined;
    const entry = this.#inFlight.get(id);
    this.#inFlight.delete(id);
    return entry;
  }

  #lose(): void {
    if (this.#lost) return;
    this.#lost = true;
    for (const entry of this.#inFlight.values()) entry.reject(downError(entry.routingKey));
    this.#inFlight.clear();
    this.model.close().catch(() => {}); // where only the channel died; else it is closed already
    this.#onLost();
  }
}

function refusedError(routingKey: string, cause: Error): CodedError {
  return new CodedError(
    {
      code: "BUS-REFUSED",
      path: routingKey,
      message: `the broker did not take a message for ${routingKey}`,
      remedy: "look at the broker's log (disk or memory alarm, queue limit)",
    },
    { cause },
  );
}

/** The connection is down: the message may or may not have been taken. */
export function downError(path: string, cause?: unknown): CodedError {
  return new CodedError(
    {
      code: "BUS-DOWN",
      path,
      message: "the connection to the message broker is lost",
      remedy: "it is being made again; try again in a moment",
    },
    cause === undefined ? undefined : { cause },
  );
}

/** What a failed connection attempt means to a person. Only `BUS-AUTH` is hopeless at once. */
export function connectProblem(options: BusOptions, error: unknown): CodedError {
  const place = `${options.host}:${options.port}`;
  const text = error instanceof Error ? error.message : String(error);
  if (/ACCESS_REFUSED|NOT_ALLOWED|\(403\)/.test(text)) {
    return new CodedError(
      {
        code: "BUS-AUTH",
        path: options.user,
        message: `the broker at ${place} refuses user ${options.user}`,
        remedy: "check AMQP_USER and the password file against the broker's users and their permissions",
      },
      { cause: error },
    );
  }
  return new CodedError(
    {
      code: "BUS-UNREACHABLE",
      path: place,
      message: `no message broker at ${place} (${text})`,
      remedy: "start the broker, or correct AMQP_HOST and AMQP_PORT",
    },
    { cause: error },
  );
}
