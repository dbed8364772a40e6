import { setTimeout as sleep } from "node:timers/promises";
import type { JobEnd, JobRevoked, RefusalReason, RoundReport } from "../contract/job.js";
import { agentQueue, GATEWAY_QUEUE, MESSAGE } from "../contract/names.js";
import { CodedError, type Problem } from "../contract/problem.js";
import { encode, packRequest, type Request } from "../contract/wire.js";
import type { JobTable } from "../jobs/job-log.js";
import type { RequestDataChecker } from "../jobs/request-data.js";
import type { Bus, Verdict } from "../platform/bus.js";
import type { Logger } from "../platform/log.js";
import type { Store } from "../platform/store.js";
import { compositionOf } from "../rounds/composition.js";
import { planWorkflow, roundsOf } from "../rounds/plan.js";
import type { AgentCaller } from "./agent-caller.js";
import type { Catalogue } from "./catalogue.js";
import type { EnforcerClient } from "./enforcer-client.js";
import { type Job, type JobArchive, partiesOf } from "./job-archive.js";
import { Outbox } from "./outbox.js";
import { type Revocations, Stopped } from "./revocation.js";
import { problemFor, questionOf, type RoundWork, runRound } from "./round.js";

export interface CoordinatorTools {
  readonly bus: Bus;
  readonly store: Store;
  readonly catalogue: Catalogue;
  readonly enforcer: EnforcerClient;
  readonly agents: AgentCaller;
  readonly revocations: Revocations;
  readonly jobs: JobTable<Job>;
  readonly archive: JobArchive;
  readonly checker: RequestDataChecker;
  readonly log: Logger;
  /** Milliseconds for one step at one agent. Default 30 s. */
  readonly stepDeadline?: number;
  /** Milliseconds for a whole job. Default 200 minutes, the lifespan of a microservice. */
  readonly jobDeadline?: number;
  /** Jobs at the same time. Default 1000. */
  readonly mostJobs?: number;
}

const DEFAULTS = { stepDeadline: 30_000, jobDeadline: 200 * 60_000, mostJobs: 1_000 } as const;

/** How long an end's telling is waited for before it is written. */
const TOLD_FIRST_MS = 2_000;

/** A data request that has been found good, and the job it is for. */
interface Admitted {
  readonly job: Job;
  readonly work: RoundWork;
  readonly rounds: number;
}

/** Runs jobs: for each data request its type's workflow, round by round, and tells the one who asked. */
export class Coordinator {
  readonly #tools: CoordinatorTools;
  readonly #running = new Map<
    string,
    { readonly record: Job["record"]; readonly abort: AbortController; readonly done: Promise<void> }
  >();

  constructor(tools: CoordinatorTools) {
    this.#tools = tools;
  }

  /**
   * Takes a data request. What is wrong with it goes back as the job's end, and the job itself stays as it was.
   *
   * @returns when the request may be acknowledged: a round is in the store, or the end has been told
   */
  async start(request: Request, correlationId: string): Promise<Verdict> {
    const jobId = request.requestMetadata?.jobId ?? "";
    const outbox = new Outbox(
      this.#tools.bus,
      {
        job: jobId,
        requestType: request.type,
        returnAddress: request.requestMetadata?.returnAddress || GATEWAY_QUEUE,
        correlationId,
      },
      this.#tools.log,
    );
    try {
      const admitted = await this.#admit(request, jobId, correlationId);
      if (admitted === undefined) await this.#tools.jobs.get(jobId)?.started;
      else await this.#launch(admitted, correlationId, outbox);
    } catch (error) {
      const known = this.#tools.jobs.get(jobId)?.log.end;
      // A request that came back from a crash asks about the job it had started.
      const ended = known?.problem?.code === "ORC-RESTARTED" ? known : failedEnd(problemFor(error), 0);
      if (!(error instanceof CodedError))
        this.#tools.log.error({ error, job: jobId }, "a data request failed unexpectedly");
      outbox.report("end", ended);
      await outbox.drained();
    }
    return "ack";
  }

