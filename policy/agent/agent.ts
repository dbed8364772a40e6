import type { Microservice, RequestType } from "../contract/documents.js";
import { MicroserviceCommunication } from "../contract/generated/dynamos.js";
import type { GrantClaims } from "../contract/grants.js";
import { KEY, MESSAGE, ORCHESTRATOR_QUEUE } from "../contract/names.js";
import { CodedError, type Problem } from "../contract/problem.js";
import { decode, messageType } from "../contract/wire.js";
import type { Bus, Incoming, Verdict } from "../platform/bus.js";
import type { Logger } from "../platform/log.js";
import type { Mirror } from "../platform/store.js";
import { type Answers, garbage, settleAnswer } from "./answer.js";
import { Handled } from "./handled.js";
import type { Jobs } from "./jobs.js";
import { forCoordinator, forMicroservice, readAsked } from "./messages.js";
import { isProblem, type Permit, permitStep, type StepClaim } from "./step.js";

export interface AgentOptions {
  /** The party. */
  readonly agent: string;
  /** Its own queue. */
  readonly queue: string;
  readonly bus: Bus;
  readonly jobs: Jobs;
  /** Steps that wait for their microservice. */
  readonly answers: Answers;
  readonly requestTypes: Mirror<RequestType>;
  readonly microservices: Mirror<Microservice>;
  readonly log: Logger;
}

/** Steps at work at the same time. Each holds its message until it is answered, so that a broken connection brings it back. */
const MOST_AT_WORK = 256;
/** Well above the steps at work, or their answers, which come by the same queue, would not be handed out. */
export const AGENT_PREFETCH = 4 * MOST_AT_WORK;
const PATIENCE_MS = 30_000;

/** What a party's agent does with each message of its queue. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #handled = new Handled();
  #atWork = 0;

  constructor(options: AgentOptions) {
    this.#options = options;
  }

  async handle(incoming: Incoming): Promise<Verdict> {
    switch (messageType(incoming.type)) {
      case MESSAGE.compositionRequest:
        return await this.#compose(incoming);
      case MESSAGE.microserviceCommunication:
        return await this.#communicate(incoming);
      default:
        this.#options.log.error({ type: incoming.type }, "a message of a type that agents do not know");
        return "drop";
    }
  }

  async #compose(incoming: Incoming): Promise<Verdict> {
    await this.#options.jobs.compose(decode(MESSAGE.compositionRequest, incoming.body));
    return "ack";
  }

  async #communicate(incoming: Incoming): Promise<Verdict> {
    const { answers, jobs, log, queue } = this.#options;
    let message: MicroserviceCommunication;
    try {
      message = decode(MESSAGE.microserviceCommunication, incoming.body);
    } catch (error) {
      // A microservice's answer that cannot be read is known by its correlation id; anything else goes to the dead letters.
      if (incoming.correlationId !== undefined && answers.fail(incoming.correlationId, garbage(error)))
        return "ack";
      throw error;
    }
    const { returnAddress = "", jobId = "", correlationId = "" } = message.requestMetadata ?? {};
    const id = incoming.correlationId ?? correlationId;
    // We asked a microservice to answer here; a coordinator has another queue.
    if (returnAddress === queue) {
      if (!settleAnswer(answers, id, message))
        log.debug({ correlationId: id }, "an answer nobody waits for (any more)");
      return "ack";
    }
    if (message.requestType === "shutdownRequest") {
      await jobs.end(jobId, "its coordinator asked");
      return "ack";
    }
    // Whoever names another queue would have us write, with our rights, where we have nothing to say.
    if (id === "" || returnAddress !== ORCHESTRATOR_QUEUE) {
      log.error(
        { code: "AGT-RETURN-ADDRESS", job: jobId, correlationId: id, returnAddress },
        "a request that cannot be answered: agents answer coordinators only, by correlation id",
      );
      return "drop";
    }
    return await this.#handled.once(id, async () => {
      const answer = await this.#outcome(message, id);
      return await this.#reply(message, id, answer);
    });
  }

  /** Works, or says why not. */
  async #outcome(
    message: MicroserviceCommunication,
    id: string,
  ): Promise<MicroserviceCommunication | Problem> {
    if (this.#atWork >= MOST_AT_WORK)
      return {
        code: "AGT-BUSY",
        message: `${MOST_AT_WORK} steps are at work here`,
        remedy: "try again when they are done",
      };
    this.#atWork += 1;
    try {
      return await this.#work(message, id);
    } catch (error) {
      const { log } = this.#options;
      log.warn({ error, job: message.requestMetadata?.jobId, correlationId: id }, "a step was not done");
      if (error instanceof CodedError) return error.toProblem();
      return { code: "AGT-FAILED", message: "an unexpected fault in this agent", remedy: "look at its log" };
    } finally {
      this.#atWork -= 1;
    }
  }

  async #work(message: MicroserviceCommunication, id: string): Promise<MicroserviceCommunication> {
    const { agent, jobs, queue } = this.#options;
    const asked = readAsked(message, agent);
    const job = jobs.get(asked.round.job);
    const claims = await job.admission.admit(asked.round, asked.grant);
    const permit = this.#permit(asked.step, claims);
    const microservice = await jobs.microservice(job, permit);
    return await microservice.work(forMicroservice(message, permit.role, queue, id), id);
  }

  #permit(step: StepClaim, claims: GrantClaims): Permit {
    const { requestTypes, microservices } = this.#options;
    const requestType = requestTypes.get(KEY.requestType(claims.requestType))?.value;
    const permit = permitStep(
      step,
      claims,
      requestType,
      microservices.get(KEY.microservice(step.service))?.value,
    );
    if (isProblem(permit)) throw new CodedError(permit);
    return permit;
  }

  async #reply(
    asked: MicroserviceCommunication,
    id: string,
    outcome: MicroserviceCommunication | Problem,
  ): Promise<Verdict> {
    const { agent, bus, log } = this.#options;
    const answer = forCoordinator(asked, agent, id, outcome);
    const address = answer.requestMetadata?.destinationQueue ?? "";
    try {
      const body = MicroserviceCommunication.encode(answer).finish();
      await bus.publish(address, MESSAGE.microserviceCommunication, body, {
        correlationId: id,
        patience: PATIENCE_MS,
      });
      return "ack";
    } catch (error) {
      log.error({ error, correlationId: id, address }, "an answer could not be sent");
      // Without the asker's queue there is nobody to tell; without the broker we try again when it is back.
      return error instanceof CodedError && error.code === "BUS-UNROUTABLE" ? "drop" : "requeue";
    }
  }
}
