import { performance } from "node:perf_hooks";
import { CodedError, type Problem } from "../contract/problem.js";
import type { Handler, StepInput, StepOutput } from "./step.js";

/** How a step ended, and how long the handler itself worked. */
export interface StepResult {
  readonly output: StepOutput;
  readonly problem?: Problem;
  readonly computeMs: number;
}

/** Rounds whose answers are kept, the newest one included: a message can only be handed out again while its round is open. */
const ROUNDS_KEPT = 2;

/**
 * Does each attempt of each step of each round once. A message that the broker hands out again gets the answer that was given before,
 * because a second training step on the same round would change the result.
 */
export class Ledger {
  readonly #handlers: Readonly<Record<string, Handler>>;
  readonly #results = new Map<number, Map<string, Promise<StepResult>>>();
  #newest = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(handlers: Readonly<Record<string, Handler>>) {
    this.#handlers = handlers;
  }

  /** The step's result, worked out now or before. Never rejects. */
  work(input: StepInput): Promise<StepResult> {
    const { round, step, attempt } = input;
    const known = this.#results.get(round)?.get(`${step}/${attempt}`);
    if (known !== undefined) return known;
    const handler = Object.hasOwn(this.#handlers, step) ? this.#handlers[step] : undefined;
    if (handler === undefined) {
      const names = Object.keys(this.#handlers).join(", ");
      return refused("JOB-STEP-UNKNOWN", `this microservice has no step ${step}; it has ${names}`);
    }
    if (round <= this.#newest - ROUNDS_KEPT)
      return refused("JOB-ROUND-PAST", `round ${round} is past; round ${this.#newest} was asked for already`);
    const result = this.#last.then(() => timed(handler, input));
    this.#last = result;
    this.#keep(round, `${step}/${attempt}`, result);
    return result;
  }

  #keep(round: number, attempt: string, result: Promise<StepResult>): void {
    this.#newest = Math.max(this.#newest, round);
    const steps = this.#results.get(round) ?? new Map<string, Promise<StepResult>>();
    this.#results.set(round, steps.set(attempt, result));
    for (const kept of this.#results.keys())
      if (kept <= this.#newest - ROUNDS_KEPT) this.#results.delete(kept);
  }
}

async function timed(handler: Handler, input: StepInput): Promise<StepResult> {
  const start = performance.now();
  try {
    const output = (await handler(input)) ?? {};
    return { output, computeMs: performance.now() - start };
  } catch (error) {
    return { output: {}, problem: problemOf(error, input), computeMs: performance.now() - start };
  }
}

function problemOf(error: unknown, { step, round }: StepInput): Problem {
  if (error instanceof CodedError) return error.toProblem();
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: "JOB-FAILED",
    path: step,
    message: `round ${round}: ${message}`,
    remedy: "see the agent's log, or the microservice's own words",
  };
}

function refused(code: string, message: string): Promise<StepResult> {
  return Promise.resolve({ output: {}, problem: { code, message }, computeMs: 0 });
}
