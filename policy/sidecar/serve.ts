import { MESSAGE } from "../contract/names.js";
import { CodedError } from "../contract/problem.js";
import { Bus, type Incoming, type Verdict } from "../platform/bus.js";
import { busOptions } from "../platform/config.js";
import { createLogger, type Logger, problemOf } from "../platform/log.js";
import { readEnvironment } from "./environment.js";
import { GrantCheck } from "./grant-check.js";
import { Ledger } from "./ledger.js";
import { Microservice, type Reply } from "./microservice.js";
import { endWithParent, listenToParent } from "./parent.js";
import type { Handler } from "./step.js";

/** A broker that is away for longer leaves the message to be handed out again. */
const PATIENCE_MS = 30_000;
/** Messages taken at once. Steps wait for each other; a `ping` need not. */
const PREFETCH = 16;

/**
 * Makes this process a microservice: one handler for each step of a workflow that names it.
 *
 * It listens on its job's queue and, where an agent of the same machine started it, on the channel to that agent. It answers each step once
 * (a message handed out twice gets the first answer again), and ends when its agent says so or is gone. Configured by the environment its
 * agent sets (docs/architecture.md). A process that cannot start says why in one coded line and ends with exit code 1.
 *
 * @example
 * ```ts
 * import { serve } from "dynamos-fabric/microservice";
 *
 * serve({ count: ({ parts }) => ({ data: { parties: Object.keys(parts).length } }) });
 * ```
 */
export function serve<Request extends object = Readonly<Record<string, unknown>>>(
  handlers: Readonly<Record<string, Handler<Request>>>,
): void {
  endWithParent();
  const log = createLogger(process.env.SERVICE_NAME ?? "microservice");
  start(handlers as Readonly<Record<string, Handler>>, log).catch((error: unknown) => {
    log.fatal({ error }, `cannot start: ${problemOf(error).message}`);
    process.exit(1);
  });
}

async function start(handlers: Readonly<Record<string, Handler>>, log: Logger): Promise<void> {
  const config = readEnvironment();
  const identity = {
    job: config.JOB_NAME,
    steward: config.DATA_STEWARD_NAME,
    dataFolder: config.DATA_FOLDER,
  };
  const bus = await Bus.connect(busOptions(config));
  const grants = new GrantCheck(identity, {
    keysFile: config.GRANT_KEYS_FILE,
    roundSeconds: config.ROUND_SECONDS,
  });
  const microservice = new Microservice(new Ledger(handlers), identity, grants, log);
  listenToParent(microservice, log);
  await bus.consume(config.JOB_QUEUE, (incoming) => handle(microservice, bus, incoming, log), {
    prefetch: PREFETCH,
    queue: "existing",
  });
}

async function handle(
  microservice: Microservice,
  bus: Bus,
  incoming: Incoming,
  log: Logger,
): Promise<Verdict> {
  const reply = await microservice.answer(incoming.body);
  const verdict = await send(bus, reply, incoming.correlationId ?? reply.correlationId, log);
  if (reply.last && verdict === "ack") setImmediate(() => void bus.close().then(() => process.exit(0)));
  return verdict;
}

async function send(
  bus: Bus,
  { address, body }: Reply,
  correlationId: string,
  log: Logger,
): Promise<Verdict> {
  try {
    await bus.publish(address, MESSAGE.microserviceCommunication, body, {
      correlationId,
      patience: PATIENCE_MS,
    });
    return "ack";
  } catch (error) {
    // The asker's queue is gone, or no answer was wanted: nothing more to do. Else the ledger answers again when the broker is back.
    const gone = error instanceof CodedError && error.code === "BUS-UNROUTABLE";
    log[gone ? "warn" : "error"]({ error, correlationId }, "an answer could not be sent");
    return gone ? "ack" : "requeue";
  }
}
