import { MESSAGE } from "../contract/names.js";
import { CodedError } from "../contract/problem.js";
import { encode } from "../contract/wire.js";
import type { Bus } from "../platform/bus.js";
import type { Logger } from "../platform/log.js";

/** To whom a job's reports go. */
export interface Recipient {
  readonly job: string;
  readonly requestType: string;
  /** A queue. */
  readonly returnAddress: string;
  readonly correlationId: string;
}

const PATIENCE_MS = 30_000;
const MOST_ATTEMPTS = 5;

/**
 * Reports of one job to the one who asked for it, in order, each after the confirm of the one before. The job does not wait for them.
 * A report whose confirm was lost with the connection is sent again: the reader knows a round it has seen.
 */
export class Outbox {
  readonly #bus: Bus;
  readonly #to: Recipient;
  readonly #log: Logger;
  #last: Promise<void> = Promise.resolve();

  constructor(bus: Bus, to: Recipient, log: Logger) {
    this.#bus = bus;
    this.#to = to;
    this.#log = log;
  }

  report(event: "round" | "revoked" | "end", data: object): void {
    const body = this.#encode(event, data);
    this.#last = this.#last.then(() => this.#send(event, body));
  }

  /** Resolves when all reports so far are with the broker, or given up and logged. */
  drained(): Promise<void> {
    return this.#last;
  }

  #encode(event: string, data: object): Uint8Array {
    const { job, requestType, returnAddress, correlationId } = this.#to;
    return encode.microserviceCommunication({
      type: MESSAGE.microserviceCommunication,
      requestType,
      data: { ...data },
      metadata: { event },
      requestMetadata: { jobId: job, correlationId, destinationQueue: returnAddress },
    });
  }

  async #send(event: string, body: Uint8Array): Promise<void> {
    const { job, returnAddress, correlationId } = this.#to;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#bus.publish(returnAddress, MESSAGE.microserviceCommunication, body, {
          correlationId,
          patience: PATIENCE_MS,
        });
      } catch (error) {
        const again = error instanceof CodedError && error.code === "BUS-DOWN" && attempt < MOST_ATTEMPTS;
        if (again) continue;
        this.#log.error(
          { error, job, event, returnAddress },
          "a job's report could not be sent; the job's end is in the store",
        );
        return;
      }
    }
  }
}
