import { describe, expect, it } from "vitest";
import type { StepInput } from "../../../policy/contract/documents.js";
import { packParts, viewParts } from "../../../policy/contract/parts.js";
import { type Answers, inputsOf, type StepAnswer, shareOf } from "../../../policy/rounds/inputs.js";
import type { PlannedStep } from "../../../policy/rounds/plan.js";

const step = (name: string, ...inputs: StepInput[]): PlannedStep => ({
  name,
  service: "s",
  role: "computeProvider",
  inputs,
});
const TRAIN = step("train", { step: "embed" });
const UPDATE = step("update", { step: "train", scatter: true });
const BOTH = step("both", { step: "embed" }, { step: "train" });
const OTHER = { local: false };
const LOCAL = { local: true };
const answer = (data: unknown, parts: Record<string, Float64Array>) => ({
  data,
  parts: viewParts(packParts(parts)),
});
const ANSWERS: Answers = new Map([
  [
    "embed",
    new Map([
      ["a", answer({ n: 1 }, { x: Float64Array.of(1) })],
      ["b", answer(undefined, { x: Float64Array.of(2), y: Float64Array.of(3) })],
    ]),
  ],
  ["train", new Map([["hub", answer({ accuracy: 0.5 }, { a: Float64Array.of(4), b: Float64Array.of(5) })]])],
]);

describe("what a step gets", () => {
  it("is parts named by the agent that gave them, and by part where there are several", () => {
    const { data, parts } = inputsOf(TRAIN, "hub", ANSWERS, OTHER);
    expect(Object.keys(parts).sort()).toEqual(["a", "b/x", "b/y"]);
    expect(parts.a).toBe(ANSWERS.get("embed")?.get("a")?.parts.x); // handed on, not copied
    expect({ ...data.embed }).toEqual({ a: { n: 1 } });
  });

  it("is, where the input scatters, the part that bears the receiver's name", () => {
    for (const receiver of ["a", "b"])
      expect({ ...inputsOf(UPDATE, receiver, ANSWERS, OTHER).parts }).toEqual({
        hub: ANSWERS.get("train")?.get("hub")?.parts[receiver],
      });
  });

  it.each(["c", "constructor"])("is an error where a scattered answer has no part for %s", (receiver) => {
    const missing = expect.objectContaining({ code: "AGT-SCATTER-MISSING", path: "steps.train" });
    expect(() => inputsOf(UPDATE, receiver, ANSWERS, OTHER)).toThrow(missing);
    // The agent that gives finds out first.
    const given = answer(undefined, { a: Float64Array.of(4) });
    expect(() => shareOf(receiver, "train", "hub", given)).toThrow(missing);
  });

  it("has files by the same names as parts, and of a scattered answer only the receiver's", () => {
    const held = (path: string) => ({ path, bytes: 1 });
    const files: Answers = new Map([
      [
        "embed",
        new Map<string, StepAnswer>([["a", { data: 1, parts: {}, files: { x: held("/x"), y: held("/y") } }]]),
      ],
      [
        "train",
        new Map<string, StepAnswer>([
          ["hub", { data: 1, parts: {}, files: { a: held("/a"), b: held("/b") } }],
        ]),
      ],
    ]);
    expect({ ...inputsOf(TRAIN, "hub", files, OTHER).files }).toEqual({
      "a/x": held("/x"),
      "a/y": held("/y"),
    });
    expect({ ...inputsOf(UPDATE, "b", files, OTHER).files }).toEqual({ hub: held("/b") });
    expect(inputsOf(TRAIN, "hub", ANSWERS, OTHER).files).toBeUndefined();
  });

  it("tells the steps apart where there are several", () => {
    expect(Object.keys(inputsOf(BOTH, "hub", ANSWERS, OTHER).parts).sort()).toEqual([
      "embed/a",
      "embed/b/x",
      "embed/b/y",
      "train/hub/a",
      "train/hub/b",
    ]);
  });

  it("is an agent's own answers only, where the data providers compute", () => {
    const { data, parts } = inputsOf(TRAIN, "a", ANSWERS, LOCAL);
    expect(Object.keys(parts)).toEqual(["a"]);
    expect(Object.keys(data.embed ?? {})).toEqual(["a"]);
  });

  it("is nothing of a step without inputs", () => {
    const { data, parts } = inputsOf(step("first"), "a", ANSWERS, OTHER);
    expect([{ ...data }, { ...parts }]).toEqual([{}, {}]);
  });
});
