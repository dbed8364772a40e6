import type { DataAccess } from "../contract/data-access.js";
import type { Problem } from "../contract/problem.js";

/** One microservice of one job, as its agent wants it run. */
export interface JobService {
  readonly job: string;
  /** The microservice's name. */
  readonly service: string;
  /** Its program, relative to the experiment's folder. */
  readonly entry: string;
  /** The queue it listens on, already declared. */
  readonly queue: string;
  /** How long a round of the job may last. */
  readonly roundMs: number;
}

/** A microservice that was started. */
export interface Running {
  /**
   * Hands it a message (an encoded `microserviceCommunication`) without the broker, where it runs on the agent's own machine.
   * Its answer comes back the same way. Absent: messages go by its queue.
   */
  readonly send?: (correlationId: string, body: Uint8Array) => Promise<void>;
  /** Its working folder, where it is one of this machine: files are taken from there. */
  readonly folder?: string;
  /** Resolves when it has ended, with what to tell the coordinator. Never rejects. */
  readonly ended: Promise<Problem>;
}

/** Where microservices run: child processes on this machine, or pods of a cluster. */
export interface JobRunner {
  /**
   * Starts a job's microservice, or gives the one that runs. It need not answer yet.
   *
   * @throws CodedError `JOB-ENTRY` when its program is not in the experiment's folder, `JOB-START` when it cannot be started
   */
  ensure(service: JobService): Promise<Running>;
  /**
   * Lets a job's microservices have those files of the party that may be read, and no others, until the job ends or other access is given. Absent:
   * they see the party's folder as it is.
   *
   * @returns the access, with what was left out
   * @throws CodedError `AGT-DATA`
   */
  readonly provide?: (job: string, access: DataAccess) => Promise<DataAccess>;
  /** Ends all microservices of a job and removes what they left. Nothing to end is no error. */
  stop(job: string): Promise<void>;
  /** Ends everything. */
  close(): Promise<void>;
}
