import { describe, expect, it } from "vitest";
import { judgeHistory } from "../../../dynamos/runs/history.js";
import { accuracyPlot, durationsPlot } from "../../../dynamos/runs/plots.js";
import {
  type ChangeResult,
  judge,
  type RoundResult,
  type RunResult,
  roundResult,
  roundsCsv,
} from "../../../dynamos/runs/result.js";
import { KEY } from "../../../policy/contract/names.js";

const durations = {
  validate: 1,
  open: 1.5,
  steps: {
    embed: { total: 4, start: 0, compute: 1, transfer: 3 },
    train: { total: 2, start: 0, compute: 1.5, transfer: 0.5 },
  },
  report: 0.1,
  total: 8.6,
};
const completed = (round: number): RoundResult => ({
  round,
  status: "completed",
  accuracy: 0.5 + round / 100,
  durations,
});
const refused = (round: number): RoundResult => ({
  round,
  status: "refused",
  reason: "POL-NO-AGREEMENT, no agreement (revision 9)",
});
const jobs = [{ jobId: "job", firstRound: 1, dataProviders: ["c"] }];
const change = (duringRound: number, more: Partial<ChangeResult> = {}): ChangeResult => ({
  ...{ party: "c", do: "leave", plannedIn: duringRound, duringRound, revision: 9, next: "refused" },
  ...more,
});
const run = (rounds: RoundResult[], changeDuringRound?: number): RunResult => ({
  ...{ run: 1, seed: 7, jobs, rounds },
  changes: changeDuringRound === undefined ? [] : [change(changeDuringRound)],
});

describe("a run is judged from its rounds", () => {
  it("holds when k completes and k+1 is refused", () => {
    expect(judge(run([completed(1), completed(2), refused(3)], 2))).toMatchObject({
      held: true,
      roundsAfterChange: 0,
    });
  });
  it("does not hold when a round completes after the change", () => {
    expect(judge(run([completed(1), completed(2), completed(3), refused(4)], 2))).toMatchObject({
      held: false,
      roundsAfterChange: 1,
    });
  });
  it("does not hold when the training ends before it is refused", () => {
    expect(judge(run([completed(1), completed(2)], 2)).held).toBe(false);
  });
  it("does not hold when the planned change was not made, or not inside a round", () => {
    const planned: ChangeResult[] = [{ party: "c", do: "leave", plannedIn: 2 }];
    expect(judge({ ...run([completed(1), completed(2)]), changes: planned })).toMatchObject({
      held: false,
      text: expect.stringContaining("not made"),
    });
    const late = [change(1, { inside: false })];
    expect(judge({ ...run([completed(1), refused(2)]), changes: late }).held).toBe(false);
  });
  it("of several jobs holds when each is refused after its change and the next goes on with others", () => {
    const leaving = [
      change(2),
      change(4, { party: "d", do: "join", next: "goesOn" }),
      change(5, { party: "e" }),
    ];
    const rounds = [completed(1), completed(2), refused(3), completed(4), completed(5), refused(6)];
    const two = {
      ...run(rounds),
      jobs: [...jobs, { jobId: "next", firstRound: 4, dataProviders: [] }],
      changes: leaving,
    };
    expect(judge(two)).toMatchObject({ held: true, roundsAfterChange: 0 });
    // One round too many of the first job, and one that is refused for no change.
    const more = [...rounds.slice(0, 2), completed(3), ...rounds.slice(3)];
    expect(judge({ ...two, rounds: more })).toMatchObject({ held: false, roundsAfterChange: 1 });
    const wrong = [...rounds.slice(0, 3), refused(4), ...rounds.slice(4)];
    expect(judge({ ...two, rounds: wrong })).toMatchObject({ held: false, text: /round 4 was refused/ });
    // The third was not made.
    expect(
      judge({ ...two, changes: [...leaving.slice(0, 2), { party: "e", do: "leave", plannedIn: 5 }] }).held,
    ).toBe(false);
  });
  it("does not hold when a round breaks, or is refused though nothing changed", () => {
    expect(judge(run([completed(1), { round: 2, status: "failed", reason: "JOB-DIED" }], 1)).held).toBe(
      false,
    );
    expect(judge(run([completed(1), refused(2)])).held).toBe(false);
    expect(judge(run([])).held).toBe(false);
  });
});

describe("a round's report becomes a result", () => {
  it("with the refusal's code and etcd's revision in the reason", () => {
    const reasons = [
      { code: "POL-NO-AGREEMENT", party: "c", path: "", message: "c has no agreement for ada" },
    ];
    expect(roundResult({ round: 3, status: "refused", reasons, revision: 214, durations }).reason).toBe(
      "POL-NO-AGREEMENT c has no agreement for ada (revision 214)",
    );
  });
  it("with the accuracy that the result step reports", () => {
    expect(
      roundResult({ round: 3, status: "completed", data: { accuracy: 0.75, loss: 1 }, durations }).accuracy,
    ).toBe(0.75);
  });
});

describe("etcd's history is judged apart from what the services say", () => {
  const put = (key: string, revision: number) => ({ type: "put" as const, key, revision });
  it("finds a round opened after the change", () => {
    const events = [
      put(KEY.round("job", 1), 4),
      put(KEY.round("other", 1), 12),
      put(KEY.round("job", 2), 10),
    ];
    const verdict = judgeHistory(events, "job", 9);
    expect(verdict.roundsBefore).toBe(1);
    expect(verdict.violations).toEqual([
      { job: "job", key: KEY.round("job", 2), openedAt: 10, changedAt: 9 },
    ]);
  });
});

describe("results for people", () => {
  const result = { runs: [run([completed(1), completed(2), refused(3)], 2)] };
  it("rounds.csv has a line a round and quotes what holds a comma", () => {
    const lines = roundsCsv(result).trimEnd().split("\n");
    expect(lines).toHaveLength(4);
    expect(lines[0]).toBe(
      "run,seed,round,status,accuracy,validate_ms,open_ms,embed_ms,embed_compute_ms,train_ms,train_compute_ms,report_ms,total_ms,reason",
    );
    expect(lines[3]).toContain('"POL-NO-AGREEMENT, no agreement (revision 9)"');
  });
  it("plots are SVG with the run's name and the operations", () => {
    expect(accuracyPlot(result, "title")).toMatch(/^<svg[\s\S]*run 1[\s\S]*<\/svg>$/);
    const plot = durationsPlot(result, "title");
    for (const name of ["start-up", "policy check", "embed: compute", "train: transfer"])
      expect(plot).toContain(name);
  });
});
