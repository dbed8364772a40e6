import { setTimeout as delay } from "node:timers/promises";
import { claimFolder } from "../local/claim.js";

/**
 * Runs `work` while no other process on this machine does so under the same `folder`. A lock whose owner was killed is free at
 * once (its owner is known by pid and start time).
 *
 * @param onWait called once when another process has it
 */
export async function withLock<T>(folder: string, work: () => Promise<T>, onWait?: () => void): Promise<T> {
  let claim = claimFolder(folder);
  for (let tries = 0; claim === undefined; claim = claimFolder(folder)) {
    // Two that ask at the very same moment both step back: a random pause parts them. Only a longer wait is worth a word.
    if (++tries === 10) onWait?.();
    await delay(50 + Math.random() * 100);
  }
  try {
    return await work();
  } finally {
    claim.release();
  }
}
