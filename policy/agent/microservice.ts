import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { MicroserviceCommunication } from "../contract/generated/dynamos.js";
import { CodedError, type Problem } from "../contract/problem.js";
import type { Logger } from "../platform/log.js";
import type { Answers } from "./answer.js";
import { controlMessage } from "./messages.js";
import type { JobRunner, JobService, Running } from "./runner.js";

/** Sends a message (an encoded `microserviceCommunication`) to a microservice's queue; resolves once the broker has it. */
export type SendToQueue = (queue: string, correlationId: string, body: Uint8Array) => Promise<void>;

export interface MicroserviceOptions {
  readonly runner: JobRunner;
  /** Steps and pings that wait, of all microservices of the agent, by correlation id. Its deadline's code is `JOB-TIMEOUT`. */
  readonly answers: Answers;
  readonly log: Logger;
  readonly send: SendToQueue;
  /** The agent's own queue, where answers come. */
  readonly returnAddress: string;
  /** Limit of the first answer to `ping` after a start. */
  readonly startMs: number;
  /** Limit of one step, from its message's coming to its answer. */
  readonly stepMs: number;
}

/** To wait for what is there already takes no time; a start takes a tenth of a second at least. */
const NO_START_MS = 5;
/** How long a microservice may take to end by itself after `shutdownRequest`. */
const SHUTDOWN_MS = 1_000;

/**
 * One microservice of one job: started before its first work, found to answer by a `ping`, then asked step after step.
 * Once it has died or hung it stays dead for its job: what it had learnt is lost, and a new one would begin from nothing unseen.
 */
export class MicroserviceOfJob {
  readonly #service: JobService;
  readonly #options: MicroserviceOptions;
  #started: Promise<Running> | undefined;
  #dead: Problem | undefined;
  readonly #waiting = new Set<string>();
  readonly #toQueue = (correlationId: string, body: Uint8Array): Promise<void> =>
    this.#options.send(this.#service.queue, correlationId, body);

  constructor(service: JobService, options: MicroserviceOptions) {
    this.#service = service;
    this.#options = options;
  }

  /**
   * One step (an encoded `microserviceCommunication`): its answer, whatever the microservice says, and how long it waited for a start.
   *
   * @param limitMs - of the step, where it is shorter than the agent's own
   * @throws CodedError `JOB-ENTRY`, `JOB-START`, `JOB-DIED`, `JOB-TIMEOUT`, `JOB-GARBAGE`
   */
  async work(
    body: Uint8Array,
    correlationId: string,
    limitMs = Number.POSITIVE_INFINITY,
  ): Promise<{ readonly answer: MicroserviceCommunication; readonly startMs: number }> {
    const begin = performance.now();
    this.#started ??= this.#start();
    const { send = this.#toQueue } = await this.#started;
    const startMs = performance.now() - begin;
    const milliseconds = Math.min(limitMs, Math.max(0, this.#options.stepMs - startMs));
    const answer = await this.#ask(send, body, correlationId, milliseconds);
    return { answer, startMs: startMs < NO_START_MS ? 0 : startMs };
  }

  /** Its working folder, where it is one of this machine. */
  async folder(): Promise<string | undefined> {
    return (await this.#started)?.folder;
  }

  /** Starts it ahead of its first step. A start that fails is told by that step. */
  prepare(): void {
    this.#started ??= this.#start();
    this.#started.catch(() => {});
  }

  /**
   * Asks it to end, and waits a moment. The runner ends what does not.
   *
   * @param stopped - why there is no time for that: who waits for it is told, and the runner ends it
   */
  async shutdown(stopped?: Problem): Promise<void> {
    if (stopped !== undefined) {
      this.#failAll(stopped);
      return;
    }
    const running = await this.#started?.catch(() => undefined);
    if (running === undefined || this.#dead !== undefined) return;
    this.#dead = { code: "JOB-ENDED", message: `job ${this.#service.job} has ended` };
    this.#failAll(this.#dead);
    const id = randomUUID();
    this.#toQueue(id, MicroserviceCommunication.encode(this.#control("shutdownRequest", id)).finish()).catch(
      (error: unknown) =>
        this.#options.log.debug({ error }, "a microservice could not be asked to end; its runner ends it"),
    );
    await Promise.race([running.ended, sleep(SHUTDOWN_MS, undefined, { ref: false })]);
  }

  async #start(): Promise<Running> {
    const { runner, startMs } = this.#options;
    try {
      const running = await runner.ensure(this.#service);
      void running.ended.then((problem) => this.#failAll(problem));
      const id = randomUUID();
      const ping = MicroserviceCommunication.encode(this.#control("ping", id)).finish();
      await this.#ask(this.#toQueue, ping, id, startMs);
      return running;
    } catch (error) {
      const problem =
        error instanceof CodedError ? error.toProblem() : { code: "JOB-START", message: String(error) };
      this.#dead ??= problem;
      throw error instanceof CodedError ? error : new CodedError(problem, { cause: error });
    }
  }

  async #ask(
    send: NonNullable<Running["send"]>,
    body: Uint8Array,
    correlationId: string,
    milliseconds: number,
  ): Promise<MicroserviceCommunication> {
    if (this.#dead !== undefined) throw new CodedError(this.#dead);
    const { answers } = this.#options;
    this.#waiting.add(correlationId);
    try {
      const answer = answers.wait(correlationId, milliseconds);
      send(correlationId, body).catch((error: Error) => answers.fail(correlationId, error));
      return await answer;
    } catch (error) {
      if (error instanceof CodedError && error.code === "JOB-TIMEOUT") this.#abandon(error.toProblem());
      throw error;
    } finally {
      this.#waiting.delete(correlationId);
    }
  }

  /** A microservice that hangs may still be at work on our step: its state is not to be trusted any more. */
  #abandon(problem: Problem): void {
    this.#dead ??= problem;
    const { runner, log } = this.#options;
    runner
      .stop(this.#service.job)
      .catch((error: unknown) =>
        log.error({ job: this.#service.job, error }, "a microservice that hangs could not be ended"),
      );
  }

  #failAll(problem: Problem): void {
    this.#dead ??= problem;
    for (const id of this.#waiting) this.#options.answers.fail(id, new CodedError(problem));
  }

  #control(requestType: "ping" | "shutdownRequest", correlationId: string): MicroserviceCommunication {
    return controlMessage(
      requestType,
      this.#service.job,
      this.#service.queue,
      this.#options.returnAddress,
      correlationId,
    );
  }
}
