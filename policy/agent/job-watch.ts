import type { RoundRecord } from "../contract/documents.js";
import { KEY } from "../contract/names.js";
import type { Mirror, Store } from "../platform/store.js";
import type { SeenRound } from "./verify.js";

/** What the store tells of one job: which rounds its coordinator opened, and that it has ended. */
export class JobWatch {
  readonly #job: string;
  readonly #mirror: Mirror<RoundRecord>;
  #newest = 0;

  private constructor(job: string, mirror: Mirror<RoundRecord>, onEnd: () => void) {
    this.#job = job;
    this.#mirror = mirror;
    for (const { key } of mirror.all()) this.#note(key);
    mirror.onChange((change) => {
      if (change.type !== "put") return;
      this.#note(change.key);
      if (change.key === KEY.jobEnd(job)) onEnd();
    });
  }

  static async open(store: Store, job: string, onEnd: () => void): Promise<JobWatch> {
    return new JobWatch(job, await store.mirror<RoundRecord>(`${KEY.job(job)}/`), onEnd);
  }

  get newestRound(): number {
    return this.#newest;
  }

  /** The record of a round, waited for until the store's changes up to `token` are known here. */
  async round(round: number, token: number, milliseconds: number): Promise<SeenRound | undefined> {
    const key = KEY.round(this.#job, round);
    if (this.#mirror.get(key) === undefined) {
      // An invented token may lie in the store's future: then there is no record, which is the answer.
      await this.#mirror.seen(token, milliseconds).catch(() => {});
    }
    const entry = this.#mirror.get(key);
    if (entry === undefined) return undefined;
    const { job, round: recorded, agreements } = entry.value;
    // Whoever may write to the store may write anything.
    if (typeof agreements !== "object" || agreements === null) return undefined;
    return { job, round: recorded, agreements, revision: entry.revision };
  }

  close(): Promise<void> {
    return this.#mirror.close();
  }

  #note(key: string): void {
    const prefix = KEY.roundPrefix(this.#job);
    if (key.startsWith(prefix)) this.#newest = Math.max(this.#newest, Number(key.slice(prefix.length)));
  }
}
