import { randomUUID } from "node:crypto";
import type { DataAccess } from "../contract/data-access.js";
import type { MicroserviceCommunication } from "../contract/generated/dynamos.js";
import type { GrantClaims } from "../contract/grants.js";
import { MESSAGE, ORCHESTRATOR_QUEUE } from "../contract/names.js";
import { CodedError, type Problem } from "../contract/problem.js";
import { decode, messageType } from "../contract/wire.js";
import type { Bus, Incoming, Verdict } from "../platform/bus.js";
import type { Logger } from "../platform/log.js";
import { type AgentReport, encodeReport } from "../rounds/messages.js";
import { tasksOf } from "../rounds/plan.js";
import { type Answers, garbage, settleAnswer } from "./answer.js";
import { type HandOvers, unreachable } from "./hand-over.js";
import { Handled } from "./handled.js";
import type { Job } from "./job.js";
import { apart } from "./job-files.js";
import type { Jobs } from "./jobs.js";
import { type Asked, forMicroservice, readAsked } from "./messages.js";
import type { MicroserviceOfJob } from "./microservice.js";
import type { Plans } from "./plans.js";
import { retrying } from "./retry.js";
import { type RoundPorts, StepFailure, workRound } from "./round-work.js";
import { isProblem, type Permit, permitStep, type StepClaim } from "./step.js";

type Outcome = Parameters<typeof encodeReport>[3];

export interface AgentOptions {
  /** The party. */
  readonly agent: string;
  /** Its own queue. */
  readonly queue: string;
  readonly bus: Bus;
  readonly jobs: Jobs;
  /** Steps that wait for their microservice. */
  readonly answers: Answers;
  readonly plans: Plans;
  readonly handOvers: HandOvers;
  /** What of this party's data a round may read. */
  readonly access: (granted: GrantClaims) => DataAccess;
  /** Whether this party lets microservices live from round to round of a job of this grant. */
  readonly allowsPersistence: (granted: GrantClaims) => boolean;
  /** How long one step may take; a round as many times that as it has steps one after the other. */
  readonly stepMs: number;
  readonly log: Logger;
}

