import { setTimeout as sleep } from "node:timers/promises";
import { CodedError } from "../contract/problem.js";

/** How long a service may take to answer at all: pods of one `up` start beside each other. */
export const PATIENCE_MS = 60_000;
const PAUSE_MS = 200;

/** Asks until somebody answers. What is answered is not asked for again, a refusal neither. */
export async function answering<T>(ask: () => Promise<T>, patienceMs = PATIENCE_MS): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const silent = error instanceof CodedError && error.code.endsWith("-UNREACHABLE");
      if (!silent || performance.now() > deadline) throw error;
    }
    await sleep(PAUSE_MS);
  }
}
