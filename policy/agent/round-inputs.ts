import { PART_LIMITS } from "../contract/parts.js";
import { CodedError, type Problem } from "../contract/problem.js";
import type { StepAnswer } from "../rounds/inputs.js";

/** Answers of one job that wait to be taken, all together. */
const MOST_BYTES = 4 * PART_LIMITS.bytes;
const MOST_ANSWERS = 1_000;

interface Slot {
  readonly promise: Promise<StepAnswer>;
  readonly resolve: (answer: StepAnswer) => void;
  readonly reject: (error: Error) => void;
  given: boolean;
  bytes: number;
}

/** What other agents hand over for a job's rounds: kept until the round is over, whichever comes first, the answer or the asking for it. */
export class RoundInputs {
  readonly #rounds = new Map<number, Map<string, Slot>>();
  #bytes = 0;
  #answers = 0;
  /** The round at work, or the last one. */
  #current = 0;
  #closed: CodedError | undefined;

  /**
   * Takes an answer in. A second copy changes nothing; one for a round that is over is forgotten.
   *
   * @param bytes - its size
   * @throws CodedError `AGT-INPUTS-FULL`; the job's own problem when it has ended
   */
  give(round: number, step: string, from: string, answer: StepAnswer, bytes: number): void {
    if (this.#closed !== undefined) throw this.#closed;
    if (round < this.#current) return;
    const slot = this.#slot(round, step, from);
    if (slot.given) return;
    if (this.#bytes + bytes > MOST_BYTES || this.#answers >= MOST_ANSWERS)
      throw new CodedError({
        code: "AGT-INPUTS-FULL",
        path: `rounds/${round}/${step}/${from}`,
        message: `${this.#answers} answers of ${this.#bytes} bytes wait here; ${MOST_ANSWERS} and ${MOST_BYTES} are the most of a job`,
        remedy: "let the steps give smaller answers",
      });
    slot.given = true;
    slot.bytes = bytes;
    this.#bytes += bytes;
    this.#answers += 1;
    slot.resolve(answer);
  }

  /** The answer of an agent to a step; waits for it until the signal comes. */
  take(round: number, step: string, from: string, signal: AbortSignal): Promise<StepAnswer> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (round < this.#current) return Promise.reject(over(round));
    if (signal.aborted) return Promise.reject(signal.reason);
    const { promise } = this.#slot(round, step, from);
    return new Promise((resolve, reject) => {
      const abort = (): void => reject(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    });
  }

  /** Forgets all rounds before this one: they have ended. */
  forgetBefore(round: number): void {
    this.#current = Math.max(this.#current, round);
    for (const [number, slots] of this.#rounds) if (number < round) this.#forget(number, slots);
  }

  /** Ends all waiting. */
  close(problem: Problem): void {
    this.#closed = new CodedError(problem);
    for (const [round, slots] of this.#rounds) this.#forget(round, slots);
  }

  #forget(round: number, slots: Map<string, Slot>): void {
    this.#rounds.delete(round);
    for (const slot of slots.values()) {
      this.#bytes -= slot.bytes;
      if (slot.given) this.#answers -= 1;
      else slot.reject(this.#closed ?? over(round));
    }
  }

  #slot(round: number, step: string, from: string): Slot {
    const slots = this.#rounds.get(round) ?? new Map<string, Slot>();
    this.#rounds.set(round, slots);
    const key = `${step}/${from}`;
    let slot = slots.get(key);
    if (slot === undefined) {
      slot = { ...Promise.withResolvers<StepAnswer>(), given: false, bytes: 0 };
      slot.promise.catch(() => {}); // told to whoever takes it; nobody may
      slots.set(key, slot);
    }
    return slot;
  }
}

function over(round: number): CodedError {
  return new CodedError({
    code: "AGT-TOKEN-OLD",
    path: `rounds/${round}`,
    message: `round ${round} has ended`,
    remedy: "ask for one round after the other",
  });
}
