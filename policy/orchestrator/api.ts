import type { FastifyInstance } from "fastify";
import type { OnlineAgent } from "../contract/documents.js";
import { CodedError, type Problem } from "../contract/problem.js";
import { streamJob } from "../jobs/event-stream.js";
import type { JobTable } from "../jobs/job-log.js";
import { createHttp, failed } from "../platform/health.js";
import type { Store } from "../platform/store.js";
import { userStatusOf } from "../users/rights.js";
import { type AccessOptions, guard } from "./access.js";
import { auditRoutes } from "./audit-api.js";
import { documentRoutes, InvalidDocumentError } from "./documents-api.js";
import { historyRoutes } from "./history-api.js";
import type { Job } from "./job-archive.js";

export interface ApiOptions extends AccessOptions {
  readonly store: Store;
  /** Jobs in memory. */
  readonly jobs: JobTable<Job>;
  /** A job in memory or in the store. */
  readonly find: (jobId: string) => Promise<Job | undefined>;
  /** Ends a job at the operator's word. */
  readonly cancel: (jobId: string) => Promise<Job | undefined>;
  /** Agents online, by name. */
  readonly agents: () => readonly OnlineAgent[];
  readonly ready: () => true | string;
}

/** Ended jobs shown in the list of jobs. */
const ENDED_SHOWN = 50;
const EVENTS = ["round-open", "round", "revoked", "end"] as const;

type WithId = { Params: { id: string } };

/** The operator's and the stewards' side of the orchestrator: documents, jobs and agents. Everything but `/healthz` needs a bearer token. */
export function createApi(options: ApiOptions): FastifyInstance {
  const { log, store, find, agents } = options;
  const app = createHttp({ log, codes: "ORC", ready: options.ready, status: statusFor });
  guard(app, options);

  app.register(async (scope) => {
    // All problems of a document, not only the first.
    const outer = scope.errorHandler;
    scope.setErrorHandler((error, request, reply) => {
      if (error instanceof InvalidDocumentError) {
        return reply.code(400).send({ ...failed(error.toProblem()), problems: error.problems });
      }
      return outer.call(scope, error as Parameters<typeof outer>[0], request, reply);
    });
    documentRoutes(scope, store);
    historyRoutes(scope, store);
  });

  auditRoutes(app, store);

  app.get("/api/v1/agents", () => ({ agents: agents() }));

  app.get("/api/v1/jobs", () => {
    const shown = options.jobs.all().filter((job) => job.log.status !== "approved");
    const running = shown.filter((job) => job.log.status === "running");
    const ended = shown.filter((job) => job.log.status !== "running").slice(-ENDED_SHOWN);
    return {
      jobs: [...running, ...ended].map((job) => ({
        ...job.log.snapshot(),
        reports: [],
        user: job.record.user,
      })),
    };
  });

  app.get<WithId>("/api/v1/jobs/:id", async (request) => (await jobOf(request.params.id)).log.snapshot());

  app.delete<WithId>("/api/v1/jobs/:id", async (request, reply) => {
    const job = (await options.cancel(request.params.id)) ?? (await jobOf(request.params.id));
    return reply.code(202).send({ ...job.log.snapshot(), reports: [] });
  });

  app.get<WithId>("/api/v1/jobs/:id/events", async (request, reply) => {
    streamJob(request, reply, (await jobOf(request.params.id)).log, EVENTS);
  });

  const jobOf = async (id: string): Promise<Job> => {
    const job = await find(id);
    if (job !== undefined) return job;
    throw new CodedError({
      code: "ORC-JOB-NOT-FOUND",
      path: id,
      message: `there is no job ${id}`,
      remedy: "use the jobId that an approval answered",
    });
  };
  return app;
}

function statusFor({ code }: Problem): number | undefined {
  // RFC 9110, 13.1: a condition that does not hold; RFC 6585, 3: one that must be given.
  if (code === "STO-CONFLICT") return 412;
  return code === "ORC-REVISION-MISSING" ? 428 : userStatusOf(code);
}
