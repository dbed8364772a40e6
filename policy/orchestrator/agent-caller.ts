import { randomUUID } from "node:crypto";
import { agentQueue, MESSAGE } from "../contract/names.js";
import { CodedError } from "../contract/problem.js";
import type { MicroserviceCommunication } from "../contract/wire.js";
import type { Bus } from "../platform/bus.js";
import { Pending } from "../platform/pending.js";
import { type AgentReport, encodeTicket, readReport, type Ticket } from "../rounds/messages.js";

/** A broker that restarts is back within this; the round's own deadline runs on. */
const PATIENCE_MS = 30_000;

/** Sends agents their tickets for a round and matches their reports, by correlation id alone. */
export class AgentCaller {
  readonly #bus: Bus;
  readonly #pending = new Pending<MicroserviceCommunication>("an agent's answer", "ORC-AGENT-SILENT");
  readonly #waiting = new Map<string, Ticket>();
  readonly #isOnline: (agent: string) => boolean;

  constructor(bus: Bus, isOnline: (agent: string) => boolean) {
    this.#bus = bus;
    this.#isOnline = isOnline;
  }

  /**
   * Sends a ticket and waits for the report. Nothing waits for the broker's confirm: its failure ends the call.
   *
   * @param milliseconds - deadline of the whole call
   * @param signal - ends the call early, with its reason
   * @throws {@link CodedError} what the agent or its microservice reports; `ORC-AGENT-SILENT` at the deadline; `ORC-AGENT-OFFLINE` when it is not
   * there, `ORC-AGENT-GONE` when it goes while it works
   */
  async call(ticket: Ticket, milliseconds: number, signal: AbortSignal): Promise<AgentReport> {
    signal.throwIfAborted();
    // Its queue would take the message and keep it; nobody would tell us before the deadline.
    if (!this.#isOnline(ticket.agent)) throw offline(ticket.agent);
    const id = randomUUID();
    const answer = this.#pending.wait(id, milliseconds);
    const abort = (): void => void this.#pending.fail(id, signal.reason as Error);
    signal.addEventListener("abort", abort);
    this.#waiting.set(id, ticket);
    try {
      this.#send(id, ticket.agent, encodeTicket(id, ticket));
      return readReport(await answer, ticket.agent);
    } catch (error) {
      // Also when packing fails: the entry must not stay, and its own rejection is then ours.
      this.#pending.fail(id, error as Error);
      answer.catch(() => {}); // it is the very error thrown here
      if (error instanceof CodedError && error.code === "ORC-AGENT-SILENT")
        throw silent(ticket, milliseconds);
      throw error;
    } finally {
      this.#waiting.delete(id);
      signal.removeEventListener("abort", abort);
    }
  }

  /** Takes a report in. `false`: nobody waits for it any more. */
  answered(correlationId: string, message: MicroserviceCommunication): boolean {
    return this.#pending.settle(correlationId, message);
  }

  /** Ends all calls to an agent that is gone. */
  agentGone(agent: string): void {
    for (const [id, { agent: asked, round }] of [...this.#waiting]) {
      if (asked !== agent) continue;
      this.#pending.fail(
        id,
        new CodedError({
          code: "ORC-AGENT-GONE",
          path: `agents/${agent}`,
          message: `${agent} went offline while it worked on round ${round}`,
          remedy: "start the agent, then send the request again",
        }),
      );
    }
  }

  /** Calls that wait at this moment. */
  get size(): number {
    return this.#pending.size;
  }

  #send(id: string, agent: string, body: Uint8Array, attempt = 1): void {
    this.#bus
      .publish(agentQueue(agent), MESSAGE.microserviceCommunication, body, {
        correlationId: id,
        patience: PATIENCE_MS,
      })
      .catch((error: unknown) => {
        if (!this.#waiting.has(id)) return; // answered or given up meanwhile
        const problem =
          error instanceof CodedError
            ? error
            : new CodedError({ code: "ORC-STEP-UNSENT", message: String(error) }, { cause: error });
        // Lost on the way, perhaps taken, perhaps not. Agents do a ticket once and answer twice, so it goes again.
        if (problem.code === "BUS-DOWN" && attempt < 3) this.#send(id, agent, body, attempt + 1);
        else this.#pending.fail(id, problem.code === "BUS-UNROUTABLE" ? offline(agent) : problem);
      });
  }
}

function silent({ agent, round, steps }: Ticket, milliseconds: number): CodedError {
  const names = steps.map(({ step }) => step).join(", ");
  return new CodedError({
    code: "ORC-AGENT-SILENT",
    path: `agents/${agent}`,
    message: `${agent} did not answer round ${round} (${names}) within ${milliseconds / 1000} s`,
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
