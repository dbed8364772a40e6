import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import type { AgentKey } from "../contract/agent-key.js";
import { type DataAccess, dataAccess } from "../contract/data-access.js";
import type {
  Archetype,
  Dataset,
  Microservice,
  OnlineAgent,
  Relation,
  RequestType,
} from "../contract/documents.js";
import type { GrantClaims } from "../contract/grants.js";
import { agentQueue, KEY, MESSAGE } from "../contract/names.js";
import { CodedError } from "../contract/problem.js";
import { Bus } from "../platform/bus.js";
import { baseConfig, busOptions, readConfig, secretFile, storeOptions } from "../platform/config.js";
import { GrantVerifier } from "../platform/grants.js";
import { createHttp, runService } from "../platform/health.js";
import type { Logger } from "../platform/log.js";
import { Pending } from "../platform/pending.js";
import { Store } from "../platform/store.js";
import { AGENT_PREFETCH, Agent } from "./agent.js";
import { type Answers, settleBytes } from "./answer.js";
import { addAnswersRoute } from "./answers-route.js";
import { GrantKeysFile } from "./grant-keys.js";
import { HandOvers } from "./hand-over.js";
import { Jobs } from "./jobs.js";
import { folder, jobRunner, openRunner } from "./open-runner.js";
import { OwnAgreement } from "./own-agreement.js";
import { Plans } from "./plans.js";
import { stopsAtOnce } from "./revocation.js";
import { Senders } from "./sender.js";

/** Bytes of a call's headers: a grant, which names all parties of its round, comes in one. */
const HEADER_LIMIT = 96 * 1024;
/** Seconds after which the store forgets an agent that died. */
const PRESENCE_SECONDS = 5;

const schema = z.object({
  ...baseConfig,
  /** The party, as agreements name it. */
  AGENT_NAME: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9-]{0,62}$/, "letters, digits and -, beginning with a letter"),
  /** Its key follows from this; the public half is in the store, put there by who deploys it. */
  AGENT_KEY_FILE: secretFile,
  /** What the agent writes: its microservices' working folders, and the keys that they verify grants by. */
  WORK_FOLDER: folder,
  /** The broker's user of the microservices. Absent: the agent's own. */
  JOBS_AMQP_USER: z.string().min(1).optional(),
  /** A path, not read here. */
  JOBS_AMQP_PASSWORD_FILE: folder.optional(),
  /** Where microservices run: as processes of this machine, or as pods of a cluster. */
  JOB_RUNNER: jobRunner,
  /** `host:port` by which others reach this agent, where it is not what it listens on. */
  HTTP_ADVERTISE: z
    .string()
    .regex(/^[^\s/]+:\d+$/, "must be host:port")
    .optional(),
  /**
   * Limit of one step, a start before it included. Below the orchestrator's (30 s unless said otherwise), which would else hear nothing,
   * and below the broker's 30 minutes, after which it takes an unanswered message back.
   */
  STEP_SECONDS: z.coerce.number().positive().max(1_500).default(25),
  /** Limit of a microservice's start. */
  START_SECONDS: z.coerce.number().positive().default(20),
  /** How steps reach a microservice: straight from its agent, or by its job's queue. */
  STEP_CHANNEL: z.enum(["direct", "queue"]).default("direct"),
  /** The one guard against jobs that nobody ends. */
  LIFESPAN_MINUTES: z.coerce.number().positive().max(30_000).default(200),
});
type Config = z.infer<typeof schema>;

/** A party's agent: works for the jobs its party takes part in, by microservices. */
runService(process.env.SERVICE_NAME ?? "agent", ({ log }) => start(readConfig(schema), log));

