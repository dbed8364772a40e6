import { join } from "node:path";
import type { DataAccess } from "../contract/data-access.js";
import { GRANT_SECONDS, type GrantClaims } from "../contract/grants.js";
import { KEY } from "../contract/names.js";
import { CodedError, type Problem } from "../contract/problem.js";
import type { CompositionRequest } from "../contract/wire.js";
import type { Bus } from "../platform/bus.js";
import type { Logger } from "../platform/log.js";
import type { Store } from "../platform/store.js";
import { WriteBatch } from "../platform/write-batch.js";
import { Admission, type GrantReader } from "./admission.js";
import { type Job, MOST_SERVICES, nextQueue, queueOf } from "./job.js";
import { FILES_FOLDER, JobFiles } from "./job-files.js";
import { JobWatch } from "./job-watch.js";
import { safeName } from "./messages.js";
import { MicroserviceOfJob, type MicroserviceOptions } from "./microservice.js";
import type { OwnAgreement } from "./own-agreement.js";
import { RoundInputs } from "./round-inputs.js";
import type { JobRunner } from "./runner.js";
import type { Permit } from "./step.js";

export interface JobsOptions {
  readonly agent: string;
  readonly bus: Bus;
  readonly store: Store;
  readonly own: OwnAgreement;
  readonly grants: GrantReader;
  readonly runner: JobRunner;
  readonly microservice: MicroserviceOptions;
  /** Each job has a folder below it, removed with the job. */
  readonly workFolder: string;
  /** How long a job may live, whatever happens. */
  readonly lifespanMs: number;
  /** Why this agent stops at once what was granted, if it does. */
  readonly revoked: (claims: GrantClaims) => Problem | undefined;
  readonly log: Logger;
}

/** Nobody waits for a job's record but the acknowledgement of its composition: a few go together. */
const RECORD_LINGER_MS = 50;
const PAST_MS = 2 * GRANT_SECONDS * 1_000;

/** The jobs composed at this agent: from their composition to their end, recorded in the store in between. */
export class Jobs {
  readonly #options: JobsOptions;
  readonly #jobs = new Map<string, Job>();
  readonly #ending = new Map<string, Promise<void>>();
  /** Jobs that have ended, for as long as a grant of theirs may still be valid. */
  readonly #past = new Set<string>();
  readonly #records: WriteBatch;

  constructor(options: JobsOptions) {
    this.#options = options;
    this.#records = new WriteBatch(options.store, { lingerMs: RECORD_LINGER_MS });
  }

  get size(): number {
    return this.#jobs.size;
  }

  /** Takes away what an agent before this one left: its jobs' microservices died with it, and with them what they had learnt. */
  async removeStale(): Promise<void> {
    const { store, bus, agent, log } = this.#options;
    const { entries } = await store.list<{ job_name?: unknown }>(KEY.agentJobPrefix(agent));
    for (const { key, value } of entries) {
      if (typeof value.job_name === "string") await this.#deleteQueues(value.job_name, MOST_SERVICES, bus);
      await store.delete(key);
      log.warn({ key }, "removed the record of a job that an earlier run of this agent did not end");
    }
  }

