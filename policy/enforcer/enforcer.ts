import { ENFORCER_QUEUE, MESSAGE, ORCHESTRATOR_QUEUE } from "../contract/names.js";
import { CodedError } from "../contract/problem.js";
import { decode, encode, messageType, type RequestApproval } from "../contract/wire.js";
import type { Bus, Consumer, Incoming, Verdict } from "../platform/bus.js";
import { GrantSigner } from "../platform/grants.js";
import type { Logger } from "../platform/log.js";
import type { Store } from "../platform/store.js";
import { answer } from "./answer.js";
import type { EnforcerMetrics } from "./metrics.js";
import { PolicyView } from "./policy-view.js";

export interface EnforcerParts {
  readonly bus: Bus;
  readonly store: Store;
  readonly log: Logger;
  readonly metrics: EnforcerMetrics;
}

/** More parties than any marketplace has; a message that names more is no honest one. */
const MOST_PROVIDERS = 256;
/** How long a decision waits for a change that its asker knows of. The round's transaction is what makes it safe. */
const BEHIND_MS = 500;

/** The policy enforcer: decides each request by the agreements as the store holds them, and signs what it allows. */
export class Enforcer {
  readonly #parts: EnforcerParts;
  readonly #view: PolicyView;
  readonly #signer: GrantSigner;
  #consumer: Consumer | undefined;

  private constructor(parts: EnforcerParts, view: PolicyView, signer: GrantSigner) {
    this.#parts = parts;
    this.#view = view;
    this.#signer = signer;
  }

  /** Begins to answer. Its signing key is in the store before. */
  static async start(parts: EnforcerParts): Promise<Enforcer> {
    const signer = new GrantSigner();
    const [view] = await Promise.all([PolicyView.open(parts.store, parts.log), signer.publish(parts.store)]);
    const enforcer = new Enforcer(parts, view, signer);
    enforcer.#consumer = await parts.bus.consume(ENFORCER_QUEUE, (message) => enforcer.#handle(message));
    return enforcer;
  }

  /** Answers what it has begun, then stops. */
  async close(): Promise<void> {
    await this.#consumer?.stop();
    await this.#view.close();
  }

  async #handle(message: Incoming): Promise<Verdict> {
    const { bus, log, metrics } = this.#parts;
    const { correlationId } = message;
    const begin = process.hrtime.bigint();
    let request: RequestApproval;
    try {
      request = readRequest(message);
    } catch (error) {
      // Never fatal: whoever can write to the queue must not be able to stop decisions.
      metrics.refusedMessages.inc();
      log.warn(
        { type: message.type, correlationId, error },
        "a message that is no request; it goes to the dead-letter queue",
      );
      return "drop";
    }
    if (request.leastRevision > this.#view.now().revision) {
      await this.#view
        .seen(request.leastRevision, BEHIND_MS)
        .catch((error: unknown) => log.warn({ error, correlationId }, "deciding by what is known so far"));
    }
    const { decision, response } = answer(request, this.#view.now(), (claims) => this.#signer.sign(claims));
    try {
      await bus.publish(ORCHESTRATOR_QUEUE, MESSAGE.validationResponse, encode.validationResponse(response), {
        ...(correlationId === undefined ? {} : { correlationId }),
        ...(message.headers.binaryTrace === undefined
          ? {}
          : { headers: { binaryTrace: message.headers.binaryTrace } }),
      });
    } catch (error) {
      if (error instanceof CodedError && error.code === "BUS-UNROUTABLE") throw error; // nobody is there to hear: told and dead-lettered
      log.warn({ error, correlationId }, "a decision could not be sent; its request is decided again");
      return "requeue";
    }
    metrics.decisions.inc({ decision: decision.decision });
    metrics.seconds.observe(Number(process.hrtime.bigint() - begin) / 1e9);
    const told = {
      correlationId,
      job: request.jobId,
      round: request.round,
      type: request.type,
      revision: response.revision,
    };
    if (decision.decision === "deny") log.info({ ...told, reasons: decision.reasons }, "denied");
    else log.debug(told, "allowed");
    return "ack";
  }
}

function readRequest(message: Incoming): RequestApproval {
  if (messageType(message.type) !== MESSAGE.requestApproval) {
    throw new CodedError({
      code: "BUS-MALFORMED",
      path: message.type,
      message: `the policy enforcer takes ${MESSAGE.requestApproval}, not ${message.type === "" ? "a message without type" : message.type}`,
      remedy: "send it to another queue",
    });
  }
  const request = decode(MESSAGE.requestApproval, message.body);
  if (request.dataProviders.length > MOST_PROVIDERS) {
    throw new CodedError({
      code: "BUS-MALFORMED",
      path: "data_providers",
      message: `${request.dataProviders.length} data providers; ${MOST_PROVIDERS} is the most`,
      remedy: "ask for fewer",
    });
  }
  return request;
}
