/** The runs of an experiment, each with its seed and the moments of its changes. Pure. */
import { InfraError } from "../../infra/problem.js";
import type { ReadyChange } from "./change.js";
import { type ChangeMoment, drawMoment, runSeed } from "./draw.js";
import type { ExperimentSettings, PlannedChange } from "./settings.js";

/** A change with its moment: the round of the run, and how far into it. */
export type TimedChange = ReadyChange & { readonly moment: ChangeMoment };

/** One run to do. */
export interface RunOrder {
  readonly run: number;
  readonly seed: number;
  readonly rounds: number;
  readonly settings: ExperimentSettings;
  /** In order, each in a later round than the one before. */
  readonly changes: readonly TimedChange[];
}

/** What the command may say of the runs. */
export interface RunNumbers {
  readonly runs: number;
  readonly rounds: number;
  readonly seed: number;
  /** Whether the planned changes are made. */
  readonly change: boolean;
  /** The round of the first change, in place of its own. */
  readonly changeAt?: number;
}

/** @throws InfraError EXP-NO-ROUND when a change has no round to fall into, EXP-NO-CHANGE for the moment of none */
export function planRuns(
  settings: ExperimentSettings,
  { runs, rounds, seed, change, changeAt }: RunNumbers,
  ready: (what: PlannedChange) => ReadyChange = (what) => ({ what }),
): RunOrder[] {
  const planned = change ? settings.changes : [];
  if (planned.length === 0 && changeAt !== undefined) {
    throw new InfraError({
      code: "EXP-NO-CHANGE",
      path: "changes",
      message: change
        ? "--change-at, but experiment.yaml plans no change"
        : "--change-at contradicts --no-change",
      remedy: "add a change to experiment.yaml, or leave the option out",
    });
  }
  return Array.from({ length: runs }, (_, i) => {
    const run = i + 1;
    const changes: TimedChange[] = [];
    for (const [which, what] of planned.entries()) {
      const earlier = changes.at(-1)?.moment.round ?? 0;
      const exact =
        (which === 0 ? changeAt : undefined) ?? (what.after === undefined ? undefined : what.after + 1);
      const [after, before] = exact === undefined ? (what.between ?? [0, rounds]) : [exact - 1, exact + 1];
      const bounds = { after: Math.max(after, earlier), before, rounds };
      const moment = drawMoment(seed, run, bounds, which);
      if (moment === undefined) throw noRound(rounds, bounds.after, before);
      changes.push({ ...ready(what), moment });
    }
    return { run, seed: runSeed(seed, run), rounds, settings, changes };
  });
}

const noRound = (rounds: number, after: number, before: number): InfraError =>
  new InfraError({
    code: "EXP-NO-ROUND",
    message: `no round of ${rounds} lies after ${after} and before ${before} with another to follow`,
    remedy: "give more --rounds, another --change-at, or --no-change; each change comes after the one before",
  });
