import type {
  Microservice,
  RequestType,
  Role,
  StepInput,
  Workflow,
  WorkflowStep,
} from "../contract/documents.js";
import { CodedError } from "../contract/problem.js";
import type { Composition } from "./composition.js";

export interface PlannedStep {
  readonly name: string;
  readonly service: string;
  readonly role: Role;
  readonly inputs: readonly StepInput[];
  /** How often it is asked again when its microservice reports a failure. */
  readonly retries?: number;
  /** Limit of one attempt. Absent: the agent's own. */
  readonly seconds?: number;
}

/** A workflow in the order of its work: a level's steps need only steps of earlier levels and run side by side. */
export interface WorkflowPlan {
  readonly levels: readonly (readonly PlannedStep[])[];
  /** The step whose JSON answer is the round's result. */
  readonly result: PlannedStep;
  /** The field of the request's data that says how many rounds; absent: one. */
  readonly roundsField: string | undefined;
}

/** More rounds than this have no place in the key of a round. */
export const MOST_ROUNDS = 999_999;

/**
 * Puts a request type's workflow into order. Steps of a level are in order of name, so the plan does not depend on the document's order.
 * A request type without a workflow is a chain: its required services one after the other, each at the agents its label names.
 *
 * @param services - the microservices known; a service that is not among them is an error
 * @throws {@link CodedError} `ORC-WORKFLOW-*`, with the path in the request type's document
 */
export function planWorkflow(
  requestType: RequestType,
  services: ReadonlyMap<string, Microservice>,
): WorkflowPlan {
  const workflow = requestType.workflow ?? chainOf(requestType, services);
  const steps = new Map<string, WorkflowStep>();
  for (const [i, step] of workflow.steps.entries()) {
    if (steps.has(step.name)) {
      throw wrong(
        "ORC-WORKFLOW-DUPLICATE-STEP",
        `steps[${i}].name`,
        `two steps are called ${step.name}`,
        "give each step a name of its own",
      );
    }
    steps.set(step.name, step);
  }
  for (const [i, step] of workflow.steps.entries()) checkStep(step, i, steps, services);
  const result = steps.get(workflow.result);
  if (result === undefined) throw unknownStep("result", workflow.result, steps);
  return { levels: levelsOf(steps), result: planned(result), roundsField: workflow.rounds };
}

/**
 * How many rounds a request asks for.
 *
 * @throws {@link CodedError} `ORC-ROUNDS-INVALID` unless the field holds a whole number from 1 to {@link MOST_ROUNDS}
 */
export function roundsOf(plan: WorkflowPlan, data: Readonly<Record<string, unknown>>): number {
  if (plan.roundsField === undefined) return 1;
  const value = Object.hasOwn(data, plan.roundsField) ? data[plan.roundsField] : undefined;
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MOST_ROUNDS)
    return value;
  throw new CodedError({
    code: "ORC-ROUNDS-INVALID",
    path: `data.${plan.roundsField}`,
    message: `the number of rounds is ${JSON.stringify(value) ?? "missing"}`,
    remedy: `give a whole number from 1 to ${MOST_ROUNDS}`,
  });
}

/** The agents that do a step. Where the data providers compute, they do every step. */
export function agentsOf(step: PlannedStep, composition: Composition): readonly string[] {
  return step.role === "dataProvider" ? composition.dataProviders : composition.computeProviders;
}

/** What an agent does in a round: one step, what it waits for, and who waits for its answer. */
export interface Task {
  readonly step: PlannedStep;
  /** Answers it needs, its own among them. */
  readonly waitsFor: readonly { readonly step: string; readonly from: string }[];
  /** Other agents that need its answer. `scatter`: only the part that bears the receiver's name. */
  readonly givesTo: readonly { readonly agent: string; readonly scatter: boolean }[];
}

/**
 * An agent's tasks in a round, in the order of their work. Where the data providers compute (`composition.local`) nobody waits for another: the
 * archetype keeps data at home.
 */
export function tasksOf(plan: WorkflowPlan, composition: Composition, agent: string): readonly Task[] {
  const steps = plan.levels.flat();
  const doers = new Map(steps.map((step) => [step.name, agentsOf(step, composition)]));
  return steps
    .filter((step) => doers.get(step.name)?.includes(agent))
    .map((step) => {
      const waitsFor = step.inputs.flatMap((input) =>
        (doers.get(input.step) ?? [])
          .filter((from) => !(composition.local || input.own === true) || from === agent)
          .map((from) => ({ step: input.step, from })),
      );
      const gives = new Map<string, boolean>();
      for (const taker of composition.local ? [] : steps)
        for (const { step: source, scatter = false, own = false } of taker.inputs)
          for (const to of source === step.name && !own ? (doers.get(taker.name) ?? []) : [])
            if (to !== agent) gives.set(to, scatter && (gives.get(to) ?? true));
      return { step, waitsFor, givesTo: [...gives].map(([to, scatter]) => ({ agent: to, scatter })) };
    });
}

