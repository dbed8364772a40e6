import type { Agreement } from "../contract/documents.js";
import { KEY } from "../contract/names.js";
import { validateDocument } from "../contract/schemas.js";
import type { Logger } from "../platform/log.js";
import type { Mirror, Store } from "../platform/store.js";
import type { AgreementState } from "./verify.js";

/** States kept. Between a round's decision and its first step lie milliseconds, so a few would do. */
const KEPT = 1_000;
/** Of these the whole text. */
const TEXTS_KEPT = 16;

/** One state of the own agreement. */
interface OwnState extends AgreementState {
  /** It says that work stops at once when it is revoked. */
  readonly stop: boolean;
}

/** The own agreement from a revision on. */
export interface OwnSince {
  /** It says `stop`, or has said so since. */
  readonly stop: boolean;
  /** As it is now. `undefined`: there is none, or it is no agreement. */
  readonly now: Agreement | undefined;
  /** Of its last change. */
  readonly revision: number;
}

/** The agent's own agreement as the store tells of it: what it is now, and what it was. */
export class OwnAgreement {
  /** The store's revision when this agent started. */
  readonly startedAt: number;
  readonly #mirror: Mirror<Agreement>;
  readonly #history: OwnState[] = [];
  readonly #texts: { readonly revision: number; readonly text: Agreement | undefined }[] = [];
  readonly #listeners: (() => void)[] = [];
  #now: Agreement | undefined;

  private constructor(agent: string, key: string, mirror: Mirror<Agreement>, log: Logger) {
    this.#mirror = mirror;
    this.startedAt = mirror.revision;
    const entry = mirror.get(key);
    const take = (revision: number, value: Agreement | undefined): void => {
      this.#now = valid(agent, value);
      const stop = this.#now?.onRevocation === "stop";
      this.#history.push({ revision, present: value !== undefined, stop });
      this.#texts.push({ revision, text: this.#now });
      if (this.#texts.length > TEXTS_KEPT) this.#texts.shift();
    };
    take(entry?.revision ?? mirror.revision, entry?.value);
    mirror.onChange((change) => {
      take(change.revision, change.value);
      log.info({ revision: change.revision, present: change.value !== undefined }, "own agreement changed");
      if (this.#history.length > KEPT) this.#history.shift();
      for (const listener of this.#listeners) listener();
    });
  }

  static async open(store: Store, agent: string, log: Logger): Promise<OwnAgreement> {
    const key = KEY.agreement(agent);
    return new OwnAgreement(agent, key, await store.mirrorKey<Agreement>(key), log);
  }

  /** Its states as watched, oldest first; waits, for a time, until the one of this revision is in. */
  async history(revision: number, milliseconds: number): Promise<readonly AgreementState[]> {
    // Being behind is no error here: the caller sees how far we are, and refuses.
    if ((this.#history.at(-1)?.revision ?? 0) < revision)
      await this.#mirror.seen(revision, milliseconds).catch(() => {});
    return this.#history;
  }

  since(revision: number): OwnSince {
    const from = Math.max(
      0,
      this.#history.findLastIndex((state) => state.revision <= revision),
    );
    return {
      stop: this.#history.slice(from).some(({ stop }) => stop),
      now: this.#now,
      revision: this.#history.at(-1)?.revision ?? 0,
    };
  }

  /**
   * The agreement as it was at a revision: that of a round's token is what the round was granted on, and a round that is open may end by it.
   * `undefined`: there was none. Of one long ago, the oldest that is known.
   */
  at(revision: number): Agreement | undefined {
    return (this.#texts.findLast((state) => state.revision <= revision) ?? this.#texts[0])?.text;
  }

  /** Tells of each change, after it is in. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  close(): Promise<void> {
    return this.#mirror.close();
  }
}

/** As the enforcer reads it: what is not valid gives no rights. */
const valid = (agent: string, value: Agreement | undefined): Agreement | undefined =>
  value !== undefined && validateDocument("agreement", agent, value).length === 0 ? value : undefined;
