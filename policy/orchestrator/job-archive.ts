import type { JobRecord, RoundRecord } from "../contract/documents.js";
import type { JobEnd } from "../contract/job.js";
import { KEY } from "../contract/names.js";
import { type JobFacts, JobLog } from "../jobs/job-log.js";
import type { Logger } from "../platform/log.js";
import type { Store } from "../platform/store.js";

/** A job as the orchestrator holds it. */
export interface Job {
  readonly record: JobRecord;
  readonly log: JobLog;
  /** Of the data request that runs it, once there is one. */
  correlationId?: string;
  /** Resolves when that request may be acknowledged: a round is in the store, or the end has been told. */
  started?: Promise<void>;
}

export const newJob = (record: JobRecord): Job => ({ record, log: new JobLog(factsOf(record)) });

/** The orchestrator's own job ids. Anything else is not looked for in the store. */
export const isJobId = (id: string): boolean => /^[0-9a-f]{32}$/.test(id);

/** The agents that have a role in a job, by name. */
export const partiesOf = (record: JobRecord): readonly string[] =>
  [...new Set([...record.dataProviders, ...record.computeProviders])].sort();

/** Jobs in the store: what outlives this process. */
export class JobArchive {
  readonly #store: Store;
  readonly #log: Logger;

  constructor(store: Store, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /**
   * A job that is not in memory. One that has rounds and no end was running in an orchestrator that is no more: it is ended here.
   *
   * @returns whether it was ended just now
   */
  async load(jobId: string): Promise<{ readonly job: Job; readonly interrupted: boolean } | undefined> {
    if (!isJobId(jobId)) return undefined;
    const [record, end, rounds] = await Promise.all([
      this.#store.get<JobRecord>(KEY.job(jobId)),
      this.#store.get<JobEnd>(KEY.jobEnd(jobId)),
      this.#store.list<RoundRecord>(KEY.roundPrefix(jobId)),
    ]);
    if (record === undefined) return undefined;
    const job = newJob(record.value);
    const interrupted = end === undefined && rounds.entries.length > 0;
    const ended = end?.value ?? (interrupted ? restarted(rounds.entries.length) : undefined);
    if (ended !== undefined) {
      job.log.begin();
      job.log.add({ name: "end", data: ended });
    }
    return { job, interrupted };
  }

  /** Jobs that were running when the last orchestrator ended, of those in the store now. */
  async interrupted(): Promise<readonly string[]> {
    const [rounds, jobs] = await Promise.all([
      this.#store.list<unknown>(KEY.roundsPrefix),
      this.#store.list<unknown>(KEY.jobPrefix),
    ]);
    const open = new Set(
      rounds.entries.map(({ key }) => key.slice(KEY.roundsPrefix.length).split("/")[0] ?? ""),
    );
    const keys = new Set(jobs.entries.map(({ key }) => key));
    return [...open].filter((job) => !keys.has(KEY.jobEnd(job)) && isJobId(job));
  }

  /**
   * Writes a job's end, without its result: that has been told to the one who asked. For its agents first: killed between the two, an orchestrator that
   * comes back ends the job once more.
   */
  async writeEnd(jobId: string, { result: _told, ...end }: JobEnd): Promise<void> {
    try {
      await this.#store.put(KEY.ended(jobId), {});
      await this.#store.put(KEY.jobEnd(jobId), end);
    } catch (error) {
      this.#log.error(
        { error, job: jobId },
        "a job's end could not be written; after a restart it will read as ORC-RESTARTED",
      );
    }
  }
}

function factsOf(record: JobRecord): JobFacts {
  const { job, requestType, archetype, dataProviders, computeProviders } = record;
  return { jobId: job, requestType, archetype, dataProviders, computeProviders };
}

/** The last round that was opened may or may not have ended; it is not counted. */
function restarted(opened: number): JobEnd {
  const problem = {
    code: "ORC-RESTARTED",
    message: `the orchestrator ended while the job was in round ${opened}`,
    remedy: "send the request again",
  };
  return { status: "failed", rounds: opened - 1, reason: `${problem.code} ${problem.message}`, problem };
}
