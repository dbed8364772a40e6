/** Protobuf's decoders stop at 100 messages inside each other, and each level of JSON takes three. */
export const MOST_LEVELS = 28;

/** Whether a JSON value is nested deeper than {@link MOST_LEVELS}. Not recursive, so no value can exhaust the stack. */
export function isTooDeep(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth >= MOST_LEVELS) return true;
    const next: unknown[] = [];
    for (const item of level) {
      if (typeof item !== "object" || item === null) continue;
      for (const inner of Object.values(item))
        if (typeof inner === "object" && inner !== null) next.push(inner);
    }
    level = next;
  }
  return false;
}