  /** Jobs that run, by who computes in them. */
  load(): ReadonlyMap<string, number> {
    const load = new Map<string, number>();
    for (const { record } of this.#running.values())
      for (const party of record.computeProviders) load.set(party, (load.get(party) ?? 0) + 1);
    return load;
  }

  /** A job by its id, from memory or the store. */
  async find(jobId: string): Promise<Job | undefined> {
    const known = this.#tools.jobs.get(jobId);
    if (known !== undefined) return known;
    const loaded = await this.#tools.archive.load(jobId);
    // Somebody else may have loaded it, and even started it, while we read.
    const meanwhile = this.#tools.jobs.get(jobId);
    if (meanwhile !== undefined || loaded === undefined) return meanwhile;
    this.#tools.jobs.add(loaded.job);
    if (loaded.interrupted) void this.#afterEnd(loaded.job, this.#tellGateway(loaded.job)); // never rejects
    return loaded.job;
  }

  /**
   * Ends a job at its user's word, wherever it is worked on. One that has not begun never begins; one that has ended stays as it is.
   *
   * @param user - whose job it must be. Absent: the operator asks
   * @returns the job; `undefined`: there is none, or it is another user's
   */
  async cancel(jobId: string, user?: string): Promise<Job | undefined> {
    const job = await this.find(jobId);
    if (job === undefined || (user !== undefined && job.record.user !== user)) return undefined;
    const cancelled = new CodedError({
      code: "ORC-CANCELLED",
      path: "job",
      message: `the job was cancelled by ${user === undefined ? "the operator" : "its user"}`,
      remedy: "none is needed; send the request again to begin anew",
    });
    const running = this.#running.get(jobId);
    if (running !== undefined) running.abort.abort(cancelled);
    else if (job.log.status === "approved") {
      job.log.begin();
      job.log.add({ name: "end", data: failedEnd(cancelled.toProblem(), 0) });
      await this.#afterEnd(job, this.#tellGateway(job));
    }
    return job;
  }

  /** Ends the jobs that an orchestrator before us left running, and tells the gateway. */
  async recover(): Promise<void> {
    for (const jobId of await this.#tools.archive.interrupted()) await this.find(jobId);
  }

  /** A job's end to the gateway, where no data request says who asked. */
  async #tellGateway({ record: { job, requestType }, log: { end } }: Job): Promise<void> {
    if (end === undefined) return;
    const to = { job, requestType, returnAddress: GATEWAY_QUEUE, correlationId: job };
    const outbox = new Outbox(this.#tools.bus, to, this.#tools.log);
    outbox.report("end", end);
    await outbox.drained();
  }

  /** Ends all jobs as failed, and waits until that is told. */
  async close(): Promise<void> {
    const reason = new CodedError({
      code: "ORC-CLOSING",
      message: "the orchestrator was ended while the job ran",
      remedy: "send the request again",
    });
    const running = [...this.#running.values()];
    for (const { abort } of running) abort.abort(reason);
    await Promise.all(running.map((r) => r.done));
  }

  /** `undefined`: this very request runs already, it was delivered twice. */
  async #admit(request: Request, jobId: string, correlationId: string): Promise<Admitted | undefined> {
    const { catalogue, checker, mostJobs = DEFAULTS.mostJobs } = this.#tools;
    const job = await this.find(jobId);
    if (job === undefined)
      throw wrong(
        "ORC-JOB-UNKNOWN",
        "job_id",
        `there is no job ${jobId || "(empty)"}`,
        "ask for an approval first",
      );
    const { record } = job;
    const userName = request.user?.userName ?? "";
    if (record.user !== userName)
      throw wrong(
        "ORC-JOB-NOT-YOURS",
        "user.userName",
        `job ${jobId} was approved for another user`,
        "ask for an approval of your own",
      );
    if (record.requestType !== request.type) {
      throw wrong(
        "ORC-TYPE-MISMATCH",
        "data_request.type",
        `job ${jobId} was approved for ${record.requestType}, not ${request.type}`,
        "send the request type that was approved",
      );
    }
    const type = await catalogue.requestType(request.type);
    if (type === undefined)
      throw wrong(
        "ORC-REQUEST-TYPE-UNKNOWN",
        "data_request.type",
        `there is no request type ${request.type}`,
        "name one that is defined",
      );
    const [problem, ...more] = checker.check(type, request.data);
    if (problem !== undefined) {
      const others = more.length === 0 ? "" : ` (and ${more.length} more)`;
      throw new CodedError({ ...problem, message: `${problem.message}${others}` });
    }
    const plan = planWorkflow(type.value, catalogue.microservices());
    const rounds = roundsOf(plan, request.data);
    if (this.#running.size >= mostJobs)
      throw wrong("ORC-BUSY", "jobs", `${mostJobs} jobs run already`, "try again later");
    const composition = compositionOf(record.archetype, record.dataProviders, record.computeProviders);
    const user = { id: request.user?.id ?? "", userName };
    const packed = packRequest({
      type: request.type,
      data: request.data,
      user,
      requestMetadata: { jobId },
      options: request.options,
    });
    const work: RoundWork = {
      job: jobId,
      requestType: request.type,
      user,
      composition,
      plan,
      request: packed,
    };
    // Looked at last, with no await between this and the claim: one of two requests for a job is the first.
    if (job.correlationId === correlationId) return undefined;
    if (job.correlationId !== undefined || job.log.status !== "approved") {
      throw wrong(
        "ORC-JOB-EXISTS",
        "job_id",
        `job ${jobId} has been started already (${job.log.status})`,
        "ask for a new approval: a job runs once",
      );
    }
    job.correlationId = correlationId;
    return { job, work, rounds };
  }

  async #launch({ job, work, rounds }: Admitted, correlationId: string, outbox: Outbox): Promise<void> {
    const { log, jobDeadline = DEFAULTS.jobDeadline } = this.#tools;
    const abort = new AbortController();
    const limit = setTimeout(
      () =>
        abort.abort(
          wrong(
            "ORC-JOB-TOO-LONG",
            "job",
            `the job took more than ${jobDeadline / 60_000} minutes`,
            "ask for fewer rounds",
          ),
        ),
      jobDeadline,
    );
    const { promise: started, resolve } = Promise.withResolvers<void>();
    job.started = started;
    job.log.begin(rounds);
    log.info(
      { job: work.job, requestType: work.requestType, user: work.user.userName, rounds, correlationId },
      "a job begins",
    );
    const done = this.#run(job, work, rounds, outbox, abort, resolve).finally(() => {
      clearTimeout(limit);
      this.#running.delete(work.job);
      resolve();
    });
    this.#running.set(work.job, { record: job.record, abort, done });
    await started;
  }

