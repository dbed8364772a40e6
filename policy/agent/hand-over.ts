import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent as HttpAgent, request } from "undici";
import type { OnlineAgent } from "../contract/documents.js";
import { KEY } from "../contract/names.js";
import { CodedError, type Problem } from "../contract/problem.js";
import type { Mirror } from "../platform/store.js";
import type { HeldFile, StepAnswer } from "../rounds/inputs.js";
import {
  ANSWER_TYPE,
  answerPath,
  encodeAnswer,
  FILE_TYPE,
  filePath,
  SENDER_HEADER,
} from "../rounds/messages.js";
import { type HandOver, SEAL_BYTES, type Senders } from "./sender.js";

/** What passes, passes within this: a broken connection, a composition still on its way. An agent that restarts has lost the job. */
const PATIENCE_MS = 5_000;
const PASSING = ["AGT-JOB-UNKNOWN", "AGT-SENDER-KEY"];
const BACKOFF_MS = { least: 10, most: 500 };
const CONNECTIONS = 8;
/** Files have connections of their own, so that small answers need not wait for them. */
const FILE_CONNECTIONS = 4;
/** Read from the disk at once. What the other agent does not take yet stays there. */
const READ_BYTES = 256 * 1024;

/** One `PUT`, made anew for each attempt. */
interface Put {
  readonly path: string;
  readonly dispatcher: HttpAgent;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | Readable;
}

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
  readonly #files = new HttpAgent({
    connections: FILE_CONNECTIONS,
    keepAliveTimeout: 60_000,
    connectTimeout: 2_000,
  });

  constructor(agent: string, online: Mirror<OnlineAgent>, senders: Senders) {
    this.#agent = agent;
    this.#online = online;
    this.#senders = senders;
  }

  /**
   * Resolves when the other agent has the answer and, before it, its files. What may pass (no connection, the job not composed there yet) is tried
   * again for 5 s: a second copy does no harm.
   *
   * @throws CodedError `AGT-HAND-OVER` when it cannot be reached; what the other agent says when it refuses
   */
  async give(to: string, work: HandOver, answer: StepAnswer, signal: AbortSignal): Promise<void> {
    const { job, round, step } = work;
    await Promise.all(
      Object.entries(answer.files ?? {}).map(([name, file]) =>
        this.#patiently(to, work, signal, () => this.#file(to, { ...work, file: name }, file)),
      ),
    );
    const body = encodeAnswer(answer);
    const path = answerPath(job, round, step, this.#agent);
    await this.#patiently(to, work, signal, () => ({
      path,
      dispatcher: this.#http,
      headers: { "content-type": ANSWER_TYPE, [SENDER_HEADER]: this.#senders.sign(to, work, body) },
      body,
    }));
  }

  #file(to: string, work: HandOver & { readonly file: string }, { path, bytes }: HeldFile): Put {
    const { job, round, step, file } = work;
    const chunks = createReadStream(path, { highWaterMark: READ_BYTES });
    return {
      path: filePath(job, round, step, this.#agent, file),
      dispatcher: this.#files,
      headers: { "content-type": FILE_TYPE, "content-length": String(bytes + SEAL_BYTES) },
      body: Readable.from(this.#senders.seal(to, work, chunks), { objectMode: false }),
    };
  }

  async #patiently(to: string, work: HandOver, signal: AbortSignal, put: () => Put): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    for (let attempt = 0; ; attempt += 1) {
      const problem = await this.#send(to, work, put, signal);
      if (problem === undefined) return;
      const delay = Math.min(BACKOFF_MS.most, BACKOFF_MS.least * 2 ** attempt);
      if (!problem.passing || performance.now() + delay > deadline) throw problem.error;
      await sleep(delay, undefined, { signal }).catch(() => {});
      signal.throwIfAborted();
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#http.destroy(), this.#files.destroy()]);
  }

  async #send(
    to: string,
    { step, grant }: HandOver,
    put: () => Put,
    signal: AbortSignal,
  ): Promise<{ readonly error: CodedError; readonly passing: boolean } | undefined> {
    const address = this.#online.get(KEY.online(to))?.value.dns;
    if (address === undefined) return { error: unreachable(to, step, "it is not online"), passing: true };
    try {
      const { path, dispatcher, headers, body } = put();
      const { statusCode, body: answer } = await request(`http://${address}${path}`, {
        method: "PUT",
        dispatcher,
        headers: { authorization: `Bearer ${grant}`, ...headers },
        body,
        signal,
      });
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
