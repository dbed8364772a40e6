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
  const spans = new Map<string, StepSpan[]>();
  for (const span of reports.flat()) spans.set(span.step, [...(spans.get(span.step) ?? []), span]);
  const most = (step: string, of: (span: StepSpan) => number): number =>
    Math.max(0, ...(spans.get(step) ?? []).map(of));

  const ends = plan.levels.map((level) => Math.max(0, ...level.map(({ name }) => most(name, (s) => s.doneMs))));
  const way = Math.max(0, total - Math.max(0, ...ends));
  const durations: Record<string, StepDuration> = {};
  let before = 0;
  for (const [i, level] of plan.levels.entries()) {
    const end = Math.max(before, Math.min(total - way, ends[i] ?? 0));
    for (const { name } of level) {
      const done = Math.min(end, most(name, (s) => s.doneMs));
      durations[name] = split(Math.max(0, done - before) + (i === 0 ? way : 0), name);
    }
    before = end;
  }
  return durations;

  function split(whole: number, step: string): StepDuration {
    const start = Math.min(whole, most(step, (s) => s.startMs));
    const compute = Math.min(whole - start, most(step, (s) => s.computeMs));
    return { total: whole, start, compute, transfer: whole - start - compute };
  }
}
