import { setTimeout as sleep } from "node:timers/promises";
import { InfraError } from "../problem.js";

export interface WaitOptions {
  /** What is waited for, for the message: `slice dev to be up`. */
  readonly what: string;
  /** Seconds until it is given up. */
  readonly seconds: number;
  /** Milliseconds before the second look; each further wait is half as long again, to `mostMs`. Default 100. */
  readonly firstMs?: number;
  /** Default 10,000. FABlib looks each 20 s. */
  readonly mostMs?: number;
  /** Seconds that the server may be out of reach in between. Default 60; 0 for a look that is not to be made again after any error. */
  readonly unreachableSeconds?: number;
}

/** So many looks in a row may end in an answer that is an error of the server's, or is cut off: one such answer says nothing about the slice. */
const mostBadAnswers = 5;

/**
 * Looks until `look` gives something. The server may be out of reach for a while, and answer badly a few times.
 *
 * @throws InfraError FAB-TIMEOUT at the deadline, FAB-UNREACHABLE when the server stays out of reach, and whatever else `look` throws
 */
export async function waitUntil<T>(look: () => Promise<T | undefined>, options: WaitOptions): Promise<T> {
  const start = performance.now();
  const deadline = start + options.seconds * 1000;
  let lastAnswer = start;
  let pause = options.firstMs ?? 100;
  let bad = 0;
  for (;;) {
    try {
      const found = await look();
      if (found !== undefined) return found;
      lastAnswer = performance.now();
      bad = 0;
    } catch (error) {
      const code = error instanceof InfraError ? error.code : "";
      const patience = (options.unreachableSeconds ?? 60) * 1000;
      const away = code === "FAB-UNREACHABLE" && performance.now() - lastAnswer < patience;
      const garbled = ["FAB-SERVER", "FAB-ANSWER"].includes(code) && patience > 0 && ++bad < mostBadAnswers;
      if (!away && !garbled) throw error;
    }
    if (performance.now() + pause > deadline) {
      throw new InfraError({
        code: "FAB-TIMEOUT",
        message: `waited ${options.seconds} s for ${options.what}`,
        remedy: "FABRIC may still be at it; run up again, which goes on from there",
      });
    }
    await sleep(pause);
    pause = Math.min(pause * 1.5, options.mostMs ?? 10_000);
  }
}
