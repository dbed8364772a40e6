import type { Channel, ConsumeMessage } from "amqplib";

/** As far as a consumer's channel is needed here. */
type Acknowledging = Pick<Channel, "ack" | "nack">;

interface Taken {
  readonly message: ConsumeMessage;
  done: boolean;
}

/**
 * The acknowledgements of one consumer's channel. What is done within one turn of the event loop goes to the broker together: one acknowledgement for
 * all messages up to the first that is still at work, one each for those after it.
 */
export class Acks {
  readonly #channel: Acknowledging;
  readonly #onGone: () => void;
  /** In the order in which they came. */
  readonly #taken = new Map<number, Taken>();
  #planned = false;

  /** @param onGone - told when the channel was lost before an acknowledgement: the broker hands the message out again */
  constructor(channel: Acknowledging, onGone: () => void) {
    this.#channel = channel;
    this.#onGone = onGone;
  }

  take(message: ConsumeMessage): void {
    this.#taken.set(message.fields.deliveryTag, { message, done: false });
  }

  ack(message: ConsumeMessage): void {
    const taken = this.#taken.get(message.fields.deliveryTag);
    if (taken === undefined) return;
    taken.done = true;
    if (this.#planned) return;
    this.#planned = true;
    setImmediate(() => this.flush());
  }

  nack(message: ConsumeMessage, requeue: boolean): void {
    this.#taken.delete(message.fields.deliveryTag);
    this.#tell(() => this.#channel.nack(message, false, requeue));
  }

  /** Tells the broker of all that is done. */
  flush(): void {
    this.#planned = false;
    let last: ConsumeMessage | undefined;
    const later: ConsumeMessage[] = [];
    let atWork = false;
    for (const [tag, { message, done }] of this.#taken) {
      if (!done) atWork = true;
      else {
        this.#taken.delete(tag);
        if (atWork) later.push(message);
        else last = message;
      }
    }
    this.#tell(() => {
      if (last !== undefined) this.#channel.ack(last, true);
      for (const message of later) this.#channel.ack(message);
    });
  }

  #tell(say: () => void): void {
    try {
      say();
    } catch {
      this.#onGone();
    }
  }
}
