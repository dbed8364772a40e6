import type { Archetype, Microservice, RequestType, WorkflowStep } from "./documents.js";
import { brokenFlows } from "./flows.js";
import { suggestion } from "./suggest.js";

/** A problem in a request type's workflow; `path` in parts. */
export interface WorkflowProblem {
  readonly path: readonly (string | number)[];
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

/**
 * Why a request type's workflow could not run: steps or services that nothing bears, steps that wait for each other in a circle, a service in
 * a role that it is not made for, an answer that goes to a service it may not go to, a number of rounds that no request can say, inputs that every
 * archetype forbids. Pure.
 *
 * @param archetypes - those of the marketplace. None: not known, so nothing is said of them
 */
export function workflowProblems(
  type: RequestType,
  known: ReadonlySet<string>,
  services: ReadonlyMap<string, Microservice>,
  archetypes: readonly Archetype[] = [],
): WorkflowProblem[] {
  const { workflow } = type;
  if (workflow === undefined) return [];
  const problems: WorkflowProblem[] = [];
  const report = (path: readonly (string | number)[], code: string, message: string, remedy: string) =>
    problems.push({ path: ["workflow", ...path], code, message, remedy });
  const listed = [...type.requiredServices, ...(type.optionalServices ?? [])];
  const steps = new Map<string, WorkflowStep>();

  for (const [i, step] of workflow.steps.entries()) {
    if (steps.has(step.name))
      report(["steps", i, "name"], "DOC-STEP-TWICE", `two steps named ${step.name}`, "rename one");
    steps.set(step.name, step);
    const label = services.get(step.service)?.label;
    if (!known.has(step.service))
      report(
        ["steps", i, "service"],
        "DOC-SERVICE-UNKNOWN",
        `no microservice ${step.service}`,
        suggestion(step.service, known),
      );
    else if (!listed.includes(step.service)) {
      report(
        ["steps", i, "service"],
        "DOC-SERVICE-UNLISTED",
        `${step.service} is not among the request type's services`,
        "add it to requiredServices",
      );
    }
    // An aggregate combines what others made: it works where the computation is.
    if (label !== undefined && (label === "dataProvider") !== (step.role === "dataProvider")) {
      report(
        ["steps", i, "role"],
        "DOC-STEP-ROLE",
        `${step.service} is made for ${label}, not for ${step.role}`,
        "change the step's role, or use another microservice",
      );
    }
  }
  for (const [i, step] of workflow.steps.entries()) {
    for (const [j, input] of (step.inputs ?? []).entries()) {
      if (!steps.has(input.step))
        report(
          ["steps", i, "inputs", j, "step"],
          "DOC-STEP-UNKNOWN",
          `no step ${input.step}`,
          suggestion(input.step, steps.keys()),
        );
      else if (input.own === true && steps.get(input.step)?.role !== step.role)
        report(
          ["steps", i, "inputs", j, "own"],
          "DOC-STEP-OWN",
          `${input.step} is a ${steps.get(input.step)?.role}'s step and ${step.name} a ${step.role}'s, so an agent has no own answer to it`,
          "leave own out, or give both steps one role",
        );
      const source = services.get(steps.get(input.step)?.service ?? "");
      if (source !== undefined && !source.allowedOutputs.includes(step.service))
        report(
          ["steps", i, "inputs", j, "step"],
          "DOC-STEP-OUTPUT",
          `${source.name} may not give its output to ${step.service} (allowed: ${source.allowedOutputs.join(", ") || "none"})`,
          `add ${step.service} to allowedOutputs of ${source.name}, or change the workflow`,
        );
    }
  }
  if (!steps.has(workflow.result))
    report(
      ["result"],
      "DOC-STEP-UNKNOWN",
      `no step ${workflow.result}`,
      suggestion(workflow.result, steps.keys()),
    );
  const circle = findCircle(steps);
  if (circle !== undefined) {
    report(
      ["steps"],
      "DOC-WORKFLOW-CYCLE",
      `steps wait for each other: ${circle.join(" -> ")}`,
      "remove one of these inputs",
    );
  }
  problems.push(...roundsProblems(type));
  const broken = archetypes.map((archetype) => ({ archetype, flows: brokenFlows(workflow, archetype) }));
  const [first] = broken;
  // What waits for itself goes nowhere: that is told already.
  if (circle === undefined && first !== undefined && broken.every(({ flows }) => flows.length > 0))
    for (const { path, from, to, step, input } of first.flows)
      report(
        path,
        "DOC-WORKFLOW-ARCHETYPE",
        `no archetype lets the answers to ${input} go from ${from} to ${to} (${step})`,
        `use own: true where ${step} needs its own party's answer only, or define an archetype with this flow`,
      );
  return problems;
}

function roundsProblems({ schema, workflow }: RequestType): WorkflowProblem[] {
  const field = workflow?.rounds;
  const properties = schema?.properties;
  if (
    field === undefined ||
    typeof properties !== "object" ||
    properties === null ||
    Object.hasOwn(properties, field)
  )
    return [];
  return [
    {
      path: ["workflow", "rounds"],
      code: "DOC-ROUNDS-UNKNOWN",
      message: `the request type's schema has no property ${field}`,
      remedy: suggestion(field, Object.keys(properties)),
    },
  ];
}

/** Steps that wait for each other, the first one again at the end. */
function findCircle(steps: ReadonlyMap<string, WorkflowStep>): readonly string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (name: string): readonly string[] | undefined => {
    const again = path.indexOf(name);
    if (again >= 0) return [...path.slice(again), name];
    if (done.has(name)) return undefined;
    path.push(name);
    for (const input of steps.get(name)?.inputs ?? []) {
      const circle = visit(input.step);
      if (circle !== undefined) return circle;
    }
    path.pop();
    done.add(name);
    return undefined;
  };
  for (const name of steps.keys()) {
    const circle = visit(name);
    if (circle !== undefined) return circle;
  }
  return undefined;
}
