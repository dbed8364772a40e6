// The experiment, from nothing to nothing, by the command that a person types: each test goes on where the one before it ended.
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readAgreement } from "../../dynamos/runs/agreements-api.js";
import { checkResult } from "../../dynamos/runs/checker.js";
import type { ExperimentResult, RunResult } from "../../dynamos/runs/result.js";
import type { Agreement } from "../../policy/contract/documents.js";
import { changes, kill, listening, messages, TestMarket, until } from "./market.js";

const party = "clientthree";

describe("the experiment", { timeout: 180_000 }, () => {
  let market: TestMarket;
  let out: string;
  const agreement = async (): Promise<Agreement | undefined> =>
    (await readAgreement(market.access().operator, party))?.document;
  const original = JSON.parse(readFileSync(`examples/titanic/agreements/${party}.json`, "utf8")) as Agreement;
  const read = <T>(folder: string, name: string): T =>
    JSON.parse(readFileSync(join(out, folder, name), "utf8")) as T;

  beforeAll(() => {
    market = new TestMarket();
    out = mkdtempSync(join(tmpdir(), "dynamos-fabric results "));
  });
  afterAll(async () => {
    await market.end();
    rmSync(out, { recursive: true, force: true });
  }, 120_000);

  it("brings the stack up, and each run is refused in the round after the change", async () => {
    const ended = await market.run([
      "experiment",
      "--runs",
      "2",
      "--rounds",
      "60",
      "--seed",
      "7",
      "--out",
      join(out, "e"),
    ]);
    expect(ended.code, ended.stdout + ended.stderr).toBe(0);
    expect(ended.stdout).toContain("policy held in 2 of 2 runs: 0 rounds after the change");
    const { runs } = read<ExperimentResult>("e", "result.json");
    expect(runs.map((run) => run.run)).toEqual([1, 2]);
    for (const run of runs) expectRefusedAfterChange(run);
    expect(runs[0]?.changes[0]?.duringRound).not.toBe(runs[1]?.changes[0]?.duringRound);
    expect(runs[0]?.seed).not.toBe(runs[1]?.seed);
    expect(await agreement()).toEqual(original);
  });

  it("keeps what is needed to repeat and to compare it", () => {
    expect(readdirSync(join(out, "e")).sort()).toEqual([
      "accuracy.svg",
      "durations.svg",
      "record.json",
      "result.json",
      "rounds.csv",
    ]);
    const record = read<Record<string, unknown>>("e", "record.json");
    expect(record).toMatchObject({
      seed: 7,
      runs: 2,
      rounds: 60,
      versions: { node: process.version },
      spec: { target: "local" },
    });
    expect(record.agreements).toMatchObject({
      [party]: {
        document: original,
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        revision: expect.any(Number),
      },
    });
    expect(record.command).toContain("experiment");
    const { runs } = read<ExperimentResult>("e", "result.json");
    const lines = readFileSync(join(out, "e", "rounds.csv"), "utf8")
      .trim()
      .split("\n");
    expect(lines).toHaveLength(1 + runs.reduce((sum, run) => sum + run.rounds.length, 0));
    for (const plot of ["accuracy.svg", "durations.svg"])
      expect(readFileSync(join(out, "e", plot), "utf8")).toMatch(/^<svg[\s\S]*<\/svg>\s*$/);
  });

  it("is confirmed by the store's own history, which would also have told of a round after the change", async () => {
    const { store } = market.access();
    const result = read<ExperimentResult>("e", "result.json");
    expect(await checkResult(store, result, 1)).toEqual([]);
    const early = {
      runs: result.runs.map((run) => ({
        ...run,
        changes: run.changes.map((change) => ({ ...change, revision: (change.revision ?? 0) - 5 })),
      })),
    };
    expect((await checkResult(store, early, 1)).join("\n")).toMatch(
      /was opened at revision \d+, after the change at/,
    );
  });

  it("tells of each round what it spent its time on", () => {
    for (const run of read<ExperimentResult>("e", "result.json").runs)
      for (const round of run.rounds) expectSpansToAddUp(round);
  });

  describe("stopped in the middle, with the agreement changed", () => {
    // Held still while it waits for the end, the command cannot put the agreement back before we have seen it changed.
    async function heldAfterChange() {
      const child = market.start([
        "experiment",
        "--runs",
        "2",
        "--rounds",
        "100",
        "--change-at",
        "60",
        "--seed",
        "7",
        "--out",
        join(out, "stopped"),
      ]);
      const pid = child.pid;
      if (pid === undefined) throw new Error("the command did not start");
      let text = "";
      child.stderr.setEncoding("utf8").on("data", (t: string) => (text += t));
      const began = new Promise<void>((settle) =>
        child.stdout.on("data", (t) => String(t).includes("round 1/100") && settle()),
      );
      const ended = once(child, "exit");
      await Promise.race([began, ended]);
      kill(pid, "SIGSTOP");
      await until(
        agreement,
        (now) => now?.relations["ada@uva.nl"] === undefined,
        "the agreement without its user",
        60,
      );
      return { pid, ended, text: () => text };
    }
    const putBack = (): Promise<unknown> =>
      until(agreement, (now) => isDeepStrictEqual(now, original), "the agreement put back", 10);
    const debt = (): boolean => existsSync(join(market.state, "experiment-restore.json"));

    it("by Ctrl-C, it puts the agreement back and says so", async () => {
      const { pid, ended, text } = await heldAfterChange();
      expect(debt()).toBe(true);
      kill(pid, "SIGINT");
      kill(pid, "SIGCONT");
      expect(await ended).toEqual([1, null]);
      expect(text()).toContain("EXP-INTERRUPTED");
      expect(text()).not.toMatch(/\n\s+at /);
      expect(await agreement()).toEqual(original);
      expect(debt()).toBe(false);
    });

    it("by kill -9, its other process puts the agreement back and ends", async () => {
      const { pid, ended } = await heldAfterChange();
      kill(pid);
      await ended;
      await putBack();
      await until(debt, (owed) => !owed, "a debt on disk", 10);
      await until(
        () => market.processes().filter((p) => p.what.includes("changer")),
        (left) => left.length === 0,
        "processes of the experiment",
        10,
      );
      await market.train();
    });
  });

  it("learns when nothing changes", async () => {
    const ended = await market.run([
      "experiment",
      "--no-change",
      "--rounds",
      "100",
      "--runs",
      "1",
      "--out",
      join(out, "n"),
    ]);
    expect(ended.code, ended.stdout + ended.stderr).toBe(0);
    const [run] = read<ExperimentResult>("n", "result.json").runs;
    expect(run?.rounds).toHaveLength(100);
    expect(run?.rounds.every((round) => round.status === "completed")).toBe(true);
    expect(run?.rounds.at(-1)?.accuracy).toBeGreaterThan(0.75);
    expect(run?.changes).toEqual([]);
    for (const round of run?.rounds ?? []) expectSpansToAddUp(round);
  });

  it("leaves nothing for `up` to change", async () => {
    const preview = await market.engine.preview();
    expect(changes(preview)).toEqual([]);
    expect(messages(preview)).toMatch(/^lease until [^\n]+ days left\n?$/);
  });

  it("`down` leaves no process, no port and no file but logs, and a second time finds nothing to do", async () => {
    const ports = market.ports();
    expect(await listening(ports)).not.toEqual([]);
    const down = await market.run(["down"]);
    expect(down.code, down.stdout + down.stderr).toBe(0);
    expect(market.processes()).toEqual([]);
    expect(await listening(ports)).toEqual([]);
    expect(readdirSync(market.state)).toEqual(["logs"]);
    const again = await market.run(["down"]);
    expect(again.code).toBe(0);
    expect(again.stderr).toContain("is down");
  });
});

