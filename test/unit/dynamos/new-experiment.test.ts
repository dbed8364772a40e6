import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { readExperiment } from "../../../dynamos/experiment.js";
import { documentProblems } from "../../../dynamos/experiment-checks.js";
import { makeExperiment } from "../../../dynamos/new-experiment.js";
import { resolveSpec } from "../../../dynamos/spec.js";

let project: string;
beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), "new-"));
});
afterEach(() => rmSync(project, { recursive: true, force: true }));

const examples = resolve("examples");
const make = (change: Partial<Parameters<typeof makeExperiment>[0]> = {}) =>
  makeExperiment({ name: "bank", project, hasProgram: false, like: "titanic", examples, ...change });
const codesOf = (act: () => unknown): string[] => {
  try {
    act();
    return [];
  } catch (error) {
    return (error as { problems: { code: string }[] }).problems.map((p) => p.code);
  }
};

describe("dynamos-fabric new", () => {
  it.each(["titanic", "universities"])("copies %s and makes a stack that is right", (like) => {
    const { files, parties } = make({ like });
    expect(files).toEqual(["bank/", "Pulumi.bank.yaml", "Pulumi.yaml", "marketplace.cjs"]);
    const file = parse(readFileSync(join(project, "Pulumi.bank.yaml"), "utf8"));
    const { spec, problems } = resolveSpec(file.config["dynamos-fabric:marketplace"]);
    expect(problems).toBeUndefined();
    expect(spec?.experiment).toBe("bank");
    const read = readExperiment(join(project, "bank"));
    expect(read.problems).toEqual([]);
    expect(documentProblems(read.experiment, spec?.nodes)).toEqual([]);
    expect(Object.keys(spec?.nodes ?? {}).sort()).toEqual(["control", "core", ...parties].sort());
    expect(parse(readFileSync(join(project, "Pulumi.yaml"), "utf8"))).toMatchObject({
      main: "marketplace.cjs",
    });
  });

  it("takes nothing but the experiment, and adds a stack only where there is a project", () => {
    const own = join(project, "own");
    mkdirSync(join(own, "node_modules"), { recursive: true });
    mkdirSync(join(own, "agreements"));
    writeFileSync(
      join(own, "agreements", "Bank-A.json"),
      JSON.stringify({ name: "Bank-A", relations: {}, computeProviders: [], archetypes: [] }),
    );
    expect(make({ like: own, hasProgram: true }).files).toEqual(["bank/", "Pulumi.bank.yaml"]);
    expect(readdirSync(join(project, "bank"))).toEqual(["agreements"]);
    const { config } = parse(readFileSync(join(project, "Pulumi.bank.yaml"), "utf8"));
    expect(config["dynamos-fabric:marketplace"].nodes["bank-a"]).toMatchObject({
      role: "agent",
      party: "Bank-A",
    });
  });

  it("touches nothing that is there", () => {
    writeFileSync(join(project, "Pulumi.bank.yaml"), "mine");
    writeFileSync(join(project, "marketplace.cjs"), "mine");
    expect(codesOf(() => make())).toEqual(["EXP-NEW-EXISTS", "EXP-NEW-EXISTS"]);
    expect(existsSync(join(project, "bank"))).toBe(false);
    expect(readFileSync(join(project, "marketplace.cjs"), "utf8")).toBe("mine");
  });

  it.each(["", "a", "Bank", "../bank", "-bank", "bank/x", "b".repeat(41)])("refuses the name %j", (name) => {
    expect(codesOf(() => make({ name }))).toEqual(["EXP-NEW-NAME"]);
  });

  it("refuses what it cannot copy", () => {
    expect(() => make({ like: "titanik" })).toThrow(/no folder titanik.*[\s\S]*titanic, universities/);
    expect(codesOf(() => make({ like: "../examples/titanik" }))).toEqual(["EXP-NEW-SOURCE"]);
    mkdirSync(join(project, "empty"));
    expect(codesOf(() => make({ like: join(project, "empty") }))).toEqual(["DOC-NO-AGREEMENT"]);
    const whole = join(project, "..", project.split("/").at(-1) ?? "");
    mkdirSync(join(whole, "agreements"));
    writeFileSync(
      join(whole, "agreements", "a.json"),
      JSON.stringify({ name: "a", relations: {}, computeProviders: [], archetypes: [] }),
    );
    expect(codesOf(() => make({ like: project }))).toEqual(["EXP-NEW-SOURCE"]);
  });
});
