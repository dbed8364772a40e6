import { KEY } from "../contract/names.js";
import type { Mirror, Store } from "../platform/store.js";

/** Listens for what a job's coordinator writes at its end, should the message that says so get lost. */
export class JobWatch {
  readonly #mirror: Mirror<unknown>;

  private constructor(mirror: Mirror<unknown>) {
    this.#mirror = mirror;
  }

  static async open(store: Store, job: string, onEnd: () => void): Promise<JobWatch> {
    const key = KEY.ended(job);
    const mirror = await store.mirror<unknown>(key);
    if (mirror.get(key) !== undefined) onEnd();
    mirror.onChange((change) => {
      if (change.key === key && change.type === "put") onEnd();
    });
    return new JobWatch(mirror);
  }

  close(): Promise<void> {
    return this.#mirror.close();
  }
}
