import { CodedError } from "../contract/problem.js";

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Calls that wait for their answer, by correlation id. Never by user: two calls of one user must not meet.
 * An entry leaves the table when it is answered, failed or late, so the table holds only what is really waited for.
 */
export class Pending<T> {
  readonly #what: string;
  readonly #code: string;
  readonly #waiting = new Map<string, Waiting<T>>();

  /**
   * @param what - what is waited for, in words a user understands, e.g. `the policy enforcer's answer`
   * @param code - code of the error at the deadline; default `BUS-NO-ANSWER`
   */
  constructor(what: string, code = "BUS-NO-ANSWER") {
    this.#what = what;
    this.#code = code;
  }

  /**
   * Waits for the answer with this id. Register before publishing, or the answer may come first.
   *
   * @throws {@link CodedError} with the table's code when `milliseconds` have passed; `BUS-DUPLICATE-CALL` when the id already waits
   */
  wait(id: string, milliseconds: number): Promise<T> {
    if (this.#waiting.has(id)) {
      return Promise.reject(
        new CodedError({
          code: "BUS-DUPLICATE-CALL",
          message: `a call ${id} already waits for ${this.#what}`,
          remedy: "use a new correlation id",
        }),
      );
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(
          new CodedError({
            code: this.#code,
            message: `${this.#what} did not come within ${milliseconds / 1000} s`,
            remedy: "look at the log of the service that should answer; try again",
          }),
        );
      }, milliseconds);
      this.#waiting.set(id, { resolve, reject, timer });
    });
  }

  /** Gives the waiting call its answer. `false`: nobody waits (any more) under this id. */
  settle(id: string, value: T): boolean {
    const entry = this.#take(id);
    entry?.resolve(value);
    return entry !== undefined;
  }

  /** Ends the waiting call with an error. `false`: nobody waits under this id. */
  fail(id: string, error: Error): boolean {
    const entry = this.#take(id);
    entry?.reject(error);
    return entry !== undefined;
  }

  /** Ends all waiting calls, e.g. when the service closes. */
  failAll(error: Error): void {
    for (const id of [...this.#waiting.keys()]) this.fail(id, error);
  }

  get size(): number {
    return this.#waiting.size;
  }

  #take(id: string): Waiting<T> | undefined {
    const entry = this.#waiting.get(id);
    if (entry !== undefined) {
      clearTimeout(entry.timer);
      this.#waiting.delete(id);
    }
    return entry;
  }
}
