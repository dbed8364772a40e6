/** A user of the gateway. */
import { createParser } from "eventsource-parser";
import type { JobEnd } from "../../../policy/contract/job.js";
import type { Answer } from "./run-schedule.js";

interface Request {
  readonly type: string;
  readonly user: { readonly id: string; readonly userName: string };
  readonly dataProviders: readonly string[];
  readonly options: Readonly<Record<string, boolean>>;
  readonly data: object;
}

/**
 * Sends a request and waits for its end.
 *
 * @param after - `trigger` is called after the report of this round and of each later one (0: when the request has been sent)
 * @param milliseconds - limit of the whole
 */
export async function ask(
  gateway: string,
  headers: Readonly<Record<string, string>>,
  { data, ...request }: Request,
  after: number,
  trigger: () => void,
  milliseconds: number,
): Promise<Answer> {
  const signal = AbortSignal.timeout(milliseconds);
  const sent = fetch(`${gateway}/api/v1/requestApproval`, {
    method: "POST",
    signal,
    headers: { "content-type": "application/json", prefer: "respond-async", ...headers },
    body: JSON.stringify({ ...request, data_request: { type: request.type, data, requestMetadata: {} } }),
  });
  if (after === 0) trigger();
  const response = await sent;
  const body = (await response.json()) as Record<string, unknown>;
  if (response.status !== 202) {
    const at = Date.now();
    const { code, message } = body as { readonly code: string; readonly message: string };
    const end = response.status === 403 ? body : { status: "failed", rounds: 0, problem: { code, message } };
    return { job: undefined, end: end as unknown as JobEnd, at };
  }
  const job = String(body.jobId);
  const end = await follow(`${gateway}/api/v1/jobs/${job}/events`, headers, signal, (round) => {
    if (round >= after) trigger();
  });
  return { job, end, at: Date.now() };
}

async function follow(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
  onRound: (round: number) => void,
): Promise<JobEnd> {
  const response = await fetch(url, { headers, signal });
  let end: JobEnd | undefined;
  const parser = createParser({
    onEvent: ({ event, data }) => {
      if (event === "round") onRound((JSON.parse(data) as { readonly round: number }).round);
      if (event === "end") end = JSON.parse(data) as JobEnd;
    },
  });
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? [])
    parser.feed(decoder.decode(chunk as Uint8Array, { stream: true }));
  if (end === undefined) throw new Error(`the events of ${url} ended before the job did`);
  return end;
}
