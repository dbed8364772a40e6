import { readFiles } from "../contract/files.js";
import type { Any } from "../contract/generated/google/protobuf/any.js";
import { agentQueue, MESSAGE, ORCHESTRATOR_QUEUE } from "../contract/names.js";
import { viewParts } from "../contract/parts.js";
import { CodedError, type Problem } from "../contract/problem.js";
import {
  type Draft,
  decode,
  encode,
  encodeWithParts,
  type MicroserviceCommunication,
} from "../contract/wire.js";
import type { StepAnswer } from "./inputs.js";

/** One agent's part in a round, as its coordinator asks for it. */
export interface Ticket {
  readonly agent: string;
  readonly job: string;
  readonly round: number;
  readonly requestType: string;
  readonly steps: readonly { readonly step: string; readonly service: string }[];
  /** The enforcer's signed grant for this round. */
  readonly grant: string;
  /** Revision of the transaction that opened the round. */
  readonly token: number;
  /** The data request, packed once for the whole job. */
  readonly request: Any;
}

/** When a step was done at an agent, in milliseconds of the agent's own monotonic clock. */
export interface StepSpan {
  readonly step: string;
  /** From the ticket's coming to the step's answer. */
  readonly doneMs: number;
  /** How long the step waited for its microservice to start; 0: it ran already. */
  readonly startMs: number;
  /** What the microservice says it worked. */
  readonly computeMs: number;
}

/** What an agent tells its coordinator of its part in a round: never data, but for the workflow's result. */
export interface AgentReport {
  readonly spans: readonly StepSpan[];
  /** JSON answer of the workflow's result step, where this agent did it. */
  readonly result: unknown;
}

export function encodeTicket(id: string, ticket: Ticket): Uint8Array {
  return encode.microserviceCommunication({
    type: MESSAGE.microserviceCommunication,
    requestType: ticket.requestType,
    metadata: {
      grant: ticket.grant,
      round: String(ticket.round),
      token: String(ticket.token),
      steps: JSON.stringify(ticket.steps),
    },
    originalRequest: ticket.request,
    requestMetadata: {
      jobId: ticket.job,
      correlationId: id,
      destinationQueue: agentQueue(ticket.agent),
      returnAddress: ORCHESTRATOR_QUEUE,
    },
  });
}

/** An agent's report, or its problem: then with the step that failed, where one did. */
export function encodeReport(
  asked: MicroserviceCommunication,
  agent: string,
  id: string,
  outcome: AgentReport | { readonly problem: Problem; readonly step?: string },
): Uint8Array {
  const { jobId = "", returnAddress = "" } = asked.requestMetadata ?? {};
  const metadata = { round: asked.metadata.round ?? "", agent };
  const answer: Draft<MicroserviceCommunication> = {
    type: MESSAGE.microserviceCommunication,
    requestType: asked.requestType,
    requestMetadata: { correlationId: id, destinationQueue: returnAddress, jobName: jobId, jobId },
  };
  if ("problem" in outcome) {
    const step = outcome.step === undefined ? {} : { step: outcome.step };
    return encode.microserviceCommunication({
      ...answer,
      metadata: { ...metadata, ...step, error: JSON.stringify(outcome.problem) },
    });
  }
  return encode.microserviceCommunication({
    ...answer,
    metadata: { ...metadata, spans: JSON.stringify(outcome.spans) },
    ...(outcome.result === undefined ? {} : { data: outcome.result as never }),
  });
}

/**
 * What an agent reports.
 *
 * @throws {@link CodedError} the agent's problem, with agent and step in its path; `BUS-MALFORMED` for a report that cannot be read
 */
export function readReport(message: MicroserviceCommunication, agent: string): AgentReport {
  const { error, step, spans = "[]" } = message.metadata;
  if (error !== undefined) throw reported(error, step === undefined ? agent : `${agent}/${step}`);
  return { spans: readSpans(spans, agent), result: message.data };
}

function readSpans(text: string, agent: string): readonly StepSpan[] {
  try {
    return (JSON.parse(text) as Partial<StepSpan>[]).map((span) => ({
      step: String(span.step),
      doneMs: milliseconds(span.doneMs),
      startMs: milliseconds(span.startMs),
      computeMs: milliseconds(span.computeMs),
    }));
  } catch (cause) {
    throw new CodedError(
      {
        code: "BUS-MALFORMED",
        path: `${agent}: metadata.spans`,
        message: "an agent's report cannot be read",
      },
      { cause },
    );
  }
}

const milliseconds = (value: unknown): number =>
  typeof value === "number" && Number.isFinite(value) && value > 0 ? value : 0;

function reported(text: string, place: string): CodedError {
  let problem: Partial<Problem>;
  try {
    problem = JSON.parse(text) as Partial<Problem>;
  } catch {
    problem = { message: text };
  }
  const inner = typeof problem?.path === "string" ? `: ${problem.path}` : "";
  return new CodedError({
    code: typeof problem?.code === "string" ? problem.code : "AGT-FAILED",
    path: `${place}${inner}`,
    message: typeof problem?.message === "string" ? problem.message : text,
    ...(typeof problem?.remedy === "string" ? { remedy: problem.remedy } : {}),
  });
}

/** A step's answer as one agent hands it over to another. Of its files only names and sizes: they went before it. */
export const encodeAnswer = ({ data, parts, files = {} }: StepAnswer): Uint8Array => {
  const sizes = Object.entries(files).map(([name, { bytes }]) => [name, bytes]);
  return encodeWithParts(
    {
      type: MESSAGE.microserviceCommunication,
      ...(data === undefined ? {} : { data: data as never }),
      ...(sizes.length === 0 ? {} : { metadata: { files: JSON.stringify(Object.fromEntries(sizes)) } }),
    },
    parts,
  );
};

/**
 * @returns the answer without its files, and these files' sizes in bytes
 * @throws {@link CodedError} `BUS-MALFORMED`
 */
export function decodeAnswer(body: Uint8Array): {
  readonly answer: Omit<StepAnswer, "files">;
  readonly sizes: Readonly<Record<string, number>>;
} {
  const { data, result, metadata } = decode(MESSAGE.microserviceCommunication, body);
  return { answer: { data, parts: viewParts(result) }, sizes: readFiles<number>(metadata.files, "number") };
}

/** Where an agent takes another's answer: the path of the HTTP side it announces as `dns` in the store. */
export const answerPath = (job: string, round: number, step: string, from: string): string =>
  `/api/v1/jobs/${encodeURIComponent(job)}/rounds/${round}/steps/${encodeURIComponent(step)}/answers/${encodeURIComponent(from)}`;
/** The same as a route of the HTTP server. */
export const ANSWER_ROUTE = "/api/v1/jobs/:job/rounds/:round/steps/:step/answers/:from";
export const ANSWER_TYPE = "application/x-protobuf";

/** Where an agent takes a file of that answer, before the answer itself. */
export const filePath = (job: string, round: number, step: string, from: string, file: string): string =>
  `${answerPath(job, round, step, from)}/files/${encodeURIComponent(file)}`;
export const FILE_ROUTE = `${ANSWER_ROUTE}/files/:file`;
/** Nonce, the file, code (policy/agent/sender.ts). */
export const FILE_TYPE = "application/vnd.dynamos.sealed";
/** By this the taker knows whose an answer is (policy/agent/sender.ts). */
export const SENDER_HEADER = "dynamos-sender";
