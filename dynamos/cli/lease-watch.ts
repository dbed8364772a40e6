import { type Leased, outlivesLease } from "../lease-warning.js";

/** Milliseconds that a round takes at least, as long as none has been measured. */
const quickRound = 100;
/** So many rounds are measured before their mean counts: the first ones start programs. */
const measured = 3;

/**
 * Warns once, on stderr, when rounds of work would go on beyond the end of a lease: at the beginning by a low guess, then by how long the rounds took.
 *
 * @returns to be called after each round with the number of rounds done
 */
export function watchLeases(
  slices: readonly Leased[],
  rounds: number,
  {
    warn = (line: string): void => void process.stderr.write(`${line}\n`),
    clock = (): number => Date.now(),
  } = {},
): (done: number) => void {
  const start = clock();
  let warned = false;
  const check = (left: number, each: number): void => {
    if (warned || left <= 0) return;
    const line = outlivesLease(`the rest of ${rounds} rounds`, slices, left * each, new Date(clock()));
    if (line === undefined) return;
    warned = true;
    warn(line);
  };
  check(rounds, quickRound);
  return (done) => {
    if (done >= measured) check(rounds - done, (clock() - start) / done);
  };
}
