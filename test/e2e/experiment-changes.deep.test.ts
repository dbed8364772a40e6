// Parties that join and that replace their agreements, and an experiment that is repeated from its record: on one stack, by the command.
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { readAgreement } from "../../dynamos/runs/agreements-api.js";
import type { ExperimentResult } from "../../dynamos/runs/result.js";
import type { Agreement } from "../../policy/contract/documents.js";
import { paperConfig, TestMarket } from "./market.js";

const PARTY = "clientthree";

describe("an experiment's changes", { timeout: 180_000 }, () => {
  let market: TestMarket;
  let out: string;
  let folder: string;
  const original = JSON.parse(readFileSync(`examples/titanic/agreements/${PARTY}.json`, "utf8")) as Agreement;
  const live = async (): Promise<Agreement | undefined> =>
    (await readAgreement(market.access().operator, PARTY))?.document;
  const settings = parse(readFileSync("examples/titanic/experiment.yaml", "utf8")) as Record<string, unknown>;
  async function experiment(name: string, ...changes: readonly object[]) {
    const planned = changes.map((change) => ({ after: 4, party: PARTY, ...change }));
    writeFileSync(join(folder, "experiment.yaml"), stringify({ ...settings, changes: planned }));
    const args = ["experiment", "--runs", "1", "--rounds", "20", "--seed", "7", "--out", join(out, name)];
    const ended = await market.run(args);
    const result = JSON.parse(readFileSync(join(out, name, "result.json"), "utf8")) as ExperimentResult;
    // Whatever was done, it is undone.
    expect(await live()).toEqual(original);
    return { ...ended, run: result.runs[0] };
  }

  beforeAll(async () => {
    market = new TestMarket();
    out = mkdtempSync(join(tmpdir(), "dynamos-fabric changes "));
    folder = join(market.engine.folder, "titanic");
    cpSync("examples/titanic", folder, { recursive: true });
    // What `npm install` puts beside the package, as the microservices find it.
    for (const name of ["ml-matrix", "csv-parse"]) {
      const link = join(market.engine.folder, "node_modules", name);
      if (!existsSync(link)) symlinkSync(resolve("node_modules", name), link);
    }
    const narrower = { ...original, relations: {} };
    const wider = {
      ...original,
      relations: { ...original.relations, "eve@vu.nl": original.relations["ada@uva.nl"] },
    };
    for (const [file, agreement] of Object.entries({ narrower, wider }))
      writeFileSync(join(folder, `${file}.json`), JSON.stringify(agreement));
    market.configure({ ...paperConfig(), experiment: "titanic" });
    const up = await market.run(["up"]);
    expect(up.code, up.stdout + up.stderr).toBe(0);
  }, 240_000);
  afterAll(async () => {
    await market.end();
    rmSync(out, { recursive: true, force: true });
  }, 120_000);

  it("join: the job goes on without the party, and the next request asks it", async () => {
    const { code, stdout, stderr, run } = await experiment("join", { do: "join" });
    expect(code, stdout + stderr).toBe(0);
    expect(stdout).toMatch(/clientthree joined during round \d+/);
    expect(run).toMatchObject({ changes: [{ next: "goesOn" }], joinedRequest: "completed" });
    // The running job's parties were decided at its start.
    expect(run?.jobs.map(({ dataProviders }) => dataProviders)).toEqual([["clientone", "clienttwo"]]);
    expect(run?.rounds).toHaveLength(20);
  });

  it("several in a run: who left is not asked by the next request, joins it no more than runs, and may leave again", async () => {
    const { code, stdout, stderr, run } = await experiment(
      "several",
      { after: 4, do: "leave" },
      { after: 8, do: "join" },
      { after: 12, do: "leave", party: "clienttwo" },
      { after: 15, do: "leave" },
    );
    expect(code, stdout + stderr).toBe(0);
    expect(stdout).toContain("policy held in 1 of 1 runs: 0 rounds after the change");
    const at = run?.changes.map(({ duringRound = 0 }) => duringRound) ?? [];
    expect(run?.changes.map(({ party, do: did, next }) => `${party} ${did} ${next}`)).toEqual([
      "clientthree leave refused",
      "clientthree join goesOn",
      "clienttwo leave refused",
      "clientthree leave refused",
    ]);
    expect(run?.jobs.map(({ firstRound, dataProviders }) => [firstRound, dataProviders])).toEqual([
      [1, ["clientone", "clienttwo", "clientthree"]],
      [(at[0] ?? 0) + 2, ["clientone", "clienttwo"]],
      [(at[2] ?? 0) + 2, ["clientone", "clientthree"]],
    ]);
    const refused = run?.rounds.filter(({ status }) => status === "refused").map(({ round }) => round);
    expect(refused).toEqual([at[0], at[2], at[3]].map((k) => (k ?? 0) + 1));
    expect(run?.rounds.map(({ round }) => round)).toEqual(Array.from({ length: run?.rounds.length ?? 0 }, (_, i) => i + 1)); // biome-ignore format: one line
    const repeated = await market.run(["experiment", "--from", join(out, "several", "record.json"), "--out", join(out, "several again")]); // biome-ignore format: one line
    expect(repeated.code, repeated.stdout + repeated.stderr).toBe(0);
    expect(repeated.stdout).toContain("repeated under the same circumstances");
    expect(repeated.stdout).toContain("the same outcome, round by round");
  });

  it("replace: the next round is refused, or goes on, as the new agreement has it", async () => {
    const refused = await experiment("narrower", { do: "replace", with: "narrower.json" });
    expect(refused.code, refused.stdout + refused.stderr).toBe(0);
    expect(refused.stdout).toContain("policy held in 1 of 1 runs");
    expect(refused.run?.rounds.at(-1)).toMatchObject({ status: "refused" });

    const on = await experiment("wider", { do: "replace", with: "wider.json", expect: "goesOn" });
    expect(on.code, on.stdout + on.stderr).toBe(0);
    expect(on.run?.rounds).toHaveLength(20);

    // What was expected did not come: the experiment says so.
    const wrong = await experiment("wrong", { do: "replace", with: "wider.json" });
    expect(wrong.code).toBe(1);
    // On a busy machine the change may come after its round: such a run proves nothing either.
    expect(wrong.stdout).toMatch(/was not refused|had just ended/);
  });

  it("are repeated from a record, which says what differs", async () => {
    const record = join(out, "wider", "record.json");
    const args = ["experiment", "--from", record, "--out", join(out, "again")];
    const same = await market.run(args);
    expect(same.code, same.stdout + same.stderr).toBe(0);
    expect(same.stdout).toContain("repeated under the same circumstances");
    expect(same.stdout).toContain("the same outcome, round by round");

    const other = await market.run([...args, "--rounds", "10", "--seed", "8"]);
    expect(other.code, other.stdout + other.stderr).toBe(0);
    expect(other.stdout).toContain("rounds: 20 then, 10 now");
    expect(other.stdout).toContain("seed: 7 then, 8 now");
    expect(other.stdout).toMatch(/another outcome:\n {2}run 1\./);
  });
});
