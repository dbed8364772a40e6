import { CANCEL, GATEWAY_QUEUE, MESSAGE, ORCHESTRATOR_QUEUE } from "../contract/names.js";
import { CodedError } from "../contract/problem.js";
import { decode, encode, messageType } from "../contract/wire.js";
import { JobTable } from "../jobs/job-log.js";
import { RequestDataChecker } from "../jobs/request-data.js";
import type { Bus, Consumer, Incoming, Verdict } from "../platform/bus.js";
import type { Logger } from "../platform/log.js";
import type { Store } from "../platform/store.js";
import { AgentCaller } from "./agent-caller.js";
import { Approvals } from "./approval.js";
import { Catalogue } from "./catalogue.js";
import { Coordinator } from "./coordinator.js";
import { EnforcerClient } from "./enforcer-client.js";
import { type Job, JobArchive } from "./job-archive.js";
import { Revocations } from "./revocation.js";

export interface OrchestratorOptions {
  readonly bus: Bus;
  readonly store: Store;
  readonly log: Logger;
  /** Milliseconds for the enforcer's answer. Default 5000. */
  readonly enforcerDeadline?: number;
  /** Milliseconds for one step at one agent. Default 30 s. */
  readonly stepDeadline?: number;
}

export interface Orchestrator {
  readonly coordinator: Coordinator;
  readonly catalogue: Catalogue;
  /** Jobs in memory. */
  readonly jobs: JobTable<Job>;
  close(): Promise<void>;
}

/**
 * Questions and answers come by one queue. A limit near the number of open questions would keep their answers out:
 * this one is out of reach, and the rooms bound their own work.
 */
const PREFETCH = 20_000;

/** Starts the orchestrator on its queue. */
export async function startOrchestrator(options: OrchestratorOptions): Promise<Orchestrator> {
  const { bus, store, log } = options;
  const catalogue = await Catalogue.open(store);
  const enforcer = new EnforcerClient(bus, options.enforcerDeadline);
  const agents = new AgentCaller(bus, (agent) => catalogue.agent(agent) !== undefined);
  const revocations = await Revocations.open(store, enforcer, log);
  const jobs = new JobTable<Job>();
  const archive = new JobArchive(store, log);
  const checker = new RequestDataChecker();
  const approvals = new Approvals({
    bus,
    store,
    catalogue,
    enforcer,
    jobs,
    log,
    load: () => coordinator.load(),
  });
  const coordinator = new Coordinator({
    ...{ bus, store, catalogue, enforcer, agents, revocations, jobs, archive, checker, log },
    ...(options.stepDeadline === undefined ? {} : { stepDeadline: options.stepDeadline }),
  });
  catalogue.onAgentGone((agent) => agents.agentGone(agent));

  const handle = async (message: Incoming): Promise<Verdict> => {
    const { correlationId } = message;
    const type = messageType(message.type);
    if (correlationId === undefined || type === undefined) {
      log.warn(
        { type: message.type },
        "a message of unknown type or without correlation id; it goes to the dead-letter queue",
      );
      return "drop";
    }
    switch (type) {
      case "microserviceCommunication": {
        const told = decode(type, message.body);
        if (told.requestType !== CANCEL) return late(agents.answered(correlationId, told), message);
        await coordinator.cancel(told.requestMetadata?.jobId ?? "", told.metadata.user ?? "");
        return "ack";
      }
      case "validationResponse":
        return late(enforcer.answered(correlationId, decode(type, message.body)), message);
      case "requestApproval":
        return reply(
          correlationId,
          encode.requestApprovalResponse(await approvals.answer(decode(type, message.body), correlationId)),
        );
      case "request":
        return coordinator.start(decode(type, message.body), correlationId);
      default:
        log.warn({ type }, "a message that is not for the orchestrator; it goes to the dead-letter queue");
        return "drop";
    }
  };

  /** The request is acknowledged after the answer's confirm: what is lost before that is asked again under the same id. */
  const reply = async (correlationId: string, body: Uint8Array): Promise<Verdict> => {
    try {
      await bus.publish(GATEWAY_QUEUE, MESSAGE.requestApprovalResponse, body, { correlationId });
      return "ack";
    } catch (error) {
      log.warn({ error, correlationId }, "an approval's answer could not be sent");
      return error instanceof CodedError && error.code === "BUS-UNROUTABLE" ? "ack" : "requeue";
    }
  };

  const late = (taken: boolean, { type, correlationId }: Incoming): Verdict => {
    if (!taken) log.debug({ type, correlationId }, "an answer came that nobody waits for any more");
    return "ack";
  };

  await bus.declareQueue(ORCHESTRATOR_QUEUE);
  const consumer: Consumer = await bus.consume(ORCHESTRATOR_QUEUE, handle, { prefetch: PREFETCH });
  coordinator
    .recover()
    .catch((error: unknown) =>
      log.error({ error }, "interrupted jobs could not be looked for; each is ended when it is asked for"),
    );
  return {
    coordinator,
    catalogue,
    jobs,
    async close() {
      // Jobs end while answers still come in; then nothing is taken any more.
      await coordinator.close();
      enforcer.close();
      await consumer.stop();
      await revocations.close();
      await catalogue.close();
    },
  };
}
