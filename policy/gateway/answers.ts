import type { JobEnd } from "../contract/job.js";
import type { Problem } from "../contract/problem.js";
import type { RequestApprovalResponse } from "../contract/wire.js";
import { failed } from "../platform/health.js";

/** A status and a body. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: object;
}

/** What an approval's answer becomes when it is no approval; `undefined`: it is one. */
export function refusalOf(answer: RequestApprovalResponse): HttpAnswer | undefined {
  const { error, reasons, revision } = answer;
  if (error === "" && answer.jobId !== "") return undefined;
  if (reasons.length > 0) return { status: 403, body: { status: "refused", reasons, revision } };
  const problem = problemIn(error);
  return { status: httpStatusOf(problem), body: failed(problem) };
}

export function approvedBody(answer: RequestApprovalResponse): object {
  const { jobId, archetypeId, computeProviders, authorizedProviders, revision, explanation } = answer;
  return { jobId, archetype: archetypeId, computeProviders, authorizedProviders, revision, explanation };
}

/** What a job's end becomes for the one who waited for it. */
export function endAnswer(
  { jobId, archetypeId: archetype, explanation }: RequestApprovalResponse,
  end: JobEnd,
): HttpAnswer {
  const { status, rounds, result, reasons, revision, problem } = end;
  if (status === "completed")
    return {
      status: 200,
      body: { status, jobId, archetype, rounds, explanation, ...(result === undefined ? {} : { result }) },
    };
  if (status === "refused")
    return { status: 403, body: { status, jobId, rounds, reasons: reasons ?? [], revision: revision ?? 0 } };
  const told = problem ?? { code: "ORC-UNEXPECTED", message: end.reason ?? "the job failed" };
  return { status: httpStatusOf(told), body: { ...failed(told), jobId, rounds } };
}

const BAD_INPUT =
  /^(ORC-(DATA|ROUNDS-INVALID|REQUEST-INVALID|REQUEST-TYPE-UNKNOWN|TYPE-MISMATCH|JOB-UNKNOWN|JOB-NOT-YOURS)|GW-INVALID)$/;
const NOT_THERE =
  /^(BUS-|STO-|ORC-(AGENT-|BUSY|CLOSING|RESTARTED)|GW-(BROKER-DOWN|NO-ORCHESTRATOR|BUSY|CLOSING))/;

/** HTTP status of a breakdown: bad input 400, what is not there 503, what is late 504, and what broke behind us 502. */
export function httpStatusOf({ code }: Problem): number {
  if (BAD_INPUT.test(code)) return 400;
  if (code === "ORC-JOB-EXISTS" || code === "ORC-CANCELLED") return 409;
  if (/-(SILENT|TIMEOUT|NO-ANSWER|TOO-LONG)$/.test(code)) return 504;
  return NOT_THERE.test(code) ? 503 : 502;
}

/** The orchestrator tells a breakdown as a problem in JSON; anything else is told as it is. */
function problemIn(error: string): Problem {
  try {
    const problem = JSON.parse(error) as Partial<Problem> | null;
    if (typeof problem?.code === "string" && typeof problem.message === "string") return problem as Problem;
  } catch {
    // Not ours: a DYNAMOS orchestrator writes plain words.
  }
  return {
    code: "ORC-UNEXPECTED",
    message: error || "the orchestrator gave no answer",
    remedy: "look at the orchestrator's log",
  };
}
