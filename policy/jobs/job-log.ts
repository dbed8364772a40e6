import type {
  JobEnd,
  JobRevoked,
  JobSnapshot,
  JobStatus,
  RoundOpened,
  RoundReport,
} from "../contract/job.js";

/** What happens to a job, in order. */
export type JobEvent =
  | { readonly name: "round-open"; readonly data: RoundOpened }
  | { readonly name: "round"; readonly data: RoundReport }
  | { readonly name: "revoked"; readonly data: JobRevoked }
  | { readonly name: "end"; readonly data: JobEnd };

/** An event with its place in the job's story, counted from 1, and its data as JSON: written once for all who read it. */
export type NumberedEvent = JobEvent & { readonly id: number; readonly json: string };

/** What is known of a job before its first round. */
export interface JobFacts {
  readonly jobId: string;
  readonly requestType: string;
  readonly archetype?: string;
  readonly dataProviders?: readonly string[];
  readonly computeProviders?: readonly string[];
}

/** Events kept for those who come late. A listener that was there from the start gets all. */
const EVENTS_KEPT = 4_000;
const CHARACTERS_KEPT = 16 * 1024 * 1024;

/** One job's story: what has happened, and a line to those who listen. */
export class JobLog {
  readonly facts: JobFacts;
  readonly #listeners = new Set<(event: NumberedEvent) => void>();
  #events: NumberedEvent[] = [];
  #characters = 0;
  #last = 0;
  #running = false;
  #round = 0;
  #reported = 0;
  #revoked = false;
  #rounds: number | undefined;
  #end: JobEnd | undefined;

  constructor(facts: JobFacts) {
    this.facts = facts;
  }

  get end(): JobEnd | undefined {
    return this.#end;
  }

  get status(): JobStatus {
    return this.#end?.status ?? (this.#running ? "running" : "approved");
  }

  /** The data request has come. */
  begin(rounds?: number): void {
    this.#running = true;
    this.#rounds = rounds;
  }

  /** Notes an event and tells it on. After the end nothing happens any more: `false`. */
  add(event: JobEvent): boolean {
    if (this.#end !== undefined) return false;
    // A report that comes twice (its confirm was lost with the connection) is one report.
    if (event.name === "round" && event.data.round <= this.#reported) return false;
    if (event.name === "revoked") {
      if (this.#revoked) return false;
      this.#revoked = true;
    }
    if (event.name === "end") this.#end = event.data;
    else this.#round = Math.max(this.#round, event.data.round);
    if (event.name === "round") this.#reported = event.data.round;
    this.#last += 1;
    const numbered: NumberedEvent = { ...event, id: this.#last, json: JSON.stringify(event.data) };
    this.#events.push(numbered);
    this.#characters += numbered.json.length;
    // In blocks, so that a long job does not move its list at each event.
    if (this.#events.length > 1.25 * EVENTS_KEPT) this.#drop(this.#events.length - EVENTS_KEPT);
    while (this.#characters > CHARACTERS_KEPT && this.#events.length > 1)
      this.#drop(Math.ceil(this.#events.length / 8));
    for (const listener of [...this.#listeners]) listener(numbered);
    if (this.#end !== undefined) this.#listeners.clear();
    return true;
  }

  /**
   * Tells of all events after one, past ones (as far as they are kept) at once, and of those to come until the end.
   *
   * @returns ends the subscription
   */
  follow(after: number, listener: (event: NumberedEvent) => void): () => void {
    for (const event of this.#events) if (event.id > after) listener(event);
    if (this.#end !== undefined) return () => {};
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #drop(count: number): void {
    // The newest stays, whatever its size: it may be the end.
    for (const { json } of this.#events.splice(0, Math.min(count, this.#events.length - 1)))
      this.#characters -= json.length;
  }

  snapshot(): JobSnapshot {
    const reports = this.#events.flatMap((e) => (e.name === "round" ? [e.data] : []));
    return {
      ...this.facts,
      status: this.status,
      round: this.#round,
      ...(this.#rounds === undefined ? {} : { rounds: this.#rounds }),
      reports,
      ...(this.#end === undefined ? {} : { end: this.#end }),
    };
  }
}

/** Jobs in memory. Jobs that do not run go first when there are too many; the store still has them. */
export class JobTable<J extends { readonly log: JobLog }> {
  readonly #most: number;
  readonly #jobs = new Map<string, J>();

  /** @param most - jobs kept that do not run. Default 2000 */
  constructor(most = 2_000) {
    this.#most = most;
  }

  get(jobId: string): J | undefined {
    return this.#jobs.get(jobId);
  }

  add(job: J): void {
    this.#jobs.set(job.log.facts.jobId, job);
    if (this.#jobs.size <= this.#most) return;
    // A job whose end never came counts as running for ever: when nothing else is left, the oldest go as well.
    const crowded = this.#jobs.size > 2 * this.#most;
    for (const [id, old] of this.#jobs) {
      if (this.#jobs.size <= this.#most) return;
      if ((crowded || old.log.status !== "running") && old !== job) this.#jobs.delete(id);
    }
  }

  delete(jobId: string): void {
    this.#jobs.delete(jobId);
  }

  all(): readonly J[] {
    return [...this.#jobs.values()];
  }
}
