import { jobQueue } from "../contract/names.js";
import { CodedError } from "../contract/problem.js";
import type { CompositionRequest } from "../contract/wire.js";
import type { Admission } from "./admission.js";
import type { JobFiles } from "./job-files.js";
import type { MicroserviceOfJob } from "./microservice.js";
import type { RoundInputs } from "./round-inputs.js";

/** Microservices one job may have at one agent: each has its own queue, and a restarted agent must find them all. */
export const MOST_SERVICES = 8;

/** The queue of a job's n-th microservice at an agent, counted from 1. The first bears the name DYNAMOS gives it. */
export const queueOf = (job: string, agent: string, n: number): string =>
  `${jobQueue(job, agent).slice(0, -1)}${n}`;

/** One composed job at this agent. */
export interface Job {
  readonly id: string;
  readonly agent: string;
  readonly composition: CompositionRequest;
  /** Resolves when its record is in the store. */
  readonly recorded: Promise<unknown>;
  readonly admission: Admission;
  /** What other agents hand over. */
  readonly inputs: RoundInputs;
  /** What its microservices and other agents gave as files. */
  readonly files: JobFiles;
  /** Ends the job's work when the job ends. */
  readonly ended: AbortController;
  readonly microservices: Map<string, Promise<MicroserviceOfJob>>;
  /** Tickets at work at this moment. */
  atWork: number;
  /** Resolves when what an ephemeral round left is gone. */
  rested: Promise<void>;
  /** Ends its watch of the store, if it had one. */
  readonly closeWatch: () => Promise<void>;
  readonly guard: NodeJS.Timeout;
}

/** @throws CodedError `AGT-SERVICES` when the job has too many microservices already */
export function nextQueue(job: Job): string {
  const n = job.microservices.size + 1;
  if (n <= MOST_SERVICES) return queueOf(job.id, job.agent, n);
  throw new CodedError({
    code: "AGT-SERVICES",
    path: `jobs/${job.id}`,
    message: `${MOST_SERVICES} microservices of one job at one agent are the most`,
    remedy: "split the request type's workflow",
  });
}
