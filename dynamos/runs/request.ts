import { fetch } from "undici";
import { InfraError } from "../../infra/problem.js";
import type { JobEnd, RefusalReason, RoundReport } from "../../policy/contract/job.js";
import { serverEvents } from "./sse.js";

/** A request to the gateway. */
export interface DataRequest {
  readonly type: string;
  readonly user: { readonly id: string; readonly userName: string };
  readonly dataProviders: readonly string[];
  readonly data: Readonly<Record<string, unknown>>;
}

/** The answer to a request before any work: accepted, or a "no" by policy. */
export type Acceptance =
  | { readonly status: "accepted"; readonly jobId: string }
  | { readonly status: "refused"; readonly reasons: readonly RefusalReason[]; readonly revision?: number };

/**
 * Sends a request and returns as soon as its job is under way. Throws what the gateway says is wrong.
 *
 * @param token - the user's access token
 */
export async function submit(gateway: string, token: string, request: DataRequest): Promise<Acceptance> {
  const response = await fetch(`${gateway}/api/v1/requestApproval`, {
    method: "POST",
    signal: AbortSignal.timeout(30_000),
    headers: {
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      prefer: "respond-async",
    },
    body: JSON.stringify({
      type: request.type,
      user: request.user,
      dataProviders: request.dataProviders,
      data_request: { type: request.type, data: request.data, requestMetadata: {} },
    }),
  }).catch((cause: unknown) => {
    throw new InfraError(
      {
        code: "EXP-GATEWAY-UNREACHABLE",
        message: `the gateway at ${gateway} does not answer`,
        remedy: "see dynamos-fabric status",
      },
      { cause },
    );
  });
  const body = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  if (response.status === 403 && body.status === "refused") {
    return {
      status: "refused",
      reasons: (body.reasons ?? []) as RefusalReason[],
      ...(typeof body.revision === "number" ? { revision: body.revision } : {}),
    };
  }
  if (response.ok && typeof body.jobId === "string") return { status: "accepted", jobId: body.jobId };
  throw new InfraError({
    code: typeof body.code === "string" ? body.code : "EXP-GATEWAY",
    ...(typeof body.path === "string" ? { path: body.path } : {}),
    message: typeof body.message === "string" ? body.message : `the gateway answered HTTP ${response.status}`,
    ...(typeof body.remedy === "string" ? { remedy: body.remedy } : {}),
  });
}

/** Follows a job to its end, telling each round. Throws EXP-STREAM when the stream ends before the job. */
export async function follow(
  gateway: string,
  token: string,
  jobId: string,
  onRound: (report: RoundReport) => void,
  signal?: AbortSignal,
): Promise<JobEnd> {
  const events = serverEvents(
    `${gateway}/api/v1/jobs/${jobId}/events`,
    signal === undefined ? { token } : { token, signal },
  );
  for await (const { event, data } of events) {
    if (event === "round") onRound(data as RoundReport);
    if (event === "end") return data as JobEnd;
  }
  throw new InfraError({
    code: "EXP-STREAM",
    message: `the events of job ${jobId} ended before the job did`,
    remedy: "see dynamos-fabric status",
  });
}
