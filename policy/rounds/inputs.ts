import type { PartView, PartViews } from "../contract/parts.js";
import { CodedError } from "../contract/problem.js";
import type { Composition } from "./composition.js";
import type { PlannedStep } from "./plan.js";

/** A file that an agent holds for a round, however large: nobody has it in memory. */
export interface HeldFile {
  /** Absolute, on the agent's own machine. */
  readonly path: string;
  readonly bytes: number;
}
export type HeldFiles = Readonly<Record<string, HeldFile>>;

/** What one agent answered to one step. */
export interface StepAnswer {
  /** JSON; absent: the step had nothing to say. */
  readonly data: unknown;
  readonly parts: PartViews;
  /** Absent: none. */
  readonly files?: HeldFiles;
}

/** Answers by step, then by agent. */
export type Answers = ReadonlyMap<string, ReadonlyMap<string, StepAnswer>>;

export interface StepInputs {
  /** JSON answers by step, then by agent. */
  readonly data: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly parts: PartViews;
  /** Absent: none. */
  readonly files?: HeldFiles;
}

/**
 * What one agent gets for a step from the answers to its input steps.
 *
 * Parts and files are named by the agent that answered: `clientone`; `clientone/weights` where it gave several, and `embed/clientone` where the
 * step has several inputs. With `scatter` only the part or file that bears the receiver's name is taken of each answer.
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
  const files: Record<string, HeldFile> = Object.create(null);
  for (const input of step.inputs) {
    const json: Record<string, unknown> = Object.create(null);
    data[input.step] = json;
    for (const [agent, answer] of answers.get(input.step) ?? []) {
      if ((composition.local || input.own === true) && agent !== receiver) continue;
      if (answer.data !== undefined) json[agent] = answer.data;
      const base = step.inputs.length === 1 ? agent : `${input.step}/${agent}`;
      const share = input.scatter === true ? shareOf(receiver, input.step, agent, answer) : answer;
      addAll(parts, base, share.parts);
      addAll(files, base, share.files ?? {});
    }
  }
  return { data, parts, ...(Object.keys(files).length === 0 ? {} : { files }) };
}

/**
 * Of an agent's answer to a step, the part and the file that bear the receiver's name.
 *
 * @throws {@link CodedError} `AGT-SCATTER-MISSING` when there is none
 */
export function shareOf(
  receiver: string,
  step: string,
  agent: string,
  { data, parts, files = {} }: StepAnswer,
): StepAnswer {
  const part = Object.hasOwn(parts, receiver) ? parts[receiver] : undefined;
  const file = Object.hasOwn(files, receiver) ? files[receiver] : undefined;
  if (part !== undefined || file !== undefined)
    return {
      data,
      parts: part === undefined ? {} : { [receiver]: part },
      ...(file === undefined ? {} : { files: { [receiver]: file } }),
    };
  throw new CodedError({
    code: "AGT-SCATTER-MISSING",
    path: `steps.${step}`,
    message: `${agent} gave no part for ${receiver} in step ${step} (it gave: ${[...Object.keys(parts), ...Object.keys(files)].join(", ") || "none"})`,
    remedy: "name the parts of that step's answer by the agents that are to get them",
  });
}

function addAll<T>(into: Record<string, T>, base: string, given: Readonly<Record<string, T>>): void {
  const entries = Object.entries(given);
  for (const [name, one] of entries) into[entries.length === 1 ? base : `${base}/${name}`] = one;
}
