import type { StepDuration } from "../contract/job.js";
import type { StepSpan } from "../rounds/messages.js";
import type { WorkflowPlan } from "../rounds/plan.js";

/**
 * How long each step of a round took, from what the agents tell of their own clocks. Each agent counts from its ticket's coming, and tickets go out
 * together: so a step ends when the last of its agents has its answer, and begins when the steps before it have ended. The way of tickets and
 * reports belongs to the first steps. What agents say is believed as far as the round took that long.
 *
 * @param total - milliseconds from the tickets' going to the last report's coming
 * @returns by step, in the order of their work; where no two steps run side by side they add up to `total`
 */
export function stepDurations(
  plan: WorkflowPlan,
  reports: readonly (readonly StepSpan[])[],
  total: number,
): Readonly<Record<string, StepDuration>> {
  const slowest = slowestOf(reports);
  const doneMs = (step: string): number => slowest.get(step)?.doneMs ?? 0;
  const ends = plan.levels.map((level) => Math.max(0, ...level.map(({ name }) => doneMs(name))));
  const worked = Math.min(total, Math.max(0, ...ends));
  const durations: Record<string, StepDuration> = {};
  let before = 0;
  for (const [i, level] of plan.levels.entries()) {
    const end = Math.max(before, Math.min(worked, ends[i] ?? 0));
    for (const { name } of level) {
      const took = Math.max(0, Math.min(end, doneMs(name)) - before);
      durations[name] = split(took + (i === 0 ? total - worked : 0), slowest.get(name));
    }
    before = end;
  }
  return durations;
}

/** By step, the most that any agent tells of each of its times. */
function slowestOf(reports: readonly (readonly StepSpan[])[]): ReadonlyMap<string, StepSpan> {
  const slowest = new Map<string, StepSpan>();
  for (const span of reports.flat()) {
    const { step, doneMs, startMs, computeMs } = slowest.get(span.step) ?? span;
    slowest.set(step, {
      step,
      doneMs: Math.max(doneMs, span.doneMs),
      startMs: Math.max(startMs, span.startMs),
      computeMs: Math.max(computeMs, span.computeMs),
    });
  }
  return slowest;
}

function split(total: number, span: StepSpan | undefined): StepDuration {
  const start = Math.min(total, span?.startMs ?? 0);
  const compute = Math.min(total - start, span?.computeMs ?? 0);
  return { total, start, compute, transfer: total - start - compute };
}
