import type { Patience, Store } from "./store.js";

export interface WriteBatchOptions extends Patience {
  /** Milliseconds that a write waits for others to go with it, where nobody waits for it. Default 0: it goes at once, unless one is under way. */
  readonly lingerMs?: number;
}

interface Waiting {
  readonly key: string;
  readonly value: unknown;
  readonly done: (revision: number) => void;
  readonly failed: (error: unknown) => void;
}

/** Fewer than etcd takes in one transaction (128). */
const MOST = 100;

/**
 * Writes of many keys in few transactions: what comes while one is under way goes with the next. Each is as durable as a write of its own, and is told so or
 * fails with those it went with. For keys that one service alone writes, each once: their order among each other is not kept apart.
 */
export class WriteBatch {
  readonly #store: Pick<Store, "putAll">;
  readonly #options: WriteBatchOptions;
  #waiting: Waiting[] = [];
  #busy = false;

  constructor(store: Pick<Store, "putAll">, options: WriteBatchOptions = {}) {
    this.#store = store;
    this.#options = options;
  }

  /** Resolves with the write's revision once the store has it on disk. @throws as `Store.put` */
  put(key: string, value: unknown): Promise<number> {
    return new Promise((done, failed) => {
      this.#waiting.push({ key, value, done, failed });
      if (!this.#busy) void this.#work();
    });
  }

  async #work(): Promise<void> {
    const { lingerMs = 0, ...patience } = this.#options;
    this.#busy = true;
    while (this.#waiting.length > 0) {
      if (lingerMs > 0) await new Promise((next) => setTimeout(next, lingerMs));
      const now = this.#waiting.splice(0, MOST);
      try {
        const revision = await this.#store.putAll(now, patience);
        for (const { done } of now) done(revision);
      } catch (error) {
        for (const { failed } of now) failed(error);
      }
    }
    this.#busy = false;
  }
}
