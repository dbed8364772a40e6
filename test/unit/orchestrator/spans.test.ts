import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stepDurations } from "../../../policy/orchestrator/spans.js";
import type { StepSpan } from "../../../policy/rounds/messages.js";
import type { PlannedStep, WorkflowPlan } from "../../../policy/rounds/plan.js";

const planned = (name: string): PlannedStep => ({ name, service: "s", role: "dataProvider", inputs: [] });
const planOf = (...levels: string[][]): WorkflowPlan => {
  const last = planned(levels.at(-1)?.at(-1) ?? "");
  return { levels: levels.map((level) => level.map(planned)), result: last, roundsField: undefined };
};
const span = (step: string, doneMs: number, computeMs = 0, startMs = 0): StepSpan => ({
  step,
  doneMs,
  computeMs,
  startMs,
});

describe("the durations of a round's steps", () => {
  const plan = planOf(["read"], ["add"], ["update"]);

  it("go from the slowest agent of one step to the slowest of the next; the way belongs to the first", () => {
    const one = [span("read", 10, 6), span("update", 70, 4)];
    const two = [span("read", 20, 12, 3), span("update", 60, 9)];
    const hub = [span("add", 50, 25)];
    expect(stepDurations(plan, [one, two, hub], 75)).toEqual({
      read: { total: 25, start: 3, compute: 12, transfer: 10 },
      add: { total: 30, start: 0, compute: 25, transfer: 5 },
      update: { total: 20, start: 0, compute: 9, transfer: 11 },
    });
  });

  it("end, side by side, each at its own slowest agent", () => {
    const durations = stepDurations(
      planOf(["a", "b"], ["c"]),
      [[span("a", 10), span("b", 30), span("c", 40)]],
      40,
    );
    expect(Object.entries(durations).map(([step, { total }]) => [step, total])).toEqual([
      ["a", 10],
      ["b", 30],
      ["c", 10],
    ]);
  });

  it("are no longer than the round, whatever is claimed", () => {
    expect(stepDurations(plan, [[span("read", 1e9, 1e9, 1e9)]], 30)).toEqual({
      read: { total: 30, start: 30, compute: 0, transfer: 0 },
      add: { total: 0, start: 0, compute: 0, transfer: 0 },
      update: { total: 0, start: 0, compute: 0, transfer: 0 },
    });
  });

  it("are the whole round in its first step where agents tell nothing, or of other steps only", () => {
    for (const told of [[], [[]], [[span("another", 10, 10)]]])
      expect(Object.values(stepDurations(plan, told, 30)).map((d) => d.total)).toEqual([30, 0, 0]);
  });

  const names = ["a", "b", "c", "d"];
  const milliseconds = fc.oneof(
    fc.double({ min: 0, max: 200, noNaN: true }),
    fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
  );
  const claims = fc.array(
    fc.array(
      fc.record({
        step: fc.constantFrom(...names, "another"),
        doneMs: milliseconds,
        startMs: milliseconds,
        computeMs: milliseconds,
      }),
      { maxLength: 8 },
    ),
    { maxLength: 5 },
  );
  const total = fc.double({ min: 0, max: 100, noNaN: true });

  it("add up to the round where no two steps run side by side, whatever agents claim", () => {
    fc.assert(
      fc.property(claims, total, fc.integer({ min: 1, max: 4 }), (told, whole, steps) => {
        const durations = stepDurations(planOf(...names.slice(0, steps).map((name) => [name])), told, whole);
        const sum = Object.values(durations).reduce((all, step) => all + step.total, 0);
        expect(sum).toBeCloseTo(whole, 6);
      }),
    );
  });

  it("are never negative, never more than the round, and the sum of their own spans, also side by side", () => {
    fc.assert(
      fc.property(claims, total, (told, whole) => {
        const durations = stepDurations(planOf(["a", "b"], ["c", "d"]), told, whole);
        expect(Object.keys(durations)).toEqual(names);
        for (const step of Object.values(durations)) {
          for (const one of Object.values(step)) {
            expect(one).toBeGreaterThanOrEqual(0);
            expect(one).toBeLessThanOrEqual(whole);
          }
          expect(step.start + step.compute + step.transfer).toBeCloseTo(step.total, 6);
        }
      }),
    );
  });
});
