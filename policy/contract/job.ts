import type { OnRevocation } from "./documents.js";
import type { Problem } from "./problem.js";

/** What a job tells of itself: on the broker, over HTTP and in the store. Durations are in milliseconds of a monotonic clock. */

/** How a round or a job ended. `refused` = a "no" by policy, `failed` = a breakdown. */
export type EndStatus = "completed" | "refused" | "failed";

/** One reason of a refusal: the code, the party it concerns, and the rule's path in that party's agreement. */
export interface RefusalReason {
  readonly code: string;
  readonly party: string;
  readonly path: string;
  readonly message: string;
}

/**
 * One step of a round: `total` = `start` (the slowest start of a microservice, in the first round that uses it) + `compute` (the slowest
 * microservice's own time) + `transfer` (all the rest).
 */
export interface StepDuration {
  readonly total: number;
  readonly start: number;
  readonly compute: number;
  readonly transfer: number;
}

/** The spans of a round. Where no two steps run side by side, they add up to `total`. */
export interface RoundDurations {
  /** Asking the policy enforcer, all attempts. */
  readonly validate: number;
  /** The transaction that opens the round, all attempts. */
  readonly open: number;
  /** By step name, in the order of their work. */
  readonly steps: Readonly<Record<string, StepDuration>>;
  /** Putting the report together. */
  readonly report: number;
  readonly total: number;
}

/** A round has been opened: from here on its agents may work. */
export interface RoundOpened {
  readonly round: number;
  /** etcd's revision at which the policy enforcer decided. */
  readonly revision: number;
  /** Revision of the transaction that opened the round. */
  readonly token: number;
  /** Agreement revision by party, as compared in that transaction. */
  readonly agreements: Readonly<Record<string, number>>;
  readonly openedAt: string;
}

/** A round has ended. */
export interface RoundReport {
  readonly round: number;
  readonly status: EndStatus;
  /** JSON answer of the workflow's result step: the compute provider's, or by agent where the data providers compute. */
  readonly data?: unknown;
  readonly durations: RoundDurations;
  /** Of a refusal. */
  readonly reasons?: readonly RefusalReason[];
  /** etcd's revision at which the last decision on this round was taken. */
  readonly revision?: number;
  /** Of a failure. */
  readonly problem?: Problem;
}

/** A running job has lost its permission: what is open ends as `effect` says, and no round opens any more. */
export interface JobRevoked {
  /** The round that is open, or was last. */
  readonly round: number;
  readonly effect: OnRevocation;
  readonly reasons: readonly RefusalReason[];
  /** etcd's revision at which it was decided again. */
  readonly revision: number;
}

/** A job has ended. */
export interface JobEnd {
  readonly status: EndStatus;
  /** Rounds completed. */
  readonly rounds: number;
  /** One line for people: why it was refused or failed. */
  readonly reason?: string;
  readonly reasons?: readonly RefusalReason[];
  readonly revision?: number;
  readonly problem?: Problem;
  /** The last round's data, of a completed job. */
  readonly result?: unknown;
}

/** Where a job stands. `approved`: nobody has sent its data request yet. */
export type JobStatus = "approved" | "running" | EndStatus;

/** What `GET /api/v1/jobs/:id` answers. */
export interface JobSnapshot {
  readonly jobId: string;
  readonly status: JobStatus;
  readonly requestType: string;
  readonly archetype?: string;
  readonly dataProviders?: readonly string[];
  readonly computeProviders?: readonly string[];
  /** The round that is open now, or was last. */
  readonly round: number;
  /** Number of rounds asked for. */
  readonly rounds?: number;
  /** The last reports, oldest first (bounded). */
  readonly reports: readonly RoundReport[];
  readonly end?: JobEnd;
}
