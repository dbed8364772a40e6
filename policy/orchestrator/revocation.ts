import { setTimeout as sleep } from "node:timers/promises";
import type { Agreement, OnRevocation } from "../contract/documents.js";
import type { JobRevoked, RefusalReason } from "../contract/job.js";
import { KEY } from "../contract/names.js";
import type { Problem } from "../contract/problem.js";
import type { Logger } from "../platform/log.js";
import type { Change, Mirror, Store } from "../platform/store.js";
import { checkDecided, type EnforcerClient, type Question } from "./enforcer-client.js";

/** A running job, as far as a change of an agreement concerns it. */
export interface RunningJob {
  readonly id: string;
  /** Its data and compute providers. */
  readonly parties: readonly string[];
  /** What is asked of the enforcer for the round that is open, or was last. */
  readonly question: () => Question & Required<Pick<Question, "round">>;
  /** Aborted when it ends. */
  readonly ended: AbortSignal;
  /** It has lost its permission. Called once. */
  readonly revoke: (revoked: JobRevoked) => void;
}

/** Stops a round at once: its job has lost its permission, and an agreement says so. */
export class Stopped extends Error {
  readonly reasons: readonly RefusalReason[];
  readonly revision: number;

  constructor({ reasons, revision }: JobRevoked) {
    super("the job has lost its permission");
    this.reasons = reasons;
    this.revision = revision;
  }
}

/** An agent has stopped by itself, since its own agreement says so (agent/jobs.ts). */
const AGENT_STOPPED = "AGT-REVOKED";
/** A running job waits this long for a broker that restarts. */
const PATIENCE_MS = 30_000;
const AGAIN_MS = 250;
/** How long a job that failed waits to hear whether it had lost its permission. */
const SETTLE_MS = 10_000;

/** What has changed for one running job and is not decided yet. */
class Watched {
  readonly job: RunningJob;
  since = 0;
  decided = 0;
  /** Parties that say `stop`, of those that changed since the job was last allowed. */
  readonly stopping = new Set<string>();
  work: Promise<void> | undefined;

  constructor(job: RunningJob) {
    this.job = job;
  }
}

/**
 * Has running jobs decided again when an agreement of theirs changes. That no round opens on a revoked permission does not hang on this: the
 * enforcer sees to it. This tells users at once, ends the job after its open round, and stops that round where the agreement says so.
 */
export class Revocations {
  readonly #store: Store;
  readonly #agreements: Mirror<Agreement>;
  readonly #enforcer: EnforcerClient;
  readonly #log: Logger;
  readonly #watched = new Set<Watched>();
  /** What each agreement says, as it stood before the change that is told. */
  readonly #said = new Map<string, OnRevocation | undefined>();

  private constructor(store: Store, agreements: Mirror<Agreement>, enforcer: EnforcerClient, log: Logger) {
    this.#store = store;
    this.#agreements = agreements;
    this.#enforcer = enforcer;
    this.#log = log;
    for (const { key, value } of agreements.all()) this.#said.set(partyOf(key), value.onRevocation);
    agreements.onChange((change) => this.#changed(change));
  }

  static async open(store: Store, enforcer: EnforcerClient, log: Logger): Promise<Revocations> {
    return new Revocations(store, await store.mirror<Agreement>(KEY.agreementPrefix), enforcer, log);
  }

  /**
   * Watches over a job until it ends.
   *
   * @returns to be asked when the job has failed: resolves when it is known whether it had lost its permission
   */
  watch(job: RunningJob): (problem: Problem) => Promise<void> {
    const watched = new Watched(job);
    this.#watched.add(watched);
    job.ended.addEventListener("abort", () => this.#watched.delete(watched), { once: true });
    return async (problem) => {
      if (problem.code === AGENT_STOPPED) await this.#agentStopped(watched);
      await Promise.race([watched.work, sleep(SETTLE_MS, undefined, { ref: false })]);
    };
  }

  close(): Promise<void> {
    return this.#agreements.close();
  }

  #changed({ key, value, revision }: Change<Agreement>): void {
    const party = partyOf(key);
    const now = value?.onRevocation;
    const stop = now === "stop" || this.#said.get(party) === "stop";
    this.#said.set(party, now);
    for (const watched of this.#watched) {
      if (!watched.job.parties.includes(party)) continue;
      if (stop) watched.stopping.add(party);
      this.#decide(watched, revision);
    }
  }

  /** The agent may have heard of the change before us. */
  async #agentStopped(watched: Watched): Promise<void> {
    try {
      const { revision } = await this.#store.list(KEY.agreementPrefix);
      this.#decide(watched, revision);
    } catch (error) {
      this.#log.warn({ error, job: watched.job.id }, "cannot ask the store for its revision");
    }
  }

  /** One question at a time: changes that come meanwhile are one more. */
  #decide(watched: Watched, revision: number): void {
    watched.since = Math.max(watched.since, revision);
    watched.work ??= this.#work(watched).finally(() => {
      watched.work = undefined;
    });
  }

  async #work(watched: Watched): Promise<void> {
    const { job } = watched;
    while (watched.decided < watched.since && !job.ended.aborted) {
      try {
        await this.#ask(watched);
      } catch (error) {
        if (job.ended.aborted) return;
        this.#log.warn({ error, job: job.id }, "a running job could not be decided again; asking once more");
        await sleep(AGAIN_MS, undefined, { signal: job.ended }).catch(() => {}); // the job has ended
      }
    }
  }

  async #ask(watched: Watched): Promise<void> {
    const { job, since, stopping } = watched;
    const question = job.question();
    const decision = await this.#enforcer.ask(
      { ...question, round: { ...question.round, again: { since } } },
      { patience: PATIENCE_MS, signal: job.ended },
    );
    checkDecided(decision);
    if (decision.revision < since) throw new Error(`decided at revision ${decision.revision}, not ${since}`);
    watched.decided = decision.revision;
    if (decision.requestApproved) {
      if (watched.since <= watched.decided) stopping.clear();
      return;
    }
    const { reasons, revision } = decision;
    const effect = reasons.some(({ party }) => party === "" || stopping.has(party)) && stopping.size > 0;
    this.#watched.delete(watched);
    watched.since = 0;
    job.revoke({ round: question.round.round, effect: effect ? "stop" : "endRound", reasons, revision });
  }
}

const partyOf = (key: string): string => key.slice(KEY.agreementPrefix.length);
