import type { MicroserviceCommunication } from "../contract/generated/dynamos.js";
import { CodedError } from "../contract/problem.js";
import type { PlannedStep } from "../rounds/plan.js";
import { readWorked } from "./messages.js";

/** What a microservice said to one attempt. */
export interface Attempt {
  readonly answer: MicroserviceCommunication;
  readonly startMs: number;
}

/**
 * Asks for a step until its microservice reports no failure, as often as the workflow allows and the round goes on. Only a reported failure is asked
 * again: a microservice that died or hung throws, and stays dead for its job.
 *
 * @param ask - asks for the attempt of this number
 * @throws CodedError the last attempt's problem, which says how many there were
 */
export async function retrying(
  { name, retries = 0 }: Pick<PlannedStep, "name" | "retries">,
  signal: AbortSignal,
  ask: (attempt: number) => Promise<Attempt>,
): Promise<ReturnType<typeof readWorked>> {
  for (let attempt = 1; ; attempt += 1) {
    const { answer, startMs } = await ask(attempt);
    try {
      return readWorked(answer, startMs);
    } catch (error) {
      if (attempt <= retries && !signal.aborted) continue;
      if (attempt === 1 || !(error instanceof CodedError)) throw error;
      const problem = error.toProblem();
      throw new CodedError(
        { ...problem, message: `${problem.message} (step ${name}, attempt ${attempt} of ${retries + 1})` },
        { cause: error },
      );
    }
  }
}
