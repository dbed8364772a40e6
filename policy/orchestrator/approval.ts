import { randomBytes } from "node:crypto";
import type { JobRecord, Microservice, RequestType } from "../contract/documents.js";
import type { RefusalReason } from "../contract/job.js";
import { agentQueue, KEY, MESSAGE } from "../contract/names.js";
import { CodedError, type Problem } from "../contract/problem.js";
import {
  type Draft,
  encode,
  type RequestApproval,
  type RequestApprovalResponse,
  type ValidationResponse,
} from "../contract/wire.js";
import type { JobTable } from "../jobs/job-log.js";
import type { Bus } from "../platform/bus.js";
import type { Logger } from "../platform/log.js";
import type { Store } from "../platform/store.js";
import { WriteBatch } from "../platform/write-batch.js";
import type { Composition } from "../rounds/composition.js";
import { planWorkflow, type WorkflowPlan } from "../rounds/plan.js";
import type { Catalogue } from "./catalogue.js";
import { type CompositionInput, compose } from "./compose.js";
import { checkDecided, type EnforcerClient } from "./enforcer-client.js";
import { explain } from "./explain.js";
import { type Job, newJob } from "./job-archive.js";
import { problemFor, reasonsOf } from "./round.js";

export interface ApprovalTools {
  readonly bus: Bus;
  readonly store: Store;
  readonly catalogue: Catalogue;
  readonly enforcer: EnforcerClient;
  readonly jobs: JobTable<Job>;
  /** Jobs that run, by who computes in them. */
  readonly load: () => ReadonlyMap<string, number>;
  readonly log: Logger;
  /** Approvals at the same time. Default 4000. */
  readonly most?: number;
}

type Answer = Draft<RequestApprovalResponse>;

const DEFAULT_MOST = 4_000;
/** Answers kept for a request that the broker hands out twice. */
const ANSWERS_KEPT = 4_096;

/** Answers requests for approval: the enforcer decides, we compose, record the job and tell its agents. */
export class Approvals {
  readonly #tools: ApprovalTools;
  readonly #answers = new Map<string, Promise<Answer>>();
  /** The user waits: a store that is away is told at once. */
  readonly #records: WriteBatch;
  #working = 0;

  constructor(tools: ApprovalTools) {
    this.#tools = tools;
    this.#records = new WriteBatch(tools.store, { patience: 0 });
  }

  /** The answer to a request. The same correlation id has one answer and one job, however often it comes. Never rejects. */
  answer(request: RequestApproval, correlationId: string): Promise<Answer> {
    const known = this.#answers.get(correlationId);
    if (known !== undefined) return known;
    const answer = this.#work(request, correlationId);
    this.#answers.set(correlationId, answer);
    if (this.#answers.size > ANSWERS_KEPT) {
      const [oldest] = this.#answers.keys();
      if (oldest !== undefined) this.#answers.delete(oldest);
    }
    return answer;
  }

