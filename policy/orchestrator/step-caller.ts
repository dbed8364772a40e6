import { randomUUID } from "node:crypto";
import type { Any } from "../contract/generated/google/protobuf/any.js";
import { agentQueue, MESSAGE, ORCHESTRATOR_QUEUE } from "../contract/names.js";
import { viewParts } from "../contract/parts.js";
import { CodedError, type Problem } from "../contract/problem.js";
import { encodeWithParts, type MicroserviceCommunication } from "../contract/wire.js";
import type { Bus } from "../platform/bus.js";
import { Pending } from "../platform/pending.js";
import type { StepAnswer, StepInputs } from "./inputs.js";

/** One step at one agent. */
export interface StepCall {
  readonly agent: string;
  readonly job: string;
  readonly round: number;
  readonly step: string;
  readonly service: string;
  readonly requestType: string;
  /** The enforcer's signed grant for this round. */
  readonly grant: string;
  /** Revision of the transaction that opened the round. */
  readonly token: number;
  /** The data request, packed once for the whole job. */
  readonly request: Any;
  readonly inputs: StepInputs;
}

interface Waiting {
  readonly agent: string;
  readonly step: string;
}

/** A broker that restarts is back within this; the step's own deadline runs on. */
const PATIENCE_MS = 30_000;

/** Sends steps to agents and matches their answers, by correlation id alone. */
export class StepCaller {
  readonly #bus: Bus;
  readonly #pending = new Pending<MicroserviceCommunication>("an agent's answer", "ORC-STEP-SILENT");
  readonly #waiting = new Map<string, Waiting>();
  readonly #isOnline: (agent: string) => boolean;

  constructor(bus: Bus, isOnline: (agent: string) => boolean) {
    this.#bus = bus;
    this.#isOnline = isOnline;
  }

  /**
   * Sends a step and waits for the answer. Nothing waits for the broker's confirm: its failure ends the call.
   *
   * @param milliseconds - deadline of the whole call
   * @param signal - ends the call early, with its reason
   * @throws {@link CodedError} what the agent or its microservice reports; `ORC-STEP-SILENT` at the deadline; `ORC-AGENT-OFFLINE` when it is not
   * there, `ORC-AGENT-GONE` when it goes while it works
   */
  async call(call: StepCall, milliseconds: number, signal: AbortSignal): Promise<StepAnswer> {
    signal.throwIfAborted();
    // Its queue would take the message and keep it; nobody would tell us before the deadline.
    if (!this.#isOnline(call.agent)) throw offline(call.agent);
    const id = randomUUID();
    const answer = this.#pending.wait(id, milliseconds);
    const abort = (): void => void this.#pending.fail(id, signal.reason as Error);
    signal.addEventListener("abort", abort);
    this.#waiting.set(id, call);
    try {
      this.#send(id, call);
      return readAnswer(await answer, call);
    } catch (error) {
      // Also when packing fails: the entry must not stay, and its own rejection is then ours.
      this.#pending.fail(id, error as Error);
      answer.catch(() => {}); // it is the very error thrown here
      if (error instanceof CodedError && error.code === "ORC-STEP-SILENT") throw silent(call, milliseconds);
      throw error;
    } finally {
      this.#waiting.delete(id);
      signal.removeEventListener("abort", abort);
    }
  }

  /** Takes an answer in. `false`: nobody waits for it any more. */
  answered(correlationId: string, message: MicroserviceCommunication): boolean {
    return this.#pending.settle(correlationId, message);
  }

  /** Ends all calls to an agent that is gone. */
  agentGone(agent: string): void {
    for (const [id, { agent: asked, step }] of [...this.#waiting]) {
      if (asked !== agent) continue;
      this.#pending.fail(
        id,
        new CodedError({
          code: "ORC-AGENT-GONE",
          path: `agents/${agent}`,
          message: `${agent} went offline while it worked on step ${step}`,
          remedy: "start the agent, then send the request again",
        }),
      );
    }
  }

  /** Calls that wait at this moment. */
  get size(): number {
    return this.#pending.size;
  }

  #send(id: string, call: StepCall, attempt = 1): void {
    const body = encodeStep(id, call);
    this.#bus
      .publish(agentQueue(call.agent), MESSAGE.microserviceCommunication, body, {
        correlationId: id,
        patience: PATIENCE_MS,
      })
      .catch((error: unknown) => {
        if (!this.#waiting.has(id)) return; // answered or given up meanwhile
        const problem =
          error instanceof CodedError
            ? error
            : new CodedError({ code: "ORC-STEP-UNSENT", message: String(error) }, { cause: error });
        // Lost on the way, perhaps taken, perhaps not. Agents do a step of a round once and answer twice, so it goes again.
        if (problem.code === "BUS-DOWN" && attempt < 3) this.#send(id, call, attempt + 1);
        else this.#pending.fail(id, problem.code === "BUS-UNROUTABLE" ? offline(call.agent) : problem);
      });
  }
}

function encodeStep(id: string, call: StepCall): Uint8Array {
  const message = {
    type: MESSAGE.microserviceCommunication,
    requestType: call.requestType,
    data: call.inputs.data,
    metadata: {
      grant: call.grant,
      round: String(call.round),
      token: String(call.token),
      step: call.step,
      service: call.service,
    },
    originalRequest: call.request,
    requestMetadata: {
      jobId: call.job,
      correlationId: id,
      destinationQueue: agentQueue(call.agent),
      returnAddress: ORCHESTRATOR_QUEUE,
    },
  };
  return encodeWithParts(message, call.inputs.parts);
}

function readAnswer(message: MicroserviceCommunication, call: StepCall): StepAnswer {
  const { error, computeMs, startMs } = message.metadata;
  if (error !== undefined) throw reported(error, call);
  return {
    data: message.data,
    parts: viewParts(message.result),
    computeMs: millisecondsOf(computeMs),
    startMs: millisecondsOf(startMs),
  };
}

function millisecondsOf(text: string | undefined): number {
  const milliseconds = Number(text ?? 0);
  return Number.isFinite(milliseconds) && milliseconds > 0 ? milliseconds : 0;
}

/** An agent's problem, with the agent's name in the path. */
function reported(text: string, { agent, step }: StepCall): CodedError {
  let problem: Partial<Problem>;
  try {
    problem = JSON.parse(text) as Partial<Problem>;
  } catch {
    problem = { message: text };
  }
  const inner = typeof problem?.path === "string" ? `: ${problem.path}` : "";
  return new CodedError({
    code: typeof problem?.code === "string" ? problem.code : "AGT-FAILED",
    path: `${agent}/${step}${inner}`,
    message: typeof problem?.message === "string" ? problem.message : text,
    ...(typeof problem?.remedy === "string" ? { remedy: problem.remedy } : {}),
  });
}

function silent({ agent, step }: StepCall, milliseconds: number): CodedError {
  return new CodedError({
    code: "ORC-STEP-SILENT",
    path: `${agent}/${step}`,
    message: `${agent} did not answer step ${step} within ${milliseconds / 1000} s`,
    remedy: `look at the log of agent ${agent}`,
  });
}

function offline(agent: string): CodedError {
  return new CodedError({
    code: "ORC-AGENT-OFFLINE",
    path: `agents/${agent}`,
    message: `${agent} is not online`,
    remedy: "start the agent, then send the request again",
  });
}
