import { readFileSync } from "node:fs";
import { Ajv } from "ajv";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { stackFileSchema, stackFileSchemaText } from "../../../dynamos/schema.js";
import { resolveSpec } from "../../../dynamos/spec.js";
import { paperStack } from "./paper-stack.js";

const ajv = new Ajv({ strict: false, formats: { uri: true } });
const validate = ajv.compile(stackFileSchema() as object);
const inFile = (marketplace: unknown): unknown => ({
  config: { "dynamos-fabric:marketplace": marketplace, "aws:region": "eu-west-1" },
});

describe("the editors' schema", () => {
  it("is the one in docs (dynamos-fabric schema > docs/marketplace.schema.json)", () => {
    expect(readFileSync("docs/marketplace.schema.json", "utf8")).toBe(stackFileSchemaText());
  });

  it("takes Pulumi.dev.yaml, which is the paper's stack and names the schema in its first line", () => {
    const text = readFileSync("Pulumi.dev.yaml", "utf8");
    const file: unknown = parse(text);
    expect(text.split("\n")[0]).toBe("# yaml-language-server: $schema=docs/marketplace.schema.json");
    expect(validate(file), ajv.errorsText(validate.errors)).toBe(true);
    const config = (file as { config: Record<string, unknown> }).config["dynamos-fabric:marketplace"];
    expect(resolveSpec(config).spec).toEqual(resolveSpec(paperStack()).spec);
  });

  it("underlines what the program would refuse", () => {
    for (const wrong of [
      {},
      { ...paperStack(), lease: "soon" },
      { ...paperStack(), experiments: "x" },
      { ...paperStack(), nodes: { core: { role: "agnet" } } },
    ]) {
      expect(validate(inFile(wrong))).toBe(false);
    }
  });
});
