import { createHash } from "node:crypto";

/** When, within a run, the policy changes: in which round, and how far into it (0: at its start, 1: at its end). */
export interface ChangeMoment {
  readonly round: number;
  readonly fraction: number;
}

/** A number in [0, 1) that depends on nothing but its arguments: the same seed draws the same experiment on every machine. */
export function unit(seed: number, run: number, what: string): number {
  const digest = createHash("sha256").update(`${seed}/${run}/${what}`).digest();
  return digest.readUInt32BE(0) / 2 ** 32;
}

/** The seed of one run of an experiment, handed to the training. */
export const runSeed = (seed: number, run: number): number =>
  Math.floor(unit(seed, run, "training") * 2 ** 31);

/**
 * The moment of a change: a round strictly between `after` and `before`, all equally likely.
 * Undefined when the run has no such round.
 */
export function drawMoment(
  seed: number,
  run: number,
  bounds: { readonly after: number; readonly before: number; readonly rounds: number },
  /** Which of the run's changes, from 0. */
  which = 0,
): ChangeMoment | undefined {
  const first = bounds.after + 1;
  const suffix = which === 0 ? "" : `/${which}`;
  // The last round is left out: after it there is no round to be refused.
  const last = Math.min(bounds.before - 1, bounds.rounds - 1);
  if (last < first) return undefined;
  const round = first + Math.floor(unit(seed, run, `round${suffix}`) * (last - first + 1));
  return { round, fraction: unit(seed, run, `moment${suffix}`) };
}
