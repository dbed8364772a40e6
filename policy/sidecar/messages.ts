import type { DataAccess } from "../contract/data-access.js";
import { readFiles } from "../contract/files.js";
import { packParts, unpackParts } from "../contract/parts.js";
import { CodedError, type Problem } from "../contract/problem.js";
import { type Draft, type MicroserviceCommunication, unpackRequest } from "../contract/wire.js";
import type { StepResult } from "./ledger.js";
import type { StepInput, StepOutput } from "./step.js";

/** Who this microservice is, from its environment. */
export interface Identity {
  readonly job: string;
  readonly steward: string;
  readonly dataFolder: string;
}

/**
 * What a message asks for.
 *
 * @throws CodedError `BUS-MALFORMED` when it is no step of a round
 */
export function readStep(
  message: MicroserviceCommunication,
  { job, steward, dataFolder }: Identity,
): Omit<StepInput, "dataSets" | "columns"> {
  const { step = "", role = "" } = message.metadata;
  const round = Number(message.metadata.round ?? "1");
  const attempt = Number(message.metadata.attempt ?? "1");
  if (step === "" || ![round, attempt].every((n) => Number.isSafeInteger(n) && n >= 1))
    throw new CodedError({
      code: "BUS-MALFORMED",
      path: "metadata",
      message: `step ${JSON.stringify(step)}, round ${message.metadata.round}: no step of a round`,
      remedy: "metadata needs step, and round (and attempt) counted from 1",
    });
  return {
    round,
    step,
    attempt,
    request: unpackRequest(message.originalRequest).data,
    data: message.data ?? {},
    parts: unpackParts(message.result),
    files: readFiles<string>(message.metadata.files, "string"),
    steward,
    dataFolder,
    access: readAccess(message.metadata.access),
    job,
    role,
  };
}

/** An agent that says nothing of it lets nothing be read. */
function readAccess(text = "{}"): DataAccess {
  try {
    return JSON.parse(text) as DataAccess;
  } catch (cause) {
    throw new CodedError(
      { code: "BUS-MALFORMED", path: "metadata.access", message: "is no JSON" },
      { cause },
    );
  }
}

/** The answer to a step. Parts or JSON that cannot travel make it the handler's failure. */
export function answerStep(
  message: MicroserviceCommunication,
  { output, problem, computeMs }: StepResult,
): Draft<MicroserviceCommunication> {
  const { files = {} } = output;
  const metadata = {
    ...ofStep(message),
    computeMs: computeMs.toFixed(3),
    ...(Object.keys(files).length === 0 ? {} : { files: JSON.stringify(files) }),
  };
  if (problem !== undefined) return answerProblem(message, problem, metadata);
  try {
    return {
      ...answerTo(message, metadata),
      ...(output.data === undefined ? {} : { data: plainJson(output.data) }),
      result: packParts(checkedParts(output.parts ?? {})),
    };
  } catch (error) {
    return answerProblem(message, failureOf(error, "the answer cannot be sent"), metadata);
  }
}

/** What an answer bears of its message: grant and input files are not sent back. */
function ofStep({ metadata }: MicroserviceCommunication): Record<string, string> {
  const { grant: _grant, files: _files, ...rest } = metadata;
  return rest;
}

/** An answer that says what went wrong. */
export function answerProblem(
  message: MicroserviceCommunication,
  problem: Problem,
  metadata: Readonly<Record<string, string>> = ofStep(message),
): Draft<MicroserviceCommunication> {
  return answerTo(message, { ...metadata, error: JSON.stringify(problem) });
}

/** An answer without content, as to a `ping`. */
export function answerTo(
  { type, requestType, requestMetadata }: MicroserviceCommunication,
  metadata: Readonly<Record<string, string>>,
): Draft<MicroserviceCommunication> {
  return {
    type,
    requestType,
    metadata,
    requestMetadata: { ...requestMetadata, destinationQueue: requestMetadata?.returnAddress ?? "" },
  };
}

/** A failure as the asker may see it: without the inside of this program. */
export function failureOf(error: unknown, what: string): Problem {
  if (error instanceof CodedError) return error.toProblem();
  return {
    code: "JOB-FAILED",
    message: `${what}: ${error instanceof Error ? error.message : String(error)}`,
  };
}

/** A handler may be plain JavaScript, which lets it answer an array of numbers. */
function checkedParts(parts: NonNullable<StepOutput["parts"]>): NonNullable<StepOutput["parts"]> {
  for (const [name, part] of Object.entries(parts)) {
    if (!(part instanceof Float64Array || part instanceof Uint8Array))
      throw new TypeError(`part ${name} is neither a Float64Array nor a Uint8Array`);
  }
  return parts;
}

/** As JSON sees it, so that what arrives does not depend on how it was sent: no `undefined`, no methods. */
function plainJson(data: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const plain: unknown = JSON.parse(JSON.stringify(data));
  if (typeof plain !== "object" || plain === null || Array.isArray(plain))
    throw new TypeError("data must be an object");
  return plain as Record<string, unknown>;
}
