/**
 * An agent whose microservices are a script of the test. It speaks the real messages and does a round as production agents do (policy/agent,
 * policy/rounds); only handing over goes from one scripted agent to another in memory.
 */

import { Handled } from "../../../policy/agent/handled.js";
import { forMicroservice, readAsked } from "../../../policy/agent/messages.js";
import type { Plans } from "../../../policy/agent/plans.js";
import { RoundInputs } from "../../../policy/agent/round-inputs.js";
import { type RoundPorts, StepFailure, workRound } from "../../../policy/agent/round-work.js";
import type { OnlineAgent } from "../../../policy/contract/documents.js";
import { agentQueue, KEY, MESSAGE } from "../../../policy/contract/names.js";
import { type Parts, packParts, unpackParts, viewParts } from "../../../policy/contract/parts.js";
import { CodedError, type Problem } from "../../../policy/contract/problem.js";
import {
  type CompositionRequest,
  decode,
  type MicroserviceCommunication,
} from "../../../policy/contract/wire.js";
import type { Bus, Verdict } from "../../../policy/platform/bus.js";
import type { GrantVerifier } from "../../../policy/platform/grants.js";
import type { Presence, Store } from "../../../policy/platform/store.js";
import { type AgentReport, encodeReport } from "../../../policy/rounds/messages.js";
import { tasksOf } from "../../../policy/rounds/plan.js";

/** What a scripted agent answers to a step. */
export interface Answer {
  readonly data?: Record<string, unknown>;
  readonly parts?: Parts;
  readonly computeMs?: number;
  readonly startMs?: number;
  readonly problem?: Problem;
  /** Say nothing at all. */
  readonly silent?: boolean;
}
/** `message` is what a microservice would get: its `data` is the JSON inputs by step and agent. */
export type Script = (
  step: string,
  message: MicroserviceCommunication,
  parts: Parts,
) => Promise<Answer> | Answer;

/** What the agents of one market share. */
export interface Neighbourhood {
  readonly agents: ReadonlyMap<string, ScriptedAgent>;
  readonly plans: Plans;
  readonly grants: GrantVerifier;
}

interface Job {
  readonly inputs: RoundInputs;
  readonly ended: AbortController;
}

export class ScriptedAgent {
  readonly name: string;
  readonly compositions: CompositionRequest[] = [];
  readonly steps: {
    readonly step: string;
    readonly round: number;
    readonly job: string;
    readonly token: number;
    readonly message: MicroserviceCommunication;
  }[] = [];
  /** Every message it got, packed. */
  readonly received: Uint8Array[] = [];
  /** Jobs it was told to end. */
  readonly shutdowns: string[] = [];
  script: Script = (step) => ({ data: { by: this.name, step } });
  readonly #bus: Bus;
  readonly #neighbourhood: Neighbourhood;
  readonly #handled = new Handled();
  readonly #jobs = new Map<string, Job>();
  #presence: Presence | undefined;

  constructor(name: string, bus: Bus, neighbourhood: Neighbourhood) {
    this.name = name;
    this.#bus = bus;
    this.#neighbourhood = neighbourhood;
  }

  async start(store: Store): Promise<void> {
    await this.#bus.declareQueue(agentQueue(this.name));
    await this.#bus.consume(
      agentQueue(this.name),
      async ({ type, body, correlationId = "" }) => {
        this.received.push(body);
        if (type === MESSAGE.compositionRequest) {
          this.compositions.push(decode("compositionRequest", body));
          return "ack";
        }
        return await this.#communicate(decode("microserviceCommunication", body), correlationId);
      },
      { prefetch: 1000 },
    );
    await this.online(store);
  }

  async online(store: Store): Promise<void> {
    const value: OnlineAgent = {
      name: this.name,
      ActiveSince: "now",
      ConfigUpdated: "now",
      routingKey: agentQueue(this.name),
      dns: `${this.name}:8080`,
    };
    this.#presence = await store.presence(KEY.online(this.name), value, 5);
  }

  async offline(): Promise<void> {
    await this.#presence?.close();
  }

  /** What others hand over to it. */
  inputs(job: string): RoundInputs {
    return this.#job(job).inputs;
  }

  #job(id: string): Job {
    let job = this.#jobs.get(id);
    if (job === undefined) {
      job = { inputs: new RoundInputs(), ended: new AbortController() };
      this.#jobs.set(id, job);
    }
    return job;
  }

  async #communicate(message: MicroserviceCommunication, id: string): Promise<Verdict> {
    const job = message.requestMetadata?.jobId ?? "";
    if (message.requestType === "shutdownRequest") {
      this.shutdowns.push(job);
      const problem = { code: "JOB-ENDED", message: `job ${job} has ended` };
      this.#jobs.get(job)?.ended.abort(new CodedError(problem));
      this.#jobs.get(job)?.inputs.close(problem);
      this.#jobs.delete(job);
      return "ack";
    }
    return await this.#handled.once(id, async () => {
      const outcome = await this.#work(message).catch((error: unknown) => {
        const inStep = error instanceof StepFailure;
        const cause = inStep ? error.cause : error;
        if (!(cause instanceof CodedError)) throw error;
        return { problem: cause.toProblem(), ...(inStep ? { step: error.step } : {}) };
      });
      const report = encodeReport(message, this.name, id, outcome);
      const address = message.requestMetadata?.returnAddress ?? "";
      const options = { correlationId: id, patience: 20_000 };
      const sent = this.#bus.publish(address, MESSAGE.microserviceCommunication, report, options);
      return await sent.then(
        () => "ack" as const,
        (error: CodedError) => (error.code === "BUS-UNROUTABLE" ? "drop" : "requeue"),
      );
    });
  }

  async #work(message: MicroserviceCommunication): Promise<AgentReport> {
    const { plans, grants, agents } = this.#neighbourhood;
    const { round: claim, steps, grant } = readAsked(message, this.name);
    const claims = await grants.verify(grant);
    const { plan, composition } = plans.of(claims);
    const { inputs, ended } = this.#job(claim.job);
    inputs.forgetBefore(claim.round);
    const asked = new Set(steps.map(({ step }) => step));
    const tasks = tasksOf(plan, composition, this.name).filter(({ step }) => asked.has(step.name));
    const ports: RoundPorts = {
      work: async (step, given) => {
        const body = forMicroservice(message, step, given, {}, agentQueue(this.name), "script");
        const asksFor = decode("microserviceCommunication", body);
        this.steps.push({ step: step.name, ...claim, message: asksFor });
        const answer = await this.script(step.name, asksFor, unpackParts(asksFor.result));
        if (answer.silent === true) return await new Promise<never>(() => {});
        if (answer.problem !== undefined) throw new CodedError(answer.problem);
        const { data, parts = {}, computeMs = 0, startMs = 0 } = answer;
        return { data, parts: viewParts(packParts(parts)), computeMs, startMs };
      },
      take: (step, from, signal) => inputs.take(claim.round, step, from, signal),
      handOver: async (to, step, answer) =>
        agents.get(to)?.inputs(claim.job).give(claim.round, step, this.name, answer, 0),
    };
    const { answers, spans } = await workRound(this.name, tasks, composition, ports, ended.signal);
    return { spans, result: answers.get(plan.result.name)?.data };
  }
}