async function start(config: Config, log: Logger): Promise<{ close(): Promise<void> }> {
  const agent = config.AGENT_NAME;
  const queue = agentQueue(agent);
  const [bus, store] = await Promise.all([
    Bus.connect(busOptions(config)),
    Store.connect({ ...storeOptions(config), log }),
  ]);
  mkdirSync(config.WORK_FOLDER, { recursive: true, mode: 0o700 });
  const grantKeys = new GrantKeysFile(config.WORK_FOLDER);
  const [own, grants, agents, keys, requestTypes, microservices, dataSets, archetypes] = await Promise.all([
    OwnAgreement.open(store, agent, log),
    GrantVerifier.open(store, (known) => grantKeys.write(known)),
    store.mirror<OnlineAgent>(KEY.onlinePrefix),
    store.mirror<AgentKey>(KEY.agentKeyPrefix),
    store.mirror<RequestType>(KEY.requestTypePrefix),
    store.mirror<Microservice>(KEY.microservicePrefix),
    store.mirror<Dataset>(KEY.datasetPrefix),
    store.mirror<Archetype>(KEY.archetypePrefix),
  ]);
  const answers: Answers = new Pending("the microservice's answer", "JOB-TIMEOUT");
  const runner = await openRunner(config.JOB_RUNNER, {
    agent,
    grantKeysFile: grantKeys.path,
    workFolder: config.WORK_FOLDER,
    amqp: amqpEnvironment(config),
    log,
    ...(config.STEP_CHANNEL === "direct"
      ? { onAnswer: (id: string, body: Uint8Array) => settleBytes(answers, id, body) }
      : {}),
  });
  const dataSetDocuments = (): readonly Dataset[] => Array.from(dataSets.all(), ({ value }) => value);
  const plans = new Plans(requestTypes, microservices, archetypes);
  const jobs = new Jobs({
    agent,
    bus,
    store,
    own,
    grants,
    runner,
    workFolder: config.WORK_FOLDER,
    lifespanMs: config.LIFESPAN_MINUTES * 60_000,
    revoked: (claims) =>
      stopsAtOnce(
        agent,
        claims,
        own.since(claims.token),
        plans.requestType(claims.requestType),
        dataSetDocuments(),
        Date.now(),
      ),
    log,
    microservice: {
      runner,
      answers,
      log,
      returnAddress: queue,
      startMs: config.START_SECONDS * 1_000,
      stepMs: config.STEP_SECONDS * 1_000,
      send: (to, correlationId, body) =>
        bus.publish(to, MESSAGE.microserviceCommunication, body, { correlationId }),
    },
  });
  await jobs.removeStale();
  own.onChange(() => jobs.stopRevoked());
  const senders = new Senders(agent, config.AGENT_KEY_FILE, keys);
  const handOvers = new HandOvers(agent, agents, senders);
  const stepMs = config.STEP_SECONDS * 1_000;
  const relationOf = (granted: GrantClaims): Relation | undefined => {
    const { relations = {} } = own.at(granted.token) ?? {};
    return Object.hasOwn(relations, granted.sub) ? relations[granted.sub] : undefined;
  };
  const access = (granted: GrantClaims): DataAccess =>
    dataAccess(granted, dataSetDocuments(), relationOf(granted));
  // A grant without a rule here was given on an agreement that is gone: the round that is open may end.
  const allowsPersistence = (granted: GrantClaims): boolean =>
    (relationOf(granted) ?? { persistence: "job" }).persistence === "job";
  const handler = new Agent({
    ...{ agent, queue, bus, jobs, answers, plans, handOvers, access, allowsPersistence, stepMs, log },
  });
  // Before the queue: whoever gets a ticket with us may hand something over at once.
  let consuming = false;
  const isConsuming = (): boolean => consuming;
  const http = await listen(config, bus, isConsuming, log, (server) =>
    addAnswersRoute(server, { agent, jobs, grants, plans, senders }),
  );
  const consumer = await bus.consume(queue, (incoming) => handler.handle(incoming), {
    prefetch: AGENT_PREFETCH,
  });
  consuming = true;
  const presence = await store.presence(KEY.online(agent), online(config, http), PRESENCE_SECONDS);

  return {
    async close() {
      await presence.close();
      await http.close();
      // First the jobs: what is at work then ends with an answer, and the consumer waits for that.
      await jobs.close();
      await consumer.stop();
      await runner.close();
      await handOvers.close();
      await bus.close();
      await store.close();
    },
  };
}

/** How microservices connect to the broker: as their party's microservices, where there is such a user. */
function amqpEnvironment(config: Config): Readonly<Record<string, string>> {
  const { AMQP_HOST, AMQP_PORT, AMQP_USER, JOBS_AMQP_USER, JOBS_AMQP_PASSWORD_FILE } = config;
  const own = JOBS_AMQP_USER === undefined;
  return {
    AMQP_HOST,
    AMQP_PORT: String(AMQP_PORT),
    AMQP_USER: own ? AMQP_USER : JOBS_AMQP_USER,
    AMQP_PASSWORD_FILE: own ? resolve(process.env.AMQP_PASSWORD_FILE ?? "") : (JOBS_AMQP_PASSWORD_FILE ?? ""),
  };
}

async function listen(
  config: Config,
  bus: Bus,
  isConsuming: () => boolean,
  log: Logger,
  addRoutes: (http: FastifyInstance) => void,
): Promise<FastifyInstance> {
  const ready = (): true | string =>
    bus.up ? isConsuming() || "not listening to its queue yet" : "no connection to the message broker";
  const http = createHttp({ log, codes: "AGT", ready, status: statusOf, headerLimit: HEADER_LIMIT });
  http.post("/agent/v1/:requestType/:agent", () => {
    throw new CodedError({
      code: "AGT-HTTP",
      message: "this agent takes work from its queue only, with a grant and a round's token",
      remedy: "send the request to the API gateway (docs/architecture.md, A request)",
    });
  });
  addRoutes(http);
  await http.listen({ host: config.HTTP_HOST, port: config.HTTP_PORT });
  return http;
}

/** A message that cannot be read is its sender's fault here: no broker is between. */
const STATUS: Readonly<Record<string, number>> = {
  "AGT-HTTP": 501,
  "AGT-JOB-UNKNOWN": 404,
  "AGT-FILE-TOO-LARGE": 413,
  "BUS-MALFORMED": 400,
};

function statusOf({ code }: { readonly code: string }): number | undefined {
  return /^AGT-(GRANT|SENDER)/.test(code) ? 401 : STATUS[code];
}

function online(config: Config, http: FastifyInstance): OnlineAgent {
  const now = new Date().toISOString();
  const address = http.server.address();
  const port = typeof address === "object" && address !== null ? address.port : config.HTTP_PORT;
  return {
    name: config.AGENT_NAME,
    ActiveSince: now,
    ConfigUpdated: now,
    routingKey: agentQueue(config.AGENT_NAME),
    dns: config.HTTP_ADVERTISE ?? `${config.HTTP_HOST}:${port}`,
  };
}
