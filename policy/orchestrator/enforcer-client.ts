import { randomUUID } from "node:crypto";
import { RequestApproval, type ValidationResponse } from "../contract/generated/dynamos.js";
import { ENFORCER_QUEUE, MESSAGE } from "../contract/names.js";
import { CodedError, type Problem } from "../contract/problem.js";
import type { Bus } from "../platform/bus.js";
import { Pending } from "../platform/pending.js";

/** What is asked: may this user do this, and if a job asks for its next round, is what was composed still allowed? */
export interface Question {
  readonly requestType: string;
  readonly user: { readonly id: string; readonly userName: string };
  readonly dataProviders: readonly string[];
  readonly options?: Readonly<Record<string, boolean>>;
  /** Of a running job. */
  readonly round?: {
    readonly job: string;
    readonly round: number;
    readonly archetype: string;
    /** The party that computes, where it is not the data providers. */
    readonly computeProvider: string;
    /** Only decide again, and open nothing: an agreement has changed while the round is open. */
    readonly again?: {
      /** The change's revision, which the decision must know. */
      readonly since: number;
    };
  };
}

export interface AskOptions {
  /** Default: a new one. */
  readonly correlationId?: string;
  /** Milliseconds to wait for a broker that is away. Default 0: an error at once. */
  readonly patience?: number;
  /** Ends the waiting, with its reason. */
  readonly signal?: AbortSignal;
}

/** A running job asks again this often when the broker was lost under its question. */
const MOST_ATTEMPTS = 3;
/** The enforcer opens the round that it allows, and waits somewhat less than this for a store that restarts. */
const OPENING_MS = 12_000;

/** @throws {@link CodedError} the enforcer's own problem, where it could neither allow nor deny */
export function checkDecided({ error }: ValidationResponse): void {
  if (error !== "") throw new CodedError(JSON.parse(error) as Problem);
}

/** Asks the policy enforcer. Its answers come to the orchestrator's queue and are matched by correlation id alone. */
export class EnforcerClient {
  readonly #bus: Bus;
  readonly #deadline: number;
  readonly #pending = new Pending<ValidationResponse>("the policy enforcer's answer", "ORC-ENFORCER-SILENT");
  #losses = 0;

  /** @param deadline - milliseconds for a decision; one that opens a round may take 12 s more. Default 5000 */
  constructor(bus: Bus, deadline = 5_000) {
    this.#bus = bus;
    this.#deadline = deadline;
    bus.onState((up) => {
      if (!up) this.#losses += 1;
    });
  }

  /**
   * The enforcer's decision; of a round, also its opening. A question asked twice is decided twice, and a round that is open on the same
   * agreements is not opened again: so with `patience` it is asked again when the broker was lost meanwhile.
   *
   * @throws {@link CodedError} `ORC-ENFORCER-SILENT`, `BUS-DOWN`, `BUS-UNROUTABLE` where no enforcer has ever run
   */
  async ask(question: Question, options: AskOptions = {}): Promise<ValidationResponse> {
    const body = encode(question);
    const { patience = 0, signal } = options;
    for (let attempt = 1; ; attempt += 1) {
      signal?.throwIfAborted();
      const losses = this.#losses;
      const id = attempt === 1 && options.correlationId !== undefined ? options.correlationId : randomUUID();
      // Bus.publish waits for the connection within `patience`; the enforcer's own time begins after that.
      const deadline =
        this.#deadline +
        (question.round === undefined || question.round.again !== undefined ? 0 : OPENING_MS);
      const answer = this.#pending.wait(id, deadline + (this.#bus.up ? 0 : patience));
      const abort = (): void => void this.#pending.fail(id, signal?.reason as Error);
      signal?.addEventListener("abort", abort);
      this.#bus
        .publish(ENFORCER_QUEUE, MESSAGE.requestApproval, body, { correlationId: id, patience })
        .catch((error: Error) => this.#pending.fail(id, error));
      try {
        return await answer;
      } catch (error) {
        const lost = this.#losses !== losses || (error instanceof CodedError && error.code === "BUS-DOWN");
        if (signal?.aborted === true || !lost || patience === 0 || attempt === MOST_ATTEMPTS) throw error;
      } finally {
        signal?.removeEventListener("abort", abort);
      }
    }
  }

  /** Takes an answer in. `false`: nobody waits for it any more. */
  answered(correlationId: string, response: ValidationResponse): boolean {
    return this.#pending.settle(correlationId, response);
  }

  close(): void {
    this.#pending.failAll(
      new CodedError({
        code: "ORC-CLOSING",
        message: "the orchestrator is ending",
        remedy: "try again in a moment",
      }),
    );
  }
}

function encode({ requestType, user, dataProviders, options, round }: Question): Uint8Array {
  return RequestApproval.encode({
    type: requestType,
    user: { id: user.id, userName: user.userName },
    dataProviders: [...dataProviders],
    destinationQueue: ENFORCER_QUEUE,
    options: { ...options },
    jobId: round?.job ?? "",
    round: round?.round ?? 0,
    archetypeId: round?.archetype ?? "",
    computeProvider: round?.computeProvider ?? "",
    leastRevision: round?.again?.since ?? 0,
    again: round?.again !== undefined,
  }).finish();
}
