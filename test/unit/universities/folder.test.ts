import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readExperiment } from "../../../dynamos/experiment.js";
import { documentProblems } from "../../../dynamos/experiment-checks.js";
import { STAFF } from "../../../examples/universities/make-data.mts";
import type { Microservice } from "../../../policy/contract/documents.js";

const FOLDER = join(__dirname, "../../../examples/universities");
const { experiment, problems } = readExperiment(FOLDER);

describe("examples/universities", () => {
  it("has documents that are right by themselves and together", () => {
    expect(problems).toEqual([]);
    const agent = { role: "agent" };
    const nodes = { core: { role: "core" }, uva: agent, vu: agent, surf: agent };
    expect(documentProblems(experiment, nodes)).toEqual([]);
  });

  it("has the programs that its microservices name", () => {
    const services = experiment.documents.filter(({ kind }) => kind === "microservice");
    expect(services).not.toHaveLength(0);
    for (const { value } of services)
      expect(existsSync(join(FOLDER, (value as unknown as Microservice).entry ?? "none"))).toBe(true);
  });

  it("has the data that make-data.mts makes", () => {
    for (const [party, tables] of Object.entries(STAFF))
      for (const [table, text] of Object.entries(tables))
        expect(readFileSync(join(FOLDER, "data", party, `${table}.csv`), "utf8")).toBe(text);
  });
});
