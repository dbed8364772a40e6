import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { afterChange, readyChange } from "../../../dynamos/runs/change.js";
import { planRuns } from "../../../dynamos/runs/plan-runs.js";
import { judge, type RoundResult, type RunResult } from "../../../dynamos/runs/result.js";
import {
  expectedAfter,
  joinLater,
  type PlannedChange,
  parseSettings,
} from "../../../dynamos/runs/settings.js";

const ADA = "ada@uva.nl";
const rule = { ID: "ada", requestTypes: ["t"], allowedArchetypes: ["a"], allowedComputeProviders: ["s"] };
const agreement = (name: string, relations: object = { [ADA]: rule }) => ({
  ...{ name, relations, computeProviders: ["s"], archetypes: ["a"] },
});
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "changes-"));
  mkdirSync(join(folder, "agreements"));
  const files = {
    "agreements/carol.json": agreement("carol"),
    "agreements/dave.json": agreement("dave", {}),
    "later.json": agreement("carol", {}),
    "other.json": agreement("dave"),
    "broken.json": { name: "carol", relations: 3 },
  };
  for (const [file, value] of Object.entries(files)) writeFileSync(join(folder, file), JSON.stringify(value));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const base = {
  request: "t",
  user: { id: "ada", userName: ADA },
  dataProviders: ["alice", "carol"],
  rounds: 10,
};
const settings = (change: object) => parseSettings({ ...base, changes: [change] }, "experiment.yaml");
const problems = (act: () => unknown): unknown => {
  try {
    return act();
  } catch (error) {
    return (error as { problems: { code: string; path?: string }[] }).problems.map(({ code, path }) => [
      code,
      path,
    ]);
  }
};
const carol = (change: object): PlannedChange =>
  settings({ after: 3, party: "carol", ...change }).changes[0] as PlannedChange;

