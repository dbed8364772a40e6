import { MESSAGE } from "../contract/names.js";
import { viewParts } from "../contract/parts.js";
import { CodedError, type Problem } from "../contract/problem.js";
import { decode, type MicroserviceCommunication } from "../contract/wire.js";
import type { Pending } from "../platform/pending.js";

/** Steps and pings that wait for a microservice, by correlation id. */
export type Answers = Pending<MicroserviceCommunication>;

/** Gives an answer's bytes to who waits for it; bytes that are no answer end the waiting with `JOB-GARBAGE`. `false`: nobody waits. */
export function settleBytes(answers: Answers, correlationId: string, body: Uint8Array): boolean {
  let answer: MicroserviceCommunication;
  try {
    answer = decode(MESSAGE.microserviceCommunication, body);
  } catch (error) {
    return answers.fail(correlationId, garbage(error));
  }
  return settleAnswer(answers, correlationId, answer);
}

/** The same for an answer that could be read. */
export function settleAnswer(
  answers: Answers,
  correlationId: string,
  answer: MicroserviceCommunication,
): boolean {
  try {
    check(answer);
  } catch (error) {
    return answers.fail(correlationId, garbage(error));
  }
  return answers.settle(correlationId, answer);
}

/** What a coordinator is told of an answer that cannot be read. */
export function garbage(cause: unknown): CodedError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new CodedError(
    {
      code: "JOB-GARBAGE",
      message: `the microservice's answer cannot be read: ${why}`,
      remedy: "a microservice must answer as policy/sidecar does",
    },
    { cause },
  );
}

/** Whether the coordinator will be able to read it. */
function check({ result, metadata: { error } }: MicroserviceCommunication): void {
  viewParts(result);
  if (error === undefined) return;
  const problem = JSON.parse(error) as Partial<Problem> | null;
  if (typeof problem?.code !== "string" || typeof problem.message !== "string")
    throw new TypeError("its error is no problem with a code");
}
