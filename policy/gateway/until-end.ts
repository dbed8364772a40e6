import type { JobEnd } from "../contract/job.js";
import { CodedError } from "../contract/problem.js";
import type { JobLog } from "../jobs/job-log.js";

export interface Limits {
  /** Milliseconds without any event of the job. */
  readonly idle: number;
  /** Milliseconds in all. */
  readonly hard: number;
}

/**
 * Waits for a job's end, as long as it gives signs of life. The job goes on without us; only the waiting ends.
 *
 * @throws {@link CodedError} `GW-JOB-SILENT`, `GW-JOB-TOO-LONG`, or the signal's reason
 */
export function untilEnd(log: JobLog, limits: Limits, signal: AbortSignal): Promise<JobEnd> {
  return new Promise((resolve, reject) => {
    const { jobId } = log.facts;
    const late = (code: string, milliseconds: number, what: string) => (): void =>
      settle(() =>
        reject(
          new CodedError({
            code,
            path: jobId,
            message: `${what} ${milliseconds / 1000} s`,
            remedy: `the job may go on: GET /api/v1/jobs/${jobId}, or ask with Prefer: respond-async`,
          }),
        ),
      );
    const hard = setTimeout(late("GW-JOB-TOO-LONG", limits.hard, "the job takes longer than"), limits.hard);
    const idle = setTimeout(
      late("GW-JOB-SILENT", limits.idle, "the job gave no sign of life for"),
      limits.idle,
    );
    const gone = (): void => settle(() => reject(signal.reason));
    let unfollow: () => void = () => {};
    let settled = false;
    const settle = (tell: () => void): void => {
      settled = true;
      clearTimeout(hard);
      clearTimeout(idle);
      signal.removeEventListener("abort", gone);
      unfollow();
      tell();
    };
    signal.addEventListener("abort", gone);
    if (signal.aborted) return gone();
    unfollow = log.follow(0, (event) => {
      idle.refresh();
      if (event.name === "end") settle(() => resolve(event.data));
    });
    // The end was there already: it was told before `unfollow` was known.
    if (settled) unfollow();
  });
}
