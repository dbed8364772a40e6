import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Microservice, RequestType, WorkflowStep } from "../../../policy/contract/documents.js";
import { CodedError } from "../../../policy/contract/problem.js";
import { compositionOf } from "../../../policy/rounds/composition.js";
import { agentsOf, planWorkflow, roundsOf } from "../../../policy/rounds/plan.js";

const service = (name: string, label: Microservice["label"], allowedOutputs: string[]): Microservice => ({
  name,
  label,
  allowedOutputs,
  invalidArchetypes: [],
});
const SERVICES = new Map([
  ["client", service("client", "dataProvider", ["client", "server"])],
  ["server", service("server", "computeProvider", ["client", "server"])],
  ["mute", service("mute", "dataProvider", [])],
]);
const step = (name: string, inputs: string[] = [], change: Partial<WorkflowStep> = {}): WorkflowStep => ({
  name,
  service: "client",
  role: "dataProvider",
  inputs: inputs.map((s) => ({ step: s })),
  ...change,
});
const type = (steps: WorkflowStep[], result: string, rounds?: string): RequestType => ({
  name: "t",
  requiredServices: ["client", "server"],
  workflow: { steps, result, ...(rounds === undefined ? {} : { rounds }) },
});
const codeOf = (work: () => unknown): [string, string | undefined] => {
  try {
    work();
  } catch (error) {
    if (error instanceof CodedError) return [error.code, error.path];
    throw error;
  }
  return ["no error", undefined];
};

describe("a plan", () => {
  it("puts steps that wait for nothing of each other into one level, by name", () => {
    const plan = planWorkflow(
      type([step("z", ["b", "a"]), step("b"), step("a"), step("c", ["a"])], "z"),
      SERVICES,
    );
    expect(plan.levels.map((level) => level.map((s) => s.name))).toEqual([
      ["a", "b"],
      ["c", "z"],
    ]);
    expect(plan.result.name).toBe("z");
  });

  it("makes a chain of the required services of a type without workflow", () => {
    const plan = planWorkflow({ name: "t", requiredServices: ["client", "server"] }, SERVICES);
    expect(plan.levels.map((level) => level.map((s) => [s.name, s.role]))).toEqual([
      [["client", "dataProvider"]],
      [["server", "computeProvider"]],
    ]);
    expect(plan.result.name).toBe("server");
    expect(roundsOf(plan, {})).toBe(1);
  });

  it.each([
    [
      "a cycle",
      type([step("a", ["b"]), step("b", ["c"]), step("c", ["b"])], "a"),
      "ORC-WORKFLOW-CYCLE",
      "workflow.steps",
    ],
    [
      "an unknown input",
      type([step("a", ["x"])], "a"),
      "ORC-WORKFLOW-UNKNOWN-STEP",
      "workflow.steps[0].inputs[0].step",
    ],
    ["an unknown result", type([step("a")], "x"), "ORC-WORKFLOW-UNKNOWN-STEP", "workflow.result"],
    [
      "a name twice",
      type([step("a"), step("a")], "a"),
      "ORC-WORKFLOW-DUPLICATE-STEP",
      "workflow.steps[1].name",
    ],
    [
      "an unknown service",
      type([step("a", [], { service: "x" })], "a"),
      "ORC-WORKFLOW-UNKNOWN-SERVICE",
      "workflow.steps[0].service",
    ],
    [
      "an output that is not allowed",
      type([step("a", [], { service: "mute" }), step("b", ["a"])], "b"),
      "ORC-WORKFLOW-OUTPUT-NOT-ALLOWED",
      "workflow.steps[1].inputs[0].step",
    ],
    [
      "no services at all",
      { name: "t", requiredServices: [] },
      "ORC-WORKFLOW-UNKNOWN-STEP",
      "workflow.result",
    ],
  ])("is refused for %s", (_what, requestType, code, path) => {
    expect(codeOf(() => planWorkflow(requestType, SERVICES))).toEqual([code, path]);
  });

  it("names the cycle, not the steps that wait for it", () => {
    expect(() =>
      planWorkflow(type([step("a", ["b"]), step("b", ["c"]), step("c", ["b"])], "a"), SERVICES),
    ).toThrow("b <- c <- b");
  });

  it("has every step once, after all its inputs, for any graph without cycle", () => {
    const graph = fc
      .integer({ min: 1, max: 12 })
      .chain((n) =>
        fc
          .tuple(
            ...Array.from({ length: n }, (_, i) =>
              fc.uniqueArray(fc.nat({ max: Math.max(0, i - 1) }), { maxLength: i }),
            ),
          )
          .map((inputs) =>
            inputs.map((before, i) => step(`s${i}`, i === 0 ? [] : before.map((b) => `s${b}`))),
          ),
      );
    fc.assert(
      fc.property(graph, (steps) => {
        const { levels } = planWorkflow(type(steps, "s0"), SERVICES);
        const levelOf = new Map(levels.flatMap((level, i) => level.map((s) => [s.name, i] as const)));
        expect(levels.flat()).toHaveLength(steps.length);
        for (const s of steps)
          for (const { step: before } of s.inputs ?? [])
            expect(levelOf.get(before)).toBeLessThan(levelOf.get(s.name) ?? -1);
        expect(planWorkflow(type([...steps].reverse(), "s0"), SERVICES).levels).toEqual(levels);
      }),
    );
  });

  it("takes the number of rounds from the data's field, a whole number from 1", () => {
    const plan = planWorkflow(type([step("a")], "a", "epochs"), SERVICES);
    expect(roundsOf(plan, { epochs: 100 })).toBe(100);
    for (const epochs of [0, -1, 1.5, "3", null, 1_000_000, undefined]) {
      expect(codeOf(() => roundsOf(plan, { epochs }))).toEqual(["ORC-ROUNDS-INVALID", "data.epochs"]);
    }
    expect(codeOf(() => roundsOf(planWorkflow(type([step("a")], "a", "toString"), SERVICES), {}))[0]).toBe(
      "ORC-ROUNDS-INVALID",
    );
  });
});

describe("who does a step", () => {
  const plan = planWorkflow(
    type([step("embed"), step("train", ["embed"], { service: "server", role: "computeProvider" })], "train"),
    SERVICES,
  );
  const doers = (dataProviders: string[], computeProviders: string[]) =>
    plan.levels.flat().map((s) => agentsOf(s, compositionOf("x", dataProviders, computeProviders)));

  it("is the role's agents", () => {
    expect(doers(["a", "b"], ["hub"])).toEqual([["a", "b"], ["hub"]]);
  });

  it("is every data provider where they compute themselves", () => {
    expect(doers(["a", "b"], ["a", "b"])).toEqual([
      ["a", "b"],
      ["a", "b"],
    ]);
  });
});
