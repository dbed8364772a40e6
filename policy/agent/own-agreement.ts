import type { Agreement } from "../contract/documents.js";
import { KEY } from "../contract/names.js";
import type { Logger } from "../platform/log.js";
import type { Mirror, Store } from "../platform/store.js";
import type { AgreementState } from "./verify.js";

/** States kept. Between a round's decision and its first step lie milliseconds, so a few would do. */
const KEPT = 1_000;

/** The agent's own agreement as the store tells of it: what it is now, and what it was. */
export class OwnAgreement {
  /** The store's revision when this agent started. */
  readonly since: number;
  readonly #mirror: Mirror<Agreement>;
  readonly #history: AgreementState[] = [];

  private constructor(key: string, mirror: Mirror<Agreement>, log: Logger) {
    this.#mirror = mirror;
    this.since = mirror.revision;
    const entry = mirror.get(key);
    this.#history.push({ revision: entry?.revision ?? mirror.revision, present: entry !== undefined });
    mirror.onChange((change) => {
      this.#history.push({ revision: change.revision, present: change.value !== undefined });
      log.info({ revision: change.revision, present: change.value !== undefined }, "own agreement changed");
      if (this.#history.length > KEPT) this.#history.shift();
    });
  }

  static async open(store: Store, agent: string, log: Logger): Promise<OwnAgreement> {
    const key = KEY.agreement(agent);
    return new OwnAgreement(key, await store.mirrorKey<Agreement>(key), log);
  }

  /** Its states as watched, oldest first; waits, for a time, until the one of this revision is in. */
  async history(revision: number, milliseconds: number): Promise<readonly AgreementState[]> {
    // Being behind is no error here: the caller sees how far we are, and refuses.
    if ((this.#history.at(-1)?.revision ?? 0) < revision)
      await this.#mirror.seen(revision, milliseconds).catch(() => {});
    return this.#history;
  }

  close(): Promise<void> {
    return this.#mirror.close();
  }
}