function expectRefusedAfterChange({ rounds, changes: [change] }: RunResult): void {
  const k = change?.duringRound ?? 0;
  expect(k).toBeGreaterThan(5);
  expect(k).toBeLessThan(50);
  expect(change).toMatchObject({ party: "clientthree", do: "leave", inside: true, next: "refused" });
  expect(rounds.map((round) => round.round)).toEqual(Array.from({ length: k + 1 }, (_, i) => i + 1));
  expect(
    rounds.slice(0, k).every((round) => round.status === "completed" && typeof round.accuracy === "number"),
  ).toBe(true);
  const refused = rounds[k];
  expect(refused?.status).toBe("refused");
  expect(refused?.reason).toMatch(
    /^POL-NO-AGREEMENT clientthree has no agreement for ada@uva\.nl \(revision \d+\)$/,
  );
  const revision = Number(/revision (\d+)/.exec(refused?.reason ?? "")?.[1]);
  expect(revision).toBeGreaterThanOrEqual(change?.revision ?? Number.POSITIVE_INFINITY);
}

function expectSpansToAddUp({ round, durations }: RunResult["rounds"][number]): void {
  if (durations === undefined) throw new Error(`round ${round} has no durations`);
  const { validate, open, steps, report, total } = durations;
  const sum = validate + open + report + Object.values(steps).reduce((all, step) => all + step.total, 0);
  expect(Math.abs(sum - total), `round ${round}: ${JSON.stringify(durations)}`).toBeLessThanOrEqual(
    total * 0.1,
  );
  for (const step of Object.values(steps))
    expect(step.start + step.compute + step.transfer).toBeCloseTo(step.total, 3);
}
