import { MESSAGE } from "../contract/names.js";
import { decode, encode, type MicroserviceCommunication } from "../contract/wire.js";
import type { Logger } from "../platform/log.js";
import type { GrantCheck } from "./grant-check.js";
import type { Ledger } from "./ledger.js";
import { answerProblem, answerStep, answerTo, failureOf, type Identity, readStep } from "./messages.js";

/** What a message is answered with. */
export interface Reply {
  /** The queue the asker named. Empty: it wants no answer. */
  readonly address: string;
  /** The correlation id inside the message. */
  readonly correlationId: string;
  /** An encoded `microserviceCommunication`. */
  readonly body: Uint8Array;
  /** The asker wants this process to end. */
  readonly last: boolean;
}

/** From a message's bytes to its answer's, whatever they travel by. */
export class Microservice {
  readonly #ledger: Ledger;
  readonly #identity: Identity;
  readonly #grants: Pick<GrantCheck, "check">;
  readonly #log: Logger;

  constructor(ledger: Ledger, identity: Identity, grants: Pick<GrantCheck, "check">, log: Logger) {
    this.#ledger = ledger;
    this.#identity = identity;
    this.#grants = grants;
    this.#log = log;
  }

  /** @throws CodedError `BUS-MALFORMED` when the bytes are no message: then nobody is known who could be answered */
  async answer(body: Uint8Array): Promise<Reply> {
    const message = decode(MESSAGE.microserviceCommunication, body);
    return {
      address: message.requestMetadata?.returnAddress ?? "",
      correlationId: message.requestMetadata?.correlationId ?? "",
      body: encode.microserviceCommunication(await this.#work(message)),
      last: message.requestType === "shutdownRequest",
    };
  }

  async #work(message: MicroserviceCommunication): Promise<ReturnType<typeof answerTo>> {
    if (message.requestType === "ping" || message.requestType === "shutdownRequest")
      return answerTo(message, message.metadata);
    try {
      const step = readStep(message, this.#identity);
      const { dataSets, columns } = await this.#grants.check(message, step);
      const result = await this.#ledger.work({ ...step, dataSets, columns });
      if (result.problem !== undefined)
        this.#log.error({ ...result.problem, message: undefined }, result.problem.message);
      return answerStep(message, result);
    } catch (error) {
      this.#log.error({ error }, "a message is no step of this microservice");
      return answerProblem(message, failureOf(error, "the message cannot be handled"));
    }
  }
}
