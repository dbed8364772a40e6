import type { Verdict } from "../platform/bus.js";

/** Messages remembered after they were handled. A message comes twice within a lost connection's time, not later. */
const KEPT = 10_000;

/** Handles each message once, by correlation id: a second copy shares the fate of the first and makes no second answer. */
export class Handled {
  readonly #done = new Map<string, Promise<Verdict>>();

  async once(correlationId: string, handle: () => Promise<Verdict>): Promise<Verdict> {
    const known = this.#done.get(correlationId);
    if (known !== undefined) return await known;
    const verdict = handle();
    this.#done.set(correlationId, verdict);
    for (const oldest of this.#done.keys()) {
      if (this.#done.size <= KEPT) break;
      this.#done.delete(oldest);
    }
    // What is to be tried again must not count as handled.
    const result = await verdict.catch((error: unknown) => {
      this.#done.delete(correlationId);
      throw error;
    });
    if (result !== "ack") this.#done.delete(correlationId);
    return result;
  }
}
