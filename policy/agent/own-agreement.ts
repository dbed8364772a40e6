import type { Agreement } from "../contract/documents.js";
import { KEY } from "../contract/names.js";
import type { Mirror, Store } from "../platform/store.js";
import type { AgreementState } from "./verify.js";

/** States kept. Between a round's decision and its first step lie milliseconds, so a few would do. */
const KEPT = 1_000;

/** The agent's own agreement as the store tells of it: what it is now, and what it was. */
export class OwnAgreement {
  readonly #store: Store;
  readonly #key: string;
  readonly #mirror: Mirror<Agreement>;
  readonly #history: AgreementState[] = [];

  private constructor(store: Store, key: string, mirror: Mirror<Agreement>) {
    this.#store = store;
    this.#key = key;
    this.#mirror = mirror;
    const entry = mirror.get(key);
    this.#history.push({ revision: entry?.revision ?? mirror.revision, present: entry !== undefined });
    mirror.onChange((change) => {
      // A prefix is watched, and another party's name may begin with ours.
      if (change.key !== key) return;
      this.#history.push({ revision: change.revision, present: change.value !== undefined });
      if (this.#history.length > KEPT) this.#history.shift();
    });
  }

  static async open(store: Store, agent: string): Promise<OwnAgreement> {
    const key = KEY.agreement(agent);
    return new OwnAgreement(store, key, await store.mirror<Agreement>(key));
  }

  /** Its mod revision (0: there is none) as of one revision of the store, from the store itself. */
  async read(): Promise<{ readonly own: number; readonly at: number }> {
    const { entries, revision } = await this.#store.list<Agreement>(this.#key);
    return { own: entries.find(({ key }) => key === this.#key)?.revision ?? 0, at: revision };
  }

  /** Its states as watched, oldest first; waits until all changes up to a revision are in, or the time is over. */
  async history(
    revision: number,
    milliseconds: number,
  ): Promise<{ readonly states: readonly AgreementState[]; readonly seen: number }> {
    // Being behind is no error here: the caller sees how far we are, and refuses.
    await this.#mirror.seen(revision, milliseconds).catch(() => {});
    return { states: this.#history, seen: this.#mirror.revision };
  }

  close(): Promise<void> {
    return this.#mirror.close();
  }
}