function chainOf(requestType: RequestType, services: ReadonlyMap<string, Microservice>): Workflow {
  const steps = requestType.requiredServices.map((service, i): WorkflowStep => {
    const before = requestType.requiredServices[i - 1];
    return {
      name: service,
      service,
      role: services.get(service)?.label === "dataProvider" ? "dataProvider" : "computeProvider",
      ...(before === undefined ? {} : { inputs: [{ step: before }] }),
    };
  });
  return { steps, result: requestType.requiredServices.at(-1) ?? "" };
}

function checkStep(
  step: WorkflowStep,
  index: number,
  steps: ReadonlyMap<string, WorkflowStep>,
  services: ReadonlyMap<string, Microservice>,
): void {
  if (!services.has(step.service)) {
    throw wrong(
      "ORC-WORKFLOW-UNKNOWN-SERVICE",
      `steps[${index}].service`,
      `there is no microservice ${step.service} (known: ${[...services.keys()].sort().join(", ") || "none"})`,
      "add the microservice's document, or correct the name",
    );
  }
  for (const [k, input] of (step.inputs ?? []).entries()) {
    const path = `steps[${index}].inputs[${k}].step`;
    const source = steps.get(input.step);
    if (source === undefined) throw unknownStep(path, input.step, steps);
    // An unknown source service has its own error, at its own step.
    const outputs = services.get(source.service)?.allowedOutputs;
    if (outputs !== undefined && !outputs.includes(step.service)) {
      throw wrong(
        "ORC-WORKFLOW-OUTPUT-NOT-ALLOWED",
        path,
        `microservice ${source.service} may not give its output to ${step.service} (allowed: ${outputs.join(", ") || "none"})`,
        `add ${step.service} to allowedOutputs of ${source.service}, or change the workflow`,
      );
    }
  }
}

function levelsOf(steps: ReadonlyMap<string, WorkflowStep>): readonly (readonly PlannedStep[])[] {
  const levels: PlannedStep[][] = [];
  const done = new Set<string>();
  while (done.size < steps.size) {
    const ready = [...steps.values()].filter(
      (s) => !done.has(s.name) && (s.inputs ?? []).every((input) => done.has(input.step)),
    );
    if (ready.length === 0) throw cycle([...steps.values()].filter((s) => !done.has(s.name)));
    ready.sort((a, b) => (a.name < b.name ? -1 : 1));
    levels.push(ready.map(planned));
    for (const step of ready) done.add(step.name);
  }
  return levels;
}

function planned({ name, service, role, inputs, retries, seconds }: WorkflowStep): PlannedStep {
  return {
    ...{ name, service, role, inputs: inputs ?? [] },
    ...(retries === undefined ? {} : { retries }),
    ...(seconds === undefined ? {} : { seconds }),
  };
}

/** Names the cycle itself, not the steps that merely wait for it. */
function cycle(stuck: readonly WorkflowStep[]): CodedError {
  const byName = new Map(stuck.map((s) => [s.name, s]));
  const seen: string[] = [];
  let at = stuck[0];
  while (at !== undefined && !seen.includes(at.name)) {
    seen.push(at.name);
    at = byName.get((at.inputs ?? []).find((i) => byName.has(i.step))?.step ?? "");
  }
  const round = at === undefined ? seen : [...seen.slice(seen.indexOf(at.name)), at.name];
  return wrong(
    "ORC-WORKFLOW-CYCLE",
    "steps",
    `steps wait for each other: ${round.join(" <- ")}`,
    "take one of these inputs out",
  );
}

function unknownStep(path: string, name: string, steps: ReadonlyMap<string, WorkflowStep>): CodedError {
  return wrong(
    "ORC-WORKFLOW-UNKNOWN-STEP",
    path,
    `there is no step ${name || "(empty)"} (steps: ${[...steps.keys()].join(", ") || "none"})`,
    "name a step of this workflow",
  );
}

function wrong(code: string, path: string, message: string, remedy: string): CodedError {
  return new CodedError({ code, path: `workflow.${path}`, message, remedy });
}