  async #run(
    job: Job,
    work: RoundWork,
    rounds: number,
    outbox: Outbox,
    abort: AbortController,
    opened: () => void,
  ): Promise<void> {
    const tools = { ...this.#tools, stepDeadline: this.#tools.stepDeadline ?? DEFAULTS.stepDeadline };
    const ended = new AbortController();
    let asked = 1;
    let revoked: JobRevoked | undefined;
    const settled = this.#tools.revocations.watch({
      id: work.job,
      parties: partiesOf(job.record),
      question: () => questionOf(work, asked),
      ended: ended.signal,
      revoke: (event) => {
        revoked = event;
        job.log.add({ name: "revoked", data: event });
        outbox.report("revoked", event);
        if (event.effect === "stop") abort.abort(new Stopped(event));
      },
    });
    const begin = (round: number): Promise<RoundReport> => {
      asked = round;
      return runRound(work, round, tools, abort.signal, (event) => {
        job.log.add({ name: "round-open", data: event });
        opened();
      });
    };
    const tell = (report: RoundReport): void => {
      job.log.add({ name: "round", data: report });
      outbox.report("round", report);
    };
    let report = await begin(1);
    while (report.status === "completed" && report.round < rounds) {
      // The next round's question is on its way while this one's report is told.
      const next = revoked === undefined ? begin(report.round + 1) : refusedRound(report.round + 1, revoked);
      tell(report);
      report = await next;
    }
    tell(report);
    if (report.status === "failed" && report.problem !== undefined) await settled(report.problem);
    ended.abort();
    const end = endOf(report, report.round < rounds || report.status !== "completed" ? revoked : undefined);
    job.log.add({ name: "end", data: end });
    outbox.report("end", end);
    const { status, reason } = end;
    this.#tools.log.info(
      { job: work.job, status, rounds: end.rounds, ...(reason === undefined ? {} : { reason }) },
      "a job has ended",
    );
    await Promise.all([outbox.drained(), this.#afterEnd(job, outbox.drained())]);
  }

  /**
   * Writes the end and lets the job's microservices go. Neither can fail the job any more; what fails is logged.
   *
   * @param told - kept when the one who asked has been told
   */
  async #afterEnd(job: Job, told: Promise<void>): Promise<void> {
    const { bus, archive, log } = this.#tools;
    const { record } = job;
    const shutdowns = partiesOf(record).map(async (agent) => {
      const body = encode.microserviceCommunication({
        type: MESSAGE.microserviceCommunication,
        requestType: "shutdownRequest",
        metadata: { event: "shutdown" },
        requestMetadata: {
          jobId: record.job,
          correlationId: record.job,
          destinationQueue: agentQueue(agent),
        },
      });
      try {
        await bus.publish(agentQueue(agent), MESSAGE.microserviceCommunication, body, {
          correlationId: record.job,
          patience: 30_000,
        });
      } catch (error) {
        log.warn(
          { error, job: record.job, agent },
          "an agent was not told that a job has ended; its own time limit ends the microservices",
        );
      }
    });
    // An end in the store is not told again by an orchestrator that comes after us; without a broker nobody can be told now.
    const written = Promise.race([told, sleep(TOLD_FIRST_MS, undefined, { ref: false })]).then(() =>
      job.log.end === undefined ? undefined : archive.writeEnd(record.job, job.log.end),
    );
    await Promise.all([written, ...shutdowns]);
  }
}