describe("a change in experiment.yaml", () => {
  it("says what becomes of the next round", () => {
    expect(expectedAfter(carol({ do: "leave" }))).toBe("refused");
    expect(expectedAfter(carol({ do: "join" }))).toBe("goesOn");
    expect(expectedAfter(carol({ do: "replace", with: "later.json" }))).toBe("refused");
    expect(expectedAfter(carol({ do: "replace", with: "later.json", expect: "goesOn" }))).toBe("goesOn");
  });

  it.each([
    [{ after: 3, do: "vanish", party: "carol" }, "changes.0.do"],
    [{ after: 3, between: [1, 2], do: "leave", party: "carol" }, "changes.0"],
    [{ do: "leave", party: "carol" }, "changes.0"],
    [{ after: 3, do: "replace", party: "carol" }, "changes.0.with"],
    [{ after: 3, do: "join", party: "carol", with: "x.json" }, "changes.0.with"],
    [{ after: 3, do: "leave", party: "carol", expect: "goesOn" }, "changes.0.expect"],
  ])("is refused where it is wrong: %j", (change, path) => {
    expect(problems(() => settings(change))).toEqual([["EXP-SETTINGS", path]]);
  });

  it("has what it needs of the folder before anything starts", () => {
    const ready = (change: object) => readyChange(carol(change), folder, ADA);
    expect(ready({ do: "leave" })).not.toHaveProperty("agreement");
    expect(ready({ do: "join" }).agreement?.relations[ADA]).toEqual(rule);
    expect(ready({ do: "replace", with: "later.json" }).agreement?.relations).toEqual({});
    expect(problems(() => ready({ do: "join", party: "dave" }))).toEqual([["EXP-CHANGE", "relations"]]);
    expect(problems(() => ready({ do: "replace", with: "other.json" }))).toEqual([["DOC-NAME", "name"]]);
    expect(problems(() => ready({ do: "replace", with: "none.json" }))).toEqual([["DOC-READ", undefined]]);
    expect(JSON.stringify(problems(() => ready({ do: "replace", with: "broken.json" })))).toContain(
      "relations",
    );
  });

  it("leaves those that join at first out of the run's first request", () => {
    const of = (...changes: object[]) =>
      joinLater(parseSettings({ ...base, changes: changes.map((c, i) => ({ after: i + 1, ...c })) }, "x"));
    const [join, leave] = [
      { do: "join", party: "carol" },
      { do: "leave", party: "carol" },
    ];
    expect(of(join)).toEqual(["carol"]);
    expect(of(leave, join)).toEqual([]);
    expect(of({ do: "leave", party: "alice" }, join, leave)).toEqual(["carol"]);
    expect(problems(() => of(leave, leave))).toEqual([["EXP-SETTINGS", "changes.1.do"]]);
  });

  it("decides who is asked next, and ends a running job only if that asks the party", () => {
    const [alice, both] = [new Set(["alice"]), new Set(["alice", "carol"])];
    const ready = (change: object) => readyChange(carol(change), folder, ADA);
    const leave = ready({ do: "leave" });
    expect(afterChange(leave, ADA, both, both)).toEqual({ isIn: alice, next: "refused" });
    expect(afterChange(leave, ADA, both, alice)).toEqual({ isIn: alice, next: "goesOn" });
    expect(afterChange(ready({ do: "join" }), ADA, alice, alice)).toEqual({ isIn: both, next: "goesOn" });
    const narrower = ready({ do: "replace", with: "later.json" });
    expect(afterChange(narrower, ADA, both, both)).toEqual({ isIn: alice, next: "refused" });
  });

  it("is made ready for each run, and comes in a later round than the one before", () => {
    const joining = settings({ after: 3, do: "join", party: "carol" });
    const ready = (what: PlannedChange) => readyChange(what, folder, ADA);
    const orders = planRuns(joining, { runs: 2, rounds: 10, seed: 7, change: true }, ready);
    expect(orders.map(({ changes: [c] }) => [c?.moment.round, c?.agreement?.name])).toEqual([
      [4, "carol"],
      [4, "carol"],
    ]);
    const several = parseSettings(
      { ...base, changes: [{ between: [0, 9], do: "leave", party: "carol" }, { between: [0, 9], do: "join", party: "carol" }] }, // biome-ignore format: one line
      "x",
    );
    const drawn = new Set<string>();
    for (let seed = 0; seed < 40; seed += 1) {
      try {
        const [order] = planRuns(several, { runs: 1, rounds: 10, seed, change: true }, ready);
        const [first, second] = order?.changes.map(({ moment }) => moment.round) ?? [];
        expect(second).toBeGreaterThan(first ?? 0);
        drawn.add(`${first} ${second}`);
      } catch (error) {
        expect(error).toMatchObject({ code: "EXP-NO-ROUND" }); // the first took the last one
      }
    }
    expect(drawn.size).toBeGreaterThan(10);
    expect(planRuns(several, { runs: 1, rounds: 10, seed: 1, change: false })[0]?.changes).toEqual([]);
    expect(() => planRuns(several, { runs: 1, rounds: 10, seed: 1, change: false, changeAt: 3 })).toThrow(/EXP-NO-CHANGE/); // biome-ignore format: one line
  });
});

describe("a run whose job goes on after the change", () => {
  const rounds = (...statuses: RoundResult["status"][]): RoundResult[] =>
    statuses.map((status, i) => ({ round: i + 1, status }));
  const run = (change: Partial<RunResult>): RunResult => ({
    ...{ run: 1, seed: 1, jobs: [{ jobId: "j", firstRound: 1, dataProviders: ["alice"] }] },
    changes: [{ party: "carol", do: "join", plannedIn: 2, duringRound: 2, next: "goesOn" }],
    rounds: rounds("completed", "completed", "completed"),
    ...change,
  });
  it("held when it did, and the party that joined was part of the next request", () => {
    expect(judge(run({})).held).toBe(true);
    expect(judge(run({ joinedRequest: "completed" })).held).toBe(true);
    expect(judge(run({ joinedRequest: "refused" }))).toMatchObject({ held: false, text: /refused/ });
    expect(judge(run({ rounds: rounds("completed", "completed", "refused") })).held).toBe(false);
    expect(judge(run({ rounds: rounds("completed", "failed") })).held).toBe(false);
    // Planned, and not made.
    expect(judge(run({ changes: [{ party: "carol", do: "join", plannedIn: 2 }] })).held).toBe(false);
  });
});