/** Rounds at work at the same time. Each holds its message until it is answered, so that a broken connection brings it back. */
const MOST_AT_WORK = 256;
/** Well above the rounds at work, or their answers, which come by the same queue, would not be handed out. */
export const AGENT_PREFETCH = 4 * MOST_AT_WORK;
const PATIENCE_MS = 30_000;
/** The requestor's answer goes by the broker, whose own limit (RabbitMQ 4: 16 MiB) closes the channel for everybody. */
const MOST_REPORT_BYTES = 8 * 1024 * 1024;

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
      const outcome = await this.#outcome(message, id);
      const report = (what: Outcome) => encodeReport(message, this.#options.agent, id, what);
      const body = report(outcome);
      const told =
        body.length > MOST_REPORT_BYTES
          ? report({ problem: tooMuch(this.#options.agent, body.length) })
          : body;
      return await this.#reply(returnAddress, id, told);
    });
  }

  /** Works, or says why not. */
  async #outcome(message: MicroserviceCommunication, id: string): Promise<Outcome> {
    if (this.#atWork >= MOST_AT_WORK)
      return {
        problem: {
          code: "AGT-BUSY",
          message: `${MOST_AT_WORK} rounds are at work here`,
          remedy: "try again when they are done",
        },
      };
    this.#atWork += 1;
    try {
      return await this.#work(message);
    } catch (failure) {
      const { log } = this.#options;
      const inStep = failure instanceof StepFailure;
      const error = inStep ? failure.cause : failure;
      const where = inStep ? { step: failure.step } : {};
      log.warn(
        { error, job: message.requestMetadata?.jobId, correlationId: id, ...where },
        "a round's work was not done",
      );
      if (error instanceof CodedError) return { problem: error.toProblem(), ...where };
      const problem = {
        code: "AGT-FAILED",
        message: "an unexpected fault in this agent",
        remedy: "look at its log",
      };
      return { problem, ...where };
    } finally {
      this.#atWork -= 1;
    }
  }

  async #work(message: MicroserviceCommunication): Promise<AgentReport> {
    const { agent, jobs, plans, stepMs } = this.#options;
    const asked = readAsked(message, agent);
    const job = jobs.get(asked.round.job);
    const claims = await job.admission.admit(asked.round, asked.grant);
    // It may have ended meanwhile: nothing must be started for it that nobody would end.
    job.ended.signal.throwIfAborted();
    job.inputs.forgetBefore(asked.round.round);
    job.files.forgetBefore(asked.round.round);
    const permits = new Map(asked.steps.map((claim) => [claim.step, this.#permit(claim, claims)]));
    const persistent = this.#persistent(claims);
    const { plan, composition } = plans.of(claims);
    const tasks = tasksOf(plan, composition, agent).filter(({ step }) => permits.has(step.name));
    const limitMs = plan.levels.length * stepMs;
    const access = await jobs.data(job, this.#options.access(claims));
    job.ended.signal.throwIfAborted();
    const services = new Map(
      [...permits].map(([step, permit]) => [step, jobs.microservice(job, permit, limitMs)] as const),
    );
    job.atWork += 1;
    // Started while others still work for what it waits for.
    for (const service of services.values()) void service.then((s) => s.prepare()).catch(() => {});
    const end = new AbortController();
    const late = roundLate(asked.round.round, limitMs);
    const timer = setTimeout(() => end.abort(late), limitMs);
    const jobEnded = (): void => end.abort(job.ended.signal.reason);
    job.ended.signal.addEventListener("abort", jobEnded);
    try {
      const ports = this.#ports(message, asked, access, job, services, late);
      const { answers, spans } = await workRound(agent, tasks, composition, ports, end.signal);
      return { spans, result: answers.get(plan.result.name)?.data };
    } finally {
      clearTimeout(timer);
      job.ended.signal.removeEventListener("abort", jobEnded);
      job.atWork -= 1;
      if (!persistent && job.atWork === 0 && !job.ended.signal.aborted) jobs.rest(job);
    }
  }

  /** Whether the job's microservices live on after this round: the request type must need it and the own agreement allow it. */
  #persistent(claims: GrantClaims): boolean {
    const { agent, plans, allowsPersistence } = this.#options;
    if (plans.requestType(claims.requestType)?.persistence !== "job") return false;
    if (allowsPersistence(claims)) return true;
    throw new CodedError({
      code: "AGT-PERSISTENCE",
      path: `agreements/${agent}: relations[${JSON.stringify(claims.sub)}].persistence`,
      message: `${claims.requestType} keeps microservices from round to round, which ${agent} does not allow ${claims.sub}`,
      remedy: 'set persistence: "job" there, or take it out of the request type',
    });
  }

  #ports(
    message: MicroserviceCommunication,
    { round: { job: id, round }, grant }: Asked,
    access: DataAccess,
    job: Job,
    services: ReadonlyMap<string, Promise<MicroserviceOfJob>>,
    late: CodedError,
  ): RoundPorts {
    const { queue, handOvers } = this.#options;
    return {
      async work(step, inputs, signal) {
        const service = await services.get(step.name);
        if (service === undefined) throw new Error(`no microservice for ${step.name}`);
        const limitMs = step.seconds === undefined ? undefined : step.seconds * 1_000;
        const [file] = Object.keys(inputs.files ?? {});
        if (file !== undefined && (await service.folder()) === undefined) throw apart(file);
        const worked = await retrying(step, signal, async (attempt) => {
          const correlationId = randomUUID();
          const body = forMicroservice(message, step, inputs, access, queue, correlationId, attempt);
          return await service.work(body, correlationId, limitMs);
        });
        return { ...worked, files: job.files.take(round, await service.folder(), worked.paths) };
      },
      async take(step, from, signal) {
        try {
          return await job.inputs.take(round, step, from, signal);
        } catch (error) {
          throw error === late ? inputLate(step, from) : error;
        }
      },
      async handOver(to, step, answer, signal) {
        try {
          await handOvers.give(to, { job: id, round, step, grant }, answer, signal);
        } catch (error) {
          throw error === late ? unreachable(to, step, "it did not take it in time") : error;
        }
      },
    };
  }

  #permit(step: StepClaim, claims: GrantClaims): Permit {
    const { plans } = this.#options;
    const permit = permitStep(
      step,
      claims,
      plans.requestType(claims.requestType),
      plans.microservice(step.service),
    );
    if (isProblem(permit)) throw new StepFailure(step.step, new CodedError(permit));
    return permit;
  }

  async #reply(address: string, id: string, body: Uint8Array): Promise<Verdict> {
    const { bus, log } = this.#options;
    try {
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

function tooMuch(agent: string, bytes: number): Problem {
  return {
    code: "AGT-RESULT-TOO-LARGE",
    path: "result",
    message: `the answer of ${agent} to the requestor has ${bytes} bytes; ${MOST_REPORT_BYTES} are the most`,
    remedy: "let the workflow's last step sum up; between steps parts and files may be larger",
  };
}

function roundLate(round: number, milliseconds: number): CodedError {
  return new CodedError({
    code: "AGT-INPUT-TIMEOUT",
    path: `rounds/${round}`,
    message: `round ${round} was not done within ${milliseconds / 1_000} s`,
    remedy: "look at the logs of the job's agents",
  });
}

function inputLate(step: string, from: string): CodedError {
  return new CodedError({
    code: "AGT-INPUT-TIMEOUT",
    path: `${step}/${from}`,
    message: `${from}'s answer to ${step} did not come in time`,
    remedy: `look at the log of agent ${from}`,
  });
}