/** What would have come next: nobody is asked once more, for the right may have been given again. */
function refusedRound(round: number, { reasons, revision }: JobRevoked): RoundReport {
  const durations = { validate: 0, open: 0, steps: {}, report: 0, total: 0 };
  return { round, status: "refused", durations, reasons, revision };
}

/** @param revoked - why there is no next round: that is the end's reason, whatever became of the round that was open */
function endOf(report: RoundReport, revoked: JobRevoked | undefined): JobEnd {
  const { status, round, reasons, revision, problem, data } = report;
  if (revoked !== undefined)
    return refusedEnd(revoked.reasons, revoked.revision, status === "completed" ? round : round - 1);
  if (status === "completed")
    return { status, rounds: round, ...(data === undefined ? {} : { result: data }) };
  if (status === "failed")
    return {
      ...failedEnd(problem ?? { code: "ORC-UNEXPECTED", message: "a round failed" }, round - 1),
      ...(revision === undefined ? {} : { revision }),
    };
  return refusedEnd(reasons ?? [], revision ?? 0, round - 1);
}

function refusedEnd(reasons: readonly RefusalReason[], revision: number, rounds: number): JobEnd {
  const [first] = reasons;
  const reason = `${first?.code ?? "POL-REFUSED"} ${first?.message ?? "refused"} (revision ${revision})`;
  return { status: "refused", rounds, reason, reasons, revision };
}

function failedEnd(problem: Problem, rounds: number): JobEnd {
  return { status: "failed", rounds, reason: `${problem.code} ${problem.message}`, problem };
}

function wrong(code: string, path: string, message: string, remedy: string): CodedError {
  return new CodedError({ code, path, message, remedy });
}
