import { setMaxListeners } from "node:events";
import { CodedError } from "../contract/problem.js";
import type { Composition } from "../rounds/composition.js";
import { inputsOf, type StepAnswer, type StepInputs, shareOf } from "../rounds/inputs.js";
import type { StepSpan } from "../rounds/messages.js";
import type { PlannedStep, Task } from "../rounds/plan.js";

/** A step's answer, and the microservice's time for it. */
export interface Worked extends StepAnswer {
  readonly computeMs: number;
  readonly startMs: number;
}

/** What an agent's work in a round needs of the world. */
export interface RoundPorts {
  /** Asks the step's microservice. */
  work(step: PlannedStep, inputs: StepInputs, signal: AbortSignal): Promise<Worked>;
  /** Another agent's answer, waited for. */
  take(step: string, from: string, signal: AbortSignal): Promise<StepAnswer>;
  /** Gives an answer to another agent; resolves when it has it. */
  handOver(to: string, step: string, answer: StepAnswer, signal: AbortSignal): Promise<void>;
}

/** An error and the step in which it came. */
export class StepFailure extends Error {
  readonly step: string;
  constructor(step: string, cause: unknown) {
    super(`step ${step} failed`, { cause });
    this.step = step;
  }
}

/**
 * Does an agent's tasks of one round, each as soon as what it waits for is there, and hands its answers over to the agents that need them.
 * The first failure ends the others' waiting.
 *
 * @returns the answers by step, and when each was done
 * @throws StepFailure
 */
export async function workRound(
  agent: string,
  tasks: readonly Task[],
  composition: Pick<Composition, "local">,
  ports: RoundPorts,
  signal: AbortSignal,
): Promise<{ readonly answers: ReadonlyMap<string, StepAnswer>; readonly spans: readonly StepSpan[] }> {
  const begin = performance.now();
  const stop = new AbortController();
  setMaxListeners(0, stop.signal); // one for each answer waited for or handed over; all go with the round
  const passOn = (): void => stop.abort(signal.reason);
  signal.addEventListener("abort", passOn);
  if (signal.aborted) passOn();
  const done = new Map<string, Promise<StepAnswer>>();
  const answers = new Map<string, StepAnswer>();
  const spans: StepSpan[] = [];

  const received = ({ step, from }: Task["waitsFor"][number]): Promise<StepAnswer> =>
    from === agent ? (done.get(step) ?? Promise.reject(notAsked(step))) : ports.take(step, from, stop.signal);

  const answer = async (task: Task): Promise<StepAnswer> => {
    const given = await Promise.all(task.waitsFor.map(received));
    const inputs = new Map<string, Map<string, StepAnswer>>();
    for (const [i, { step, from }] of task.waitsFor.entries()) {
      const byAgent = inputs.get(step) ?? new Map<string, StepAnswer>();
      inputs.set(step, byAgent);
      const from_ = given[i];
      if (from_ !== undefined) byAgent.set(from, from_);
    }
    stop.signal.throwIfAborted();
    const worked = await ports.work(task.step, inputsOf(task.step, agent, inputs, composition), stop.signal);
    const { computeMs, startMs } = worked;
    spans.push({ step: task.step.name, doneMs: performance.now() - begin, startMs, computeMs });
    answers.set(task.step.name, worked);
    return worked;
  };

  const give = async (task: Task, given: StepAnswer): Promise<void> => {
    const step = task.step.name;
    const handed = task.givesTo.map(({ agent: to, scatter }) => {
      return { to, answer: scatter ? shareOf(to, step, agent, given) : given };
    });
    await Promise.all(handed.map(({ to, answer: what }) => ports.handOver(to, step, what, stop.signal)));
  };

  const whole = async (task: Task, answered: Promise<StepAnswer>): Promise<void> => {
    try {
      await give(task, await answered);
    } catch (error) {
      const failure = error instanceof StepFailure ? error : new StepFailure(task.step.name, error);
      stop.abort(failure);
      throw failure;
    }
  };

  try {
    const all = tasks.map((task) => {
      const answered = answer(task);
      done.set(task.step.name, answered);
      return whole(task, answered);
    });
    // The first failure is the round's; the others end because of it.
    await Promise.all(all);
    return { answers, spans };
  } finally {
    signal.removeEventListener("abort", passOn);
  }
}

function notAsked(step: string): CodedError {
  return new CodedError({
    code: "AGT-STEP-INPUT",
    path: `steps.${step}`,
    message: `a later step needs this agent's answer to ${step}, which it was not asked for`,
    remedy: "ask for all steps of this agent in one message",
  });
}
