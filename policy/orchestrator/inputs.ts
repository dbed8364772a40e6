import type { PartView, PartViews } from "../contract/parts.js";
import { CodedError } from "../contract/problem.js";
import type { Composition } from "./compose.js";
import type { PlannedStep } from "./workflow.js";

/** What one agent answered to one step. */
export interface StepAnswer {
  /** JSON; absent: the step had nothing to say. */
  readonly data: unknown;
  readonly parts: PartViews;
  /** Milliseconds that the microservice says it worked. */
  readonly computeMs: number;
  /** Milliseconds that the agent says it took to start the microservice for this step; 0: it ran already. */
  readonly startMs: number;
}

/** Answers by step, then by agent. */
export type Answers = ReadonlyMap<string, ReadonlyMap<string, StepAnswer>>;

export interface StepInputs {
  /** JSON answers by step, then by agent. */
  readonly data: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly parts: PartViews;
}

/**
 * What one agent gets for a step from the answers to its input steps.
 *
 * Parts are named by the agent that answered: `clientone`; `clientone/weights` where it gave several, and `embed/clientone` where the step has
 * several inputs. With `scatter` only the part that bears the receiver's name is taken of each answer.
 * Where the data providers compute (`composition.local`), an agent gets its own answers only: the archetype keeps data at home.
 *
 * @throws {@link CodedError} `ORC-SCATTER-MISSING` when an answer has no part for the receiver
 */
export function inputsOf(
  step: PlannedStep,
  receiver: string,
  answers: Answers,
  composition: Pick<Composition, "local">,
): StepInputs {
  const data: Record<string, Record<string, unknown>> = Object.create(null);
  const parts: Record<string, PartView> = Object.create(null);
  for (const input of step.inputs) {
    const json: Record<string, unknown> = Object.create(null);
    data[input.step] = json;
    for (const [agent, answer] of answers.get(input.step) ?? []) {
      if (composition.local && agent !== receiver) continue;
      if (answer.data !== undefined) json[agent] = answer.data;
      const base = step.inputs.length === 1 ? agent : `${input.step}/${agent}`;
      if (input.scatter === true) parts[base] = own(step, input.step, agent, receiver, answer.parts);
      else addAll(parts, base, answer.parts);
    }
  }
  return { data, parts };
}

function own(step: PlannedStep, from: string, agent: string, receiver: string, parts: PartViews): PartView {
  const part = Object.hasOwn(parts, receiver) ? parts[receiver] : undefined;
  if (part !== undefined) return part;
  throw new CodedError({
    code: "ORC-SCATTER-MISSING",
    path: `steps.${step.name}.inputs.${from}`,
    message: `${agent} gave no part for ${receiver} in step ${from} (it gave: ${Object.keys(parts).join(", ") || "none"})`,
    remedy: "name the parts of that step's answer by the agents that are to get them",
  });
}

function addAll(into: Record<string, PartView>, base: string, parts: PartViews): void {
  const entries = Object.entries(parts);
  for (const [name, part] of entries) into[entries.length === 1 ? base : `${base}/${name}`] = part;
}

/** A round's result: the compute provider's JSON, or by agent where the data providers did the step. */
export function resultOf(
  step: PlannedStep,
  answers: Answers,
  composition: Pick<Composition, "local">,
): unknown {
  const given = answers.get(step.name);
  if (given === undefined) return undefined;
  if (step.role === "computeProvider" && !composition.local) return [...given.values()][0]?.data;
  return Object.fromEntries([...given].map(([agent, answer]) => [agent, answer.data ?? null]));
}