  async #work(request: RequestApproval, correlationId: string): Promise<Answer> {
    this.#working += 1;
    try {
      return await this.#approve(request, correlationId);
    } catch (error) {
      if (!(error instanceof CodedError))
        this.#tools.log.error({ error, correlationId }, "an approval failed unexpectedly");
      return failed(request, problemFor(error));
    } finally {
      this.#working -= 1;
    }
  }

  async #approve(request: RequestApproval, correlationId: string): Promise<Answer> {
    const { catalogue, enforcer, load, most = DEFAULT_MOST } = this.#tools;
    if (this.#working > most) {
      throw new CodedError({
        code: "ORC-BUSY",
        path: "approvals",
        message: `${most} approvals are under way`,
        remedy: "try again later",
      });
    }
    const user = checkedUser(request);
    const dataProviders = [...new Set(request.dataProviders)].sort();
    if (dataProviders.length === 0)
      throw invalid("dataProviders", "no data provider is named", "name at least one");
    const type = await catalogue.requestType(request.type);
    if (type === undefined) {
      throw new CodedError({
        code: "ORC-REQUEST-TYPE-UNKNOWN",
        path: "type",
        message: `there is no request type ${request.type || "(empty)"} (known: ${catalogue.requestTypeNames().join(", ") || "none"})`,
        remedy: "name one of these",
      });
    }
    const question = { requestType: request.type, user, dataProviders, options: request.options };
    const decision = await enforcer.ask(question, { correlationId });
    checkDecided(decision);
    if (!decision.requestApproved) return refused(request, reasonsOf(decision), decision.revision);

    const services = catalogue.microservices();
    const { workflow } = type.value;
    const input: CompositionInput = {
      user: user.userName,
      providers: decision.validDataproviders,
      archetypes: catalogue.archetypes(),
      services: type.value.requiredServices.flatMap((name) => services.get(name) ?? []),
      ...(workflow === undefined ? {} : { workflow }),
      online: new Set(catalogue.agents().map((agent) => agent.name)),
      load: load(),
    };
    const outcome = compose(input);
    if (outcome.kind === "refused") return refused(request, outcome.reasons, decision.revision);
    if (outcome.kind === "failed") return failed(request, outcome.problem, decision.revision);
    const { composition } = outcome;
    return this.#record(
      request,
      user,
      composition,
      decision,
      explain(input, composition, planOf(type.value, services)),
    );
  }

  /** One write, then the agents are told. The write is the job: what is not in the store was never approved. */
  async #record(
    request: RequestApproval,
    user: { readonly id: string; readonly userName: string },
    composition: Composition,
    decision: ValidationResponse,
    explanation: readonly string[],
  ): Promise<Answer> {
    const { jobs, catalogue } = this.#tools;
    const record: JobRecord = {
      job: randomBytes(16).toString("hex"),
      user: user.userName,
      requestType: request.type,
      archetype: composition.archetype,
      dataProviders: composition.dataProviders,
      computeProviders: composition.computeProviders,
      createdAt: new Date().toISOString(),
    };
    await this.#records.put(KEY.job(record.job), record);
    jobs.add(newJob(record));
    // The user's answer goes to the wire first, in the next turn of the event loop. The agents' own are on their way one turn later, long before
    // the job's first step, which needs the user's data request and a decision of the enforcer.
    setImmediate(() => setImmediate(() => this.#tellAgents(record, user, composition)));
    return {
      type: MESSAGE.requestApprovalResponse,
      user,
      authorizedProviders: Object.fromEntries(
        [...composition.roles.keys()].map((name) => [name, catalogue.agent(name)?.dns ?? ""]),
      ),
      jobId: record.job,
      revision: decision.revision,
      archetypeId: composition.archetype,
      computeProviders: composition.computeProviders,
      explanation,
    };
  }

  /**
   * By the same channel as the job's steps, and before them: each agent knows the job when its first step comes. Nobody waits for the confirms: an
   * agent that is gone by now shows at the first step, with its name.
   */
  #tellAgents(
    record: JobRecord,
    user: { readonly id: string; readonly userName: string },
    composition: Composition,
  ): void {
    const { bus, log } = this.#tools;
    for (const [agent, role] of composition.roles) {
      const body = encode.compositionRequest({
        archetypeId: record.archetype,
        requestType: record.requestType,
        role,
        user,
        dataProviders: record.dataProviders,
        destinationQueue: agentQueue(agent),
        jobName: record.job,
      });
      bus
        .publish(agentQueue(agent), MESSAGE.compositionRequest, body, {
          correlationId: record.job,
          patience: 10_000,
        })
        .catch((error: unknown) =>
          log.warn({ error, agent, job: record.job }, "a composition request did not reach its agent"),
        );
    }
  }
}

/** A workflow that cannot be planned is told when the job begins, with its path. */
function planOf(type: RequestType, services: ReadonlyMap<string, Microservice>): WorkflowPlan | undefined {
  try {
    return planWorkflow(type, services);
  } catch {
    return undefined;
  }
}

function checkedUser({ user }: RequestApproval): { readonly id: string; readonly userName: string } {
  if (user === undefined || user.userName === "")
    throw invalid("user.userName", "no user is named", "say who asks");
  return { id: user.id, userName: user.userName };
}

function refused(request: RequestApproval, reasons: readonly RefusalReason[], revision: number): Answer {
  const [first] = reasons;
  const error = `${first?.code ?? "POL-REFUSED"}: ${first?.message ?? "refused"}`;
  return { ...answerTo(request), error, reasons, revision };
}

/** A breakdown: `error` is the problem as JSON, and there are no reasons. */
function failed(request: RequestApproval, problem: Problem, revision = 0): Answer {
  return { ...answerTo(request), error: JSON.stringify(problem), revision };
}

function answerTo({ user }: RequestApproval): Answer {
  return {
    type: MESSAGE.requestApprovalResponse,
    user: { id: user?.id ?? "", userName: user?.userName ?? "" },
  };
}

function invalid(path: string, message: string, remedy: string): CodedError {
  return new CodedError({ code: "ORC-REQUEST-INVALID", path, message, remedy });
}
