import { setTimeout as sleep } from "node:timers/promises";

/** Asks until the answer is right, at most `seconds`. */
export async function until<T>(
  what: string,
  ask: () => Promise<T>,
  right: (value: T) => boolean,
  seconds = 20,
): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = await ask();
    if (right(value)) return value;
    if (Date.now() > deadline) throw new Error(`no ${what}: ${JSON.stringify(value)}`);
    await sleep(25);
  }
}
