import type { DataAccess } from "../contract/data-access.js";
import { readFiles } from "../contract/files.js";
import { MESSAGE } from "../contract/names.js";
import { viewParts } from "../contract/parts.js";
import { CodedError, type Problem } from "../contract/problem.js";
import { encodeWithParts, type MicroserviceCommunication, unpackRequest } from "../contract/wire.js";
import type { StepInputs } from "../rounds/inputs.js";
import type { PlannedStep } from "../rounds/plan.js";
import type { Worked } from "./round-work.js";
import type { StepClaim } from "./step.js";
import type { RoundClaim } from "./verify.js";

/** What a coordinator asks, as its message says it. */
export interface Asked {
  readonly round: RoundClaim;
  /** In no order. */
  readonly steps: readonly StepClaim[];
  readonly grant: string;
}

/** Names that become file and queue names. */
const SAFE_NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$/;

/** @throws CodedError `AGT-JOB-NAME` */
export function safeName(name: string, what: string): string {
  if (SAFE_NAME.test(name)) return name;
  throw new CodedError({
    code: "AGT-JOB-NAME",
    path: what,
    message: `${JSON.stringify(name.slice(0, 140))} cannot be a ${what}'s name`,
    remedy: "use letters, digits and . _ @ -, at most 128",
  });
}

/** @throws CodedError `BUS-MALFORMED`, `AGT-JOB-NAME` */
export function readAsked(message: MicroserviceCommunication, agent: string): Asked {
  const { metadata, requestMetadata, requestType } = message;
  const { grant = "" } = metadata;
  const round = Number(metadata.round);
  const token = Number(metadata.token);
  if (!Number.isSafeInteger(round) || round < 1)
    throw new CodedError({
      code: "BUS-MALFORMED",
      path: "metadata.round",
      message: `${metadata.round} is no round`,
      remedy: "rounds are counted from 1",
    });
  const request = unpackRequest(message.originalRequest);
  return {
    round: {
      job: safeName(requestMetadata?.jobId ?? "", "job"),
      user: request.user?.userName ?? "",
      requestType,
      round,
      token,
    },
    steps: readSteps(metadata.steps, agent),
    grant,
  };
}

function readSteps(text: string | undefined, agent: string): readonly StepClaim[] {
  let steps: unknown;
  try {
    steps = JSON.parse(text ?? "");
  } catch {
    // told below
  }
  const known = Array.isArray(steps)
    ? steps.filter((s) => typeof s?.step === "string" && typeof s.service === "string")
    : [];
  if (!Array.isArray(steps) || steps.length === 0 || known.length < steps.length)
    throw new CodedError({
      code: "BUS-MALFORMED",
      path: "metadata.steps",
      message: `${String(text).slice(0, 80)} names no steps`,
      remedy: "send a JSON list of {step, service}",
    });
  return known.map(({ step, service }) => ({ agent, step, service: safeName(service, "microservice") }));
}

/** A step as the microservice gets it, with the grant, which it verifies itself. */
export function forMicroservice(
  ticket: MicroserviceCommunication,
  step: PlannedStep,
  { data, parts, files = {} }: StepInputs,
  access: DataAccess,
  returnAddress: string,
  correlationId: string,
  attempt = 1,
): Uint8Array {
  const jobId = ticket.requestMetadata?.jobId ?? "";
  const paths = Object.entries(files).map(([name, { path }]) => [name, path]);
  const message = {
    type: ticket.type,
    requestType: ticket.requestType,
    data: data as never,
    metadata: {
      round: ticket.metadata.round ?? "",
      step: step.name,
      service: step.service,
      role: step.role,
      grant: ticket.metadata.grant ?? "",
      access: JSON.stringify(access),
      ...(paths.length === 0 ? {} : { files: JSON.stringify(Object.fromEntries(paths)) }),
      ...(attempt === 1 ? {} : { attempt: String(attempt) }),
    },
    originalRequest: ticket.originalRequest ?? {},
    requestMetadata: { correlationId, destinationQueue: "", jobName: jobId, returnAddress, jobId },
    traces: ticket.traces,
  };
  return encodeWithParts(message, parts);
}

/**
 * A microservice's answer. The files that it names are still its own: `paths`.
 *
 * @throws CodedError the problem it reports
 */
export function readWorked(
  { data, result, metadata }: MicroserviceCommunication,
  startMs: number,
): Worked & { readonly paths: Readonly<Record<string, string>> } {
  if (metadata.error !== undefined) throw new CodedError(JSON.parse(metadata.error) as Problem);
  const computeMs = Math.max(0, Number(metadata.computeMs) || 0);
  const paths = readFiles<string>(metadata.files, "string");
  return { data, parts: viewParts(result), computeMs, startMs, paths };
}

/** A control message to a microservice. It answers each with an empty message. */
export function controlMessage(
  requestType: "ping" | "shutdownRequest",
  job: string,
  queue: string,
  returnAddress: string,
  correlationId: string,
): MicroserviceCommunication {
  return {
    type: MESSAGE.microserviceCommunication,
    requestType,
    metadata: {},
    requestMetadata: { correlationId, destinationQueue: queue, jobName: job, returnAddress, jobId: job },
    traces: {},
    result: new Uint8Array(0),
    routingData: [],
  };
}
