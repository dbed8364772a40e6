import type { PartView, PartViews } from "../contract/parts.js";
import { CodedError } from "../contract/problem.js";
import type { Composition } from "./composition.js";
import type { PlannedStep } from "./plan.js";

/** What one agent answered to one step. */
export interface StepAnswer {
  /** JSON; absent: the step had nothing to say. */
  readonly data: unknown;
  readonly parts: PartViews;
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
 * @throws {@link CodedError} `AGT-SCATTER-MISSING` when an answer has no part for the receiver
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
      if ((composition.local || input.own === true) && agent !== receiver) continue;
      if (answer.data !== undefined) json[agent] = answer.data;
      const base = step.inputs.length === 1 ? agent : `${input.step}/${agent}`;
      if (input.scatter === true) parts[base] = partFor(receiver, input.step, agent, answer.parts);
      else addAll(parts, base, answer.parts);
    }
  }
  return { data, parts };
}

/**
 * Of an agent's answer to a step, the part that bears the receiver's name.
 *
 * @throws {@link CodedError} `AGT-SCATTER-MISSING` when there is none
 */
export function partFor(receiver: string, step: string, agent: string, parts: PartViews): PartView {
  const part = Object.hasOwn(parts, receiver) ? parts[receiver] : undefined;
  if (part !== undefined) return part;
  throw new CodedError({
    code: "AGT-SCATTER-MISSING",
    path: `steps.${step}`,
    message: `${agent} gave no part for ${receiver} in step ${step} (it gave: ${Object.keys(parts).join(", ") || "none"})`,
    remedy: "name the parts of that step's answer by the agents that are to get them",
  });
}

function addAll(into: Record<string, PartView>, base: string, parts: PartViews): void {
  const entries = Object.entries(parts);
  for (const [name, part] of entries) into[entries.length === 1 ? base : `${base}/${name}`] = part;
}
