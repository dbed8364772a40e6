/** A stopwatch on the monotonic clock, in milliseconds. */
export class Stopwatch {
  #last = process.hrtime.bigint();
  readonly #start = this.#last;

  /** Milliseconds since the last lap, or since the start. */
  lap(): number {
    const now = process.hrtime.bigint();
    const passed = now - this.#last;
    this.#last = now;
    return Number(passed) / 1e6;
  }

  /** Milliseconds from the start to the last lap. */
  get total(): number {
    return Number(this.#last - this.#start) / 1e6;
  }
}
