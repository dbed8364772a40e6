/** Numbers from a seed: the same on each machine. */
export interface Draw {
  /** A whole number, both ends included. */
  readonly int: (from: number, to: number) => number;
  readonly chance: (probability: number) => boolean;
  readonly one: <T>(of: readonly T[]) => T;
  readonly weighted: <T>(of: readonly (readonly [T, number])[]) => T;
}

/** Mulberry32 (public domain, Tommy Ettinger), its seed stirred first so that neighbours differ. */
export function drawFrom(seed: number): Draw {
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const weighted = <T>(of: readonly (readonly [T, number])[]): T => {
    let left = next() * of.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [value, weight] of of) {
      left -= weight;
      if (left < 0) return value;
    }
    const last = of.at(-1);
    if (last === undefined) throw new RangeError("nothing to draw from");
    return last[0];
  };
  return {
    int: (from, to) => from + Math.floor(next() * (to - from + 1)),
    chance: (probability) => next() < probability,
    one: (of) => weighted(of.map((value) => [value, 1] as const)),
    weighted,
  };
}
