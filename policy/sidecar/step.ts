import type { DataAccess } from "../contract/data-access.js";

/** What a microservice's handler is given for one step of one round. */
export interface StepInput<Request extends object = Readonly<Record<string, unknown>>> {
  /** Counted from 1. A request without rounds has one. */
  readonly round: number;
  readonly step: string;
  /** Counted from 1: how often this step of this round has been asked for, where the workflow lets it be asked again. */
  readonly attempt: number;
  /** The `data` of the data request, as its request type's schema allows it. */
  readonly request: Readonly<Request>;
  /** The JSON answers of the step's input steps, by step and then by agent. Empty for a step without inputs. */
  readonly data: Readonly<Record<string, unknown>>;
  /** The binary parts of the step's inputs, named by the agent that sent them. */
  readonly parts: Readonly<Record<string, Float64Array | Uint8Array>>;
  /**
   * The files of the step's inputs, named like parts: absolute paths. They are larger than parts may be, so they lie on disk; they are gone when the
   * round is over.
   */
  readonly files: Readonly<Record<string, string>>;
  /** The party whose agent runs this microservice. */
  readonly steward: string;
  /** Folder of that party's data. */
  readonly dataFolder: string;
  /** The data sets that the policy enforcer granted for this round: a handler must read no other. Empty where the request type names none. */
  readonly dataSets: readonly string[];
  /** Of these data sets only these columns. Of a data set that is not here: all. */
  readonly columns: Readonly<Record<string, readonly string[]>>;
  /** What of that party's data this request may read, as its agreement and the data sets' documents say: by data set, table and column. */
  readonly access: DataAccess;
  readonly job: string;
  /** As what the party does this step: `dataProvider` or `computeProvider`. */
  readonly role: string;
}

/** What a handler answers. */
export interface StepOutput {
  /** JSON. Of a workflow's result step it is the round's result. */
  readonly data?: Readonly<Record<string, unknown>>;
  /** Numbers or bytes for later steps: one part for all, or parts named by the agents that are to get them (`scatter`). */
  readonly parts?: Readonly<Record<string, Float64Array | Uint8Array>>;
  /**
   * Files for later steps, for what is larger than the 64 MiB of parts: by name (letters, digits and `. _ @ -`), each a path relative to the current
   * folder, where the handler wrote it. The agent takes the file away. At most 64, each 1 GiB; of a job 4 GiB at an agent.
   */
  readonly files?: Readonly<Record<string, string>>;
}

/**
 * Does one step. State that lasts from round to round lives where the handlers close over it: a microservice's process serves one job.
 * Steps are handled one after the other. An error it throws becomes the step's answer: a `CodedError` as it is, another as `JOB-FAILED`.
 *
 * @typeParam Request - the request's data, e.g. of the types that `dynamos-fabric types` writes: what comes has passed that schema
 */
export type Handler<Request extends object = Readonly<Record<string, unknown>>> = (
  input: StepInput<Request>,
) => Promise<StepOutput> | StepOutput;
