import { describe, expect, it } from "vitest";
import type { Role } from "../../../policy/contract/documents.js";
import { resultOf } from "../../../policy/orchestrator/round.js";
import { compositionOf } from "../../../policy/rounds/composition.js";
import type { AgentReport } from "../../../policy/rounds/messages.js";

const step = (role: Role) => ({ name: "last", service: "s", role, inputs: [] });
const report = (result: unknown): AgentReport => ({ spans: [], result });
const REPORTS = new Map([
  ["a", report({ n: 1 })],
  ["b", report(undefined)],
  ["hub", report({ accuracy: 0.5 })],
]);
const OTHER = compositionOf("train", ["a", "b"], ["hub"]);
const LOCAL = compositionOf("toData", ["a", "b"], ["a", "b"]);

describe("a round's result", () => {
  it("is the compute provider's answer", () => {
    expect(resultOf(step("computeProvider"), REPORTS, OTHER)).toEqual({ accuracy: 0.5 });
    expect(resultOf(step("computeProvider"), new Map(), OTHER)).toBeUndefined();
  });

  it("is all answers by agent where the data providers did the step, null where one had nothing to say", () => {
    const byAgent = { a: { n: 1 }, b: null };
    expect(resultOf(step("dataProvider"), REPORTS, OTHER)).toEqual(byAgent);
    expect(resultOf(step("computeProvider"), REPORTS, LOCAL)).toEqual(byAgent);
  });
});
