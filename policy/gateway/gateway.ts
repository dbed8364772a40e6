import type { FastifyInstance } from "fastify";
import type { JobRecord, OnlineAgent, RequestType } from "../contract/documents.js";
import type { JobEnd } from "../contract/job.js";
import { KEY } from "../contract/names.js";
import { JobLog } from "../jobs/job-log.js";
import { RequestDataChecker } from "../jobs/request-data.js";
import type { Bus } from "../platform/bus.js";
import type { Logger } from "../platform/log.js";
import type { Store } from "../platform/store.js";
import type { Users } from "../users/verifier.js";
import { Conversation } from "./conversation.js";
import { createRoutes } from "./routes.js";
import type { Limits } from "./until-end.js";

export interface GatewayOptions {
  readonly bus: Bus;
  readonly store: Store;
  readonly log: Logger;
  /** Tells whose token a call bears. */
  readonly users: Users;
  /** Milliseconds for an approval. Default 10 s. */
  readonly approvalDeadline?: number;
  /** How long a call waits for its job. Default 120 s without an event, an hour in all. */
  readonly limits?: Limits;
}

export interface Gateway {
  readonly http: FastifyInstance;
  readonly conversation: Conversation;
  close(): Promise<void>;
}

/** Starts the gateway; its HTTP side is ready to listen. */
export async function startGateway({
  bus,
  store,
  log,
  users,
  approvalDeadline,
  limits,
}: GatewayOptions): Promise<Gateway> {
  const [online, requestTypes] = await Promise.all([
    store.mirror<OnlineAgent>(KEY.onlinePrefix),
    store.mirror<RequestType>(KEY.requestTypePrefix),
  ]);
  const conversation = await Conversation.open({
    bus,
    log,
    ...(approvalDeadline === undefined ? {} : { approvalDeadline }),
  });
  const http = createRoutes({
    conversation,
    log,
    users,
    checker: new RequestDataChecker(),
    requestType: (name) => requestTypes.get(KEY.requestType(name)),
    agents: () => online.all().map((entry) => entry.value),
    archived: async (jobId) => {
      const job = await archivedJob(store, jobId);
      // One that runs is listed, so that its further reports find it.
      return job?.log.status === "running" ? conversation.adopt(job.log, job.user) : job;
    },
    ready: () => bus.up || "the message broker is away",
    ...(limits === undefined ? {} : { limits }),
  });
  return {
    http,
    conversation,
    async close() {
      await conversation.close();
      await http.close();
      await Promise.all([online.close(), requestTypes.close()]);
    },
  };
}

/** A job as the store knows it: approved, running, or ended (without its result). */
async function archivedJob(
  store: Store,
  jobId: string,
): Promise<{ readonly log: JobLog; readonly user: string } | undefined> {
  if (!/^[0-9a-f]{32}$/.test(jobId)) return undefined;
  const now = { patience: 0 };
  const [record, end, first] = await Promise.all([
    store.get<JobRecord>(KEY.job(jobId), now),
    store.get<JobEnd>(KEY.jobEnd(jobId), now),
    store.get(KEY.round(jobId, 1), now),
  ]);
  if (record === undefined) return undefined;
  const { user, requestType, archetype, dataProviders, computeProviders } = record.value;
  const log = new JobLog({ jobId, requestType, archetype, dataProviders, computeProviders });
  if (first !== undefined || end !== undefined) log.begin();
  if (end !== undefined) log.add({ name: "end", data: end.value });
  return { log, user };
}
