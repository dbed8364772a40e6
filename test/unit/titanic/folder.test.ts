import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { readTable } from "../../../examples/titanic/microservices/table.mts";
import { split } from "../../../examples/titanic/split.mts";
import type { Agreement, Archetype, Microservice, RequestType } from "../../../policy/contract/documents.js";
import { TITANIC } from "./training.js";

const at = (...path: string[]): string => join(TITANIC, ...path);
const json = <T>(...path: string[]): T => JSON.parse(readFileSync(at(...path), "utf8")) as T;
const names = (folder: string): string[] =>
  readdirSync(at(folder)).flatMap((file) => (file.endsWith(".json") ? [file.slice(0, -5)] : []));

describe("the data", () => {
  it("are what split.mts makes of the source", () => {
    const tables = split(readFileSync(at("source/titanic.csv"), "utf8"));
    expect(Object.keys(tables).sort()).toEqual(readdirSync(at("data")).sort());
    for (const [party, table] of Object.entries(tables))
      expect(table).toBe(readFileSync(at("data", party, "titanic.csv"), "utf8"));
  });

  it("have the same people in the same order at every party, and labels only at the server", () => {
    const tables = readdirSync(at("data")).map(
      (party) => [party, readTable(at("data", party, "titanic.csv"))] as const,
    );
    const [first] = tables;
    expect(first?.[1].people).toHaveLength(1309);
    for (const [party, table] of tables) {
      expect(table.people).toEqual(first?.[1].people);
      expect(table.columns.includes("survived")).toBe(party === "server");
    }
  });
});

describe("the documents", () => {
  it("bear the names of their files", () => {
    for (const folder of ["agreements", "archetypes", "requestTypes", "microservices", "datasets"])
      for (const name of names(folder))
        expect(json<{ name: string }>(folder, `${name}.json`).name).toBe(name);
  });

  it("fit together: services, programs, archetypes, parties, data sets", () => {
    for (const name of names("requestTypes")) {
      const type = json<RequestType>("requestTypes", `${name}.json`);
      for (const step of type.workflow?.steps ?? []) expect(names("microservices")).toContain(step.service);
      expect(names("datasets")).toEqual(expect.arrayContaining([...(type.dataSets ?? [])]));
    }
    for (const name of names("microservices")) {
      const service = json<Microservice>("microservices", `${name}.json`);
      expect(existsSync(at(service.entry ?? "none"))).toBe(true);
      expect(names("archetypes")).toEqual(expect.arrayContaining([...service.invalidArchetypes]));
    }
  });

  it("let ada train with all three clients, and the lightest archetype they allow fits the microservices", () => {
    const experiment = parse(readFileSync(at("experiment.yaml"), "utf8")) as {
      dataProviders: string[];
      user: { userName: string };
      request: string;
      changes: { party: string }[];
    };
    const archetypes = experiment.dataProviders.map((party) => {
      const relation = json<Agreement>("agreements", `${party}.json`).relations[experiment.user.userName];
      expect(relation?.requestTypes).toContain(experiment.request);
      expect(relation?.allowedComputeProviders).toEqual(["server"]);
      return relation?.allowedArchetypes ?? [];
    });
    const common = names("archetypes").filter((name) =>
      archetypes.every((allowed) => allowed.includes(name)),
    );
    const [lightest] = common
      .map((name) => json<Archetype>("archetypes", `${name}.json`))
      .sort((a, b) => a.weight - b.weight);
    expect(lightest?.computeProvider).toBe("other");
    for (const name of names("microservices"))
      expect(json<Microservice>("microservices", `${name}.json`).invalidArchetypes).not.toContain(
        lightest?.name,
      );
    for (const change of experiment.changes) expect(experiment.dataProviders).toContain(change.party);
  });

  it("accept the experiment's request, and refuse what it must not hold", () => {
    const { schema } = json<RequestType>("requestTypes", "vflTrainRequest.json");
    const experiment = parse(readFileSync(at("experiment.yaml"), "utf8")) as {
      rounds: number;
      seed: number;
      data: Record<string, unknown>;
    };
    const valid = new Ajv({ allErrors: true }).compile(schema ?? {});
    const data = { rounds: experiment.rounds, seed: experiment.seed, ...experiment.data };
    expect(valid(data)).toBe(true);
    for (const wrong of [
      { rounds: 0 },
      { rounds: 1.5 },
      { seed: -1 },
      { learningRate: { client: 0, server: 0.2 } },
      { learningRate: { client: 1 } },
      { batches: 0 },
      { sql: "drop" },
    ])
      expect(valid({ ...data, ...wrong }), JSON.stringify(wrong)).toBe(false);
  });
});
