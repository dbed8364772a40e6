import { MESSAGE } from "../contract/names.js";
import { CodedError, type Problem } from "../contract/problem.js";
import { type MicroserviceCommunication, unpackRequest } from "../contract/wire.js";
import type { StepClaim } from "./step.js";
import type { RoundClaim } from "./verify.js";

/** What a coordinator asks, as its message says it. */
export interface Asked {
  readonly round: RoundClaim;
  readonly step: StepClaim;
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
  const { step = "", service = "", grant = "" } = metadata;
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
    step: { agent, step, service: safeName(service, "microservice") },
    grant,
  };
}

/** The message as the microservice gets it: without the grant, which is none of its business. */
export function forMicroservice(
  message: MicroserviceCommunication,
  role: string,
  returnAddress: string,
  correlationId: string,
): MicroserviceCommunication {
  const { round = "", step = "", service = "" } = message.metadata;
  const jobId = message.requestMetadata?.jobId ?? "";
  return {
    ...message,
    metadata: { round, step, service, role },
    requestMetadata: { correlationId, destinationQueue: "", jobName: jobId, returnAddress, jobId },
  };
}

/** What a microservice's answer says of itself that a coordinator is told. */
const PASSED_ON: readonly string[] = ["computeMs", "startMs", "error"];

/** What the coordinator gets: the microservice's answer, or a problem, under the coordinator's own correlation id. */
export function forCoordinator(
  asked: MicroserviceCommunication,
  agent: string,
  correlationId: string,
  answer: MicroserviceCommunication | Problem,
): MicroserviceCommunication {
  const { round = "", step = "", service = "" } = asked.metadata;
  const metadata: Record<string, string> = { round, step, service, agent };
  const to = asked.requestMetadata?.returnAddress ?? "";
  const jobId = asked.requestMetadata?.jobId ?? "";
  const answered: MicroserviceCommunication = {
    type: MESSAGE.microserviceCommunication,
    requestType: asked.requestType,
    metadata,
    requestMetadata: { correlationId, destinationQueue: to, jobName: jobId, returnAddress: "", jobId },
    traces: {},
    result: new Uint8Array(0),
    routingData: [],
  };
  if ("code" in answer) return { ...answered, metadata: { ...metadata, error: JSON.stringify(answer) } };
  const told = Object.entries(answer.metadata).filter(([name]) => PASSED_ON.includes(name));
  return {
    ...answered,
    data: answer.data,
    result: answer.result,
    traces: answer.traces,
    metadata: { ...metadata, ...Object.fromEntries(told) },
  };
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
