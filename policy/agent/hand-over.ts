import { setTimeout as sleep } from "node:timers/promises";
import { Agent as HttpAgent, request } from "undici";
import type { OnlineAgent } from "../contract/documents.js";
import { KEY } from "../contract/names.js";
import { CodedError, type Problem } from "../contract/problem.js";
import type { Mirror } from "../platform/store.js";
import type { StepAnswer } from "../rounds/inputs.js";
import { ANSWER_TYPE, answerPath, encodeAnswer, SENDER_HEADER } from "../rounds/messages.js";
import type { HandOver, Senders } from "./sender.js";

/** What passes, passes within this: a broken connection, a composition still on its way. An agent that restarts has lost the job. */
const PATIENCE_MS = 5_000;
const PASSING = ["AGT-JOB-UNKNOWN", "AGT-SENDER-KEY"];
const BACKOFF_MS = { least: 10, most: 500 };
const CONNECTIONS = 8;

/** Hands steps' answers straight to other agents, at the address each has written into the store under its own name. */
export class HandOvers {
  readonly #agent: string;
  readonly #online: Mirror<OnlineAgent>;
  readonly #senders: Senders;
  readonly #http = new HttpAgent({
    connections: CONNECTIONS,
    keepAliveTimeout: 60_000,
    connectTimeout: 2_000,
  });

  constructor(agent: string, online: Mirror<OnlineAgent>, senders: Senders) {
    this.#agent = agent;
    this.#online = online;
    this.#senders = senders;
  }

  /**
   * Resolves when the other agent has the answer. What may pass (no connection, the job not composed there yet) is tried again for 5 s: a second
   * copy does no harm.
   *
   * @throws CodedError `AGT-HAND-OVER` when it cannot be reached; what the other agent says when it refuses
   */
  async give(to: string, work: HandOver, answer: StepAnswer, signal: AbortSignal): Promise<void> {
    const body = encodeAnswer(answer);
    const deadline = performance.now() + PATIENCE_MS;
    for (let attempt = 0; ; attempt += 1) {
      const problem = await this.#send(to, work, body, signal);
      if (problem === undefined) return;
      const delay = Math.min(BACKOFF_MS.most, BACKOFF_MS.least * 2 ** attempt);
      if (!problem.passing || performance.now() + delay > deadline) throw problem.error;
      await sleep(delay, undefined, { signal }).catch(() => {});
      signal.throwIfAborted();
    }
  }

  async close(): Promise<void> {
    await this.#http.destroy();
  }

  async #send(
    to: string,
    work: HandOver,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<{ readonly error: CodedError; readonly passing: boolean } | undefined> {
    const { job, round, step, grant } = work;
    const address = this.#online.get(KEY.online(to))?.value.dns;
    if (address === undefined) return { error: unreachable(to, step, "it is not online"), passing: true };
    try {
      const { statusCode, body: answer } = await request(
        `http://${address}${answerPath(job, round, step, this.#agent)}`,
        {
          method: "PUT",
          dispatcher: this.#http,
          headers: {
            authorization: `Bearer ${grant}`,
            "content-type": ANSWER_TYPE,
            [SENDER_HEADER]: this.#senders.sign(to, work, body),
          },
          body,
          signal,
        },
      );
      if (statusCode === 204) {
        await answer.dump();
        return undefined;
      }
      const problem = problemIn(await answer.text(), statusCode);
      return {
        error: new CodedError({
          ...problem,
          path: `${to}${problem.path === undefined ? "" : `: ${problem.path}`}`,
        }),
        passing: PASSING.includes(problem.code) || statusCode === 503,
      };
    } catch (error) {
      signal.throwIfAborted();
      // The key of an agent that has just come may not be known here yet.
      if (error instanceof CodedError) return { error, passing: PASSING.includes(error.code) };
      const why = error instanceof Error ? error.message : String(error);
      return { error: unreachable(to, step, why, error), passing: true };
    }
  }
}

function problemIn(text: string, status: number): Problem {
  try {
    const { code, path, message, remedy } = JSON.parse(text) as Partial<Problem>;
    if (typeof code === "string" && typeof message === "string")
      return {
        code,
        message,
        ...(typeof path === "string" ? { path } : {}),
        ...(typeof remedy === "string" ? { remedy } : {}),
      };
  } catch {
    // Not one of our agents: told below.
  }
  return {
    code: "AGT-HAND-OVER",
    message: `HTTP ${status}: ${text.slice(0, 200)}`,
    remedy: "is that address an agent's?",
  };
}

export function unreachable(to: string, step: string, why: string, cause?: unknown): CodedError {
  return new CodedError(
    {
      code: "AGT-HAND-OVER",
      path: `agents/${to}`,
      message: `the answer to ${step} could not be handed over to ${to} (${why})`,
      remedy: `start agent ${to}, and let this agent reach the address it announces`,
    },
    cause === undefined ? undefined : { cause },
  );
}