  /** Records a composition. The same job again changes nothing. */
  async compose(composition: CompositionRequest): Promise<void> {
    const { agent, lifespanMs, log } = this.#options;
    const id = safeName(composition.jobName, "job");
    if (this.#jobs.has(id)) return;
    if (this.#past.has(id)) {
      log.warn(
        { job: id },
        "a job that has ended here was composed again; its grants must not be used twice",
      );
      return;
    }
    const guard = setTimeout(
      () => void this.end(id, `it lived for ${lifespanMs / 60_000} minutes`),
      lifespanMs,
    );
    guard.unref();
    const recorded = this.#records.put(this.#key(composition), record(composition, agent));
    this.#jobs.set(id, this.#make(id, composition, guard, recorded));
    try {
      await recorded;
    } catch (error) {
      clearTimeout(guard);
      this.#jobs.delete(id);
      throw error;
    }
    log.info({ job: id, archetype: composition.archetypeId, role: composition.role }, "composed");
  }

  /** @throws CodedError `AGT-JOB-UNKNOWN` */
  get(id: string): Job {
    const job = this.#jobs.get(id);
    if (job !== undefined) return job;
    throw new CodedError({
      code: "AGT-JOB-UNKNOWN",
      path: `jobs/${id}`,
      message: `${this.#options.agent} has no job ${id}: it was never composed here, has ended, or the agent was restarted`,
      remedy: "send the request again",
    });
  }

  /** The microservice of a job, made ready on its first use. It is not started before it is asked to work. */
  microservice(job: Job, { service, entry }: Permit, roundMs: number): Promise<MicroserviceOfJob> {
    const known = job.microservices.get(service);
    if (known !== undefined) return known;
    const queue = nextQueue(job);
    const { bus, microservice } = this.#options;
    const made = job.rested
      .then(() => bus.declareQueue(queue))
      .then(() => new MicroserviceOfJob({ job: job.id, service, entry, queue, roundMs }, microservice));
    job.microservices.set(service, made);
    made.catch(() => job.microservices.delete(service));
    return made;
  }

  /** Lets the job's microservices have what a round may read of this party's files. */
  async data(job: Job, access: DataAccess): Promise<DataAccess> {
    await job.rested; // which takes away what the round before was given
    return (await this.#options.runner.provide?.(job.id, access)) ?? access;
  }

  /** Ends a job's microservices after a round, and all that they kept: the next round's begin anew. */
  rest(job: Job): void {
    const microservices = [...job.microservices.values()];
    job.microservices.clear();
    job.rested = this.#endMicroservices(job, microservices, undefined).catch((error: unknown) =>
      this.#options.log.error({ job: job.id, error }, "a round's microservices did not end in good order"),
    );
  }

  /** Stops what the own agreement does not allow any more, where it says so; call it when the agreement has changed. */
  stopRevoked(): void {
    for (const { id, admission } of this.#jobs.values()) {
      const stop = (claims: GrantClaims): void => {
        const problem = this.#options.revoked(claims);
        if (problem !== undefined) void this.end(id, problem.message, problem);
      };
      admission.granted?.then(stop, () => {}); // what was not let in need not be stopped
    }
  }

  /**
   * Ends a job: its microservices, queues and record. A job that is not here is no error.
   *
   * @param stopped - why its microservices are not let end by themselves
   */
  end(id: string, why: string, stopped?: Problem): Promise<void> {
    const ending = this.#ending.get(id);
    if (ending !== undefined) return ending;
    const job = this.#jobs.get(id);
    if (job === undefined) return Promise.resolve();
    this.#jobs.delete(id);
    this.#past.add(id);
    setTimeout(() => this.#past.delete(id), PAST_MS).unref();
    const problem = stopped ?? { code: "JOB-ENDED", message: `job ${id} has ended` };
    job.ended.abort(new CodedError(problem));
    job.inputs.close(problem);
    const { log } = this.#options;
    const done = this.#end(job, stopped)
      .then(() => log.info({ job: id, why }, "job ended"))
      .catch((error: unknown) => log.error({ job: id, error }, "a job did not end in good order"))
      .finally(() => this.#ending.delete(id));
    this.#ending.set(id, done);
    return done;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#jobs.keys()].map((id) => this.end(id, "the agent ends")));
    await Promise.all(this.#ending.values());
  }

  async #end(job: Job, stopped: Problem | undefined): Promise<void> {
    clearTimeout(job.guard);
    await job.rested;
    await this.#endMicroservices(job, [...job.microservices.values()], stopped);
    job.files.close();
    await job.closeWatch();
    await job.recorded.catch(() => {}); // what is written later would stay
    await this.#options.store.delete(this.#key(job.composition));
  }

  async #endMicroservices(
    job: Job,
    making: readonly Promise<MicroserviceOfJob>[],
    stopped: Problem | undefined,
  ): Promise<void> {
    const { bus, runner } = this.#options;
    const microservices = await Promise.allSettled(making);
    await Promise.all(
      microservices.map((made) => (made.status === "fulfilled" ? made.value.shutdown(stopped) : undefined)),
    );
    await runner.stop(job.id);
    await this.#deleteQueues(job.id, microservices.length, bus);
  }

  #make(id: string, composition: CompositionRequest, guard: NodeJS.Timeout, recorded: Promise<unknown>): Job {
    const { agent, grants, own, store, revoked, workFolder } = this.#options;
    const ended = new AbortController();
    let watch: Promise<JobWatch> | undefined;
    const open = (): Promise<JobWatch> => {
      if (watch !== undefined) return watch;
      // Nobody would close it.
      if (ended.signal.aborted) return Promise.reject(ended.signal.reason);
      const opened = JobWatch.open(
        store,
        id,
        () => void this.end(id, "its coordinator says so in the store"),
      );
      watch = opened;
      opened.catch(() => {
        watch = undefined; // the next round tries again
      });
      return opened;
    };
    const closeWatch = async (): Promise<void> => (await watch?.catch(() => undefined))?.close();
    return {
      id,
      agent,
      composition,
      recorded,
      guard,
      admission: new Admission(agent, grants, own, open, revoked),
      microservices: new Map(),
      atWork: 0,
      rested: Promise.resolve(),
      inputs: new RoundInputs(),
      files: new JobFiles(join(workFolder, FILES_FOLDER, id)),
      ended,
      closeWatch,
    };
  }

  async #deleteQueues(job: string, count: number, bus: Bus): Promise<void> {
    for (let n = 1; n <= count; n += 1) await bus.deleteQueue(queueOf(job, this.#options.agent, n));
  }

  #key({ user, jobName }: CompositionRequest): string {
    return KEY.agentJob(this.#options.agent, user?.userName ?? "", jobName);
  }
}

/** As DYNAMOS's agents write it. */
function record(composition: CompositionRequest, agent: string): unknown {
  const { archetypeId, requestType, role, user, dataProviders, destinationQueue, jobName } = composition;
  return {
    archetype_id: archetypeId,
    request_type: requestType,
    role,
    user: { id: user?.id ?? "", user_name: user?.userName ?? "" },
    data_providers: dataProviders,
    destination_queue: destinationQueue,
    job_name: jobName,
    local_job_name: queueOf(jobName, agent, 1),
  };
}
