import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ExperimentRecord } from "../../../dynamos/runs/record.js";
import { circumstances, outcomes, readDone } from "../../../dynamos/runs/repeat.js";
import type { ExperimentResult } from "../../../dynamos/runs/result.js";
import { parseSettings } from "../../../dynamos/runs/settings.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "repeat-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const carol = { name: "carol", relations: {}, computeProviders: [], archetypes: ["a"] };
const record = (change: Partial<ExperimentRecord> = {}): ExperimentRecord => ({
  command: [],
  startedAt: "2026-11-23T00:00:00Z",
  versions: { "dynamos-fabric": "0.1.0", node: "v22.1.0" },
  ...{ runs: 2, rounds: 30, seed: 7, change: true },
  spec: { target: "local", nodes: { core: { role: "core" } } },
  settings: parseSettings(
    { request: "t", user: { id: "a", userName: "a@b" }, dataProviders: ["carol"], rounds: 30 },
    "",
  ),
  agreements: { carol: { revision: 7, sha256: "x", document: carol } },
  ...change,
});
const write = (name: string, value: unknown): string => {
  writeFileSync(join(folder, name), typeof value === "string" ? value : JSON.stringify(value));
  return join(folder, name);
};
const result = (accuracies: readonly number[], change: object = {}): ExperimentResult => ({
  runs: [
    {
      ...{ run: 1, seed: 5, jobs: [{ jobId: crypto.randomUUID(), firstRound: 1, dataProviders: [] }] },
      changes: [{ party: "carol", do: "leave", plannedIn: 2, duringRound: 2, ...change }],
      rounds: accuracies.map((accuracy, i) => ({ round: i + 1, status: "completed", accuracy })),
    },
  ],
});

describe("an experiment that is repeated", () => {
  it("is read with its results, where they lie beside it", () => {
    const file = write("record.json", record());
    expect(readDone(file)).toMatchObject({ record: { seed: 7, rounds: 30 }, result: undefined });
    write("result.json", result([0.5]));
    expect(readDone(file).result?.runs).toHaveLength(1);
  });

  it("is refused with a code when it is no record", () => {
    const code = (file: string) => expect(() => readDone(file), file).toThrow(/EXP-RECORD/);
    code(join(folder, "none.json"));
    code(write("a.json", "{"));
    code(write("b.json", {}));
    code(write("c.json", { ...record(), seed: "seven" }));
    code(write("d.json", { ...record(), settings: { request: "t" } }));
  });

  it("says what is not as it was, and nothing else", () => {
    const { record: before } = readDone(write("record.json", record()));
    const later = {
      startedAt: "later",
      command: ["x"],
      agreements: { carol: { ...record().agreements.carol, revision: 99 } },
    };
    expect(circumstances(before, record(later as Partial<ExperimentRecord>))).toEqual([]);
    const changed = record({
      versions: { "dynamos-fabric": "0.1.0", node: "v22.2.0" },
      spec: { target: "fabric", nodes: { core: { role: "core" }, more: { role: "agent" } } },
      agreements: { carol: { revision: 7, sha256: "y", document: { ...carol, archetypes: ["b"] } } },
      rounds: 10,
    });
    expect(circumstances(before, changed)).toEqual([
      'versions.node: "v22.1.0" then, "v22.2.0" now',
      'spec.target: "local" then, "fabric" now',
      'spec.nodes.more: nothing then, {"role":"agent"} now',
      'agreements.carol.archetypes.0: "a" then, "b" now',
      "rounds: 30 then, 10 now",
    ]);
  });

  it("says which outcome differs, not durations and ids", () => {
    expect(outcomes(result([0.5, 0.6]), result([0.5, 0.6]))).toEqual([]);
    expect(outcomes(result([0.5, 0.6]), result([0.5, 0.7]))).toEqual([
      "run 1.rounds.1.accuracy: 0.6 then, 0.7 now",
    ]);
    expect(outcomes(result([0.5, 0.6]), result([0.4, 0.7], { duringRound: 1 }))).toEqual([
      "run 1.changes.0.duringRound: 2 then, 1 now (and 2 more)",
    ]);
    expect(outcomes(result([0.5]), { runs: [] })).toEqual(["run 1: only then"]);
  });
});
