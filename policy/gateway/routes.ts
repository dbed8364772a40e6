import type { FastifyError, FastifyInstance, FastifyReply } from "fastify";
import type { OnlineAgent, RequestType } from "../contract/documents.js";
import { CodedError, type Problem } from "../contract/problem.js";
import { type RequestBody, validateRequestBody } from "../contract/schemas.js";
import { streamJob } from "../jobs/event-stream.js";
import type { JobLog } from "../jobs/job-log.js";
import type { RequestDataChecker } from "../jobs/request-data.js";
import { createHttp, failed } from "../platform/health.js";
import type { Logger } from "../platform/log.js";
import type { Entry } from "../platform/mirror.js";
import { onlyUsers, principalIn } from "../users/hook.js";
import type { Principal } from "../users/principal.js";
import { maySeeJob, requesterOf, userStatusOf } from "../users/rights.js";
import type { Users } from "../users/verifier.js";
import { approvedBody, endAnswer, httpStatusOf, refusalOf } from "./answers.js";
import type { Conversation, UserRequest } from "./conversation.js";
import { isTooDeep, MOST_LEVELS } from "./depth.js";
import { drained } from "./drained.js";
import { type Limits, untilEnd } from "./until-end.js";

export interface RouteOptions {
  readonly conversation: Conversation;
  readonly log: Logger;
  readonly users: Users;
  readonly checker: RequestDataChecker;
  readonly requestType: (name: string) => Entry<RequestType> | undefined;
  readonly agents: () => readonly OnlineAgent[];
  /** A job as the store knows it. */
  readonly archived: (jobId: string) => Promise<KnownJob | undefined>;
  readonly ready: () => true | string;
  readonly limits?: Limits;
}

/** A job's story and whose it is. */
interface KnownJob {
  readonly log: JobLog;
  readonly user?: string;
}

/** Greatest body in bytes. */
export const BODY_LIMIT = 1_000_000;
const DEFAULT_LIMITS: Limits = { idle: 120_000, hard: 60 * 60_000 };
const EVENTS = ["round", "revoked", "end"] as const;

/** A body with all that is wrong with it. */
class InvalidRequestError extends CodedError {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const [first] = problems;
    super({
      code: "GW-INVALID",
      path: first?.path ?? "",
      message: problems.map((p) => `${p.path || "(body)"} ${p.message}`).join("; "),
      remedy: first?.remedy ?? "correct the request",
    });
    this.problems = problems;
  }
}

/** The users' side: approvals, data requests and jobs over HTTP. Everything but `/healthz` needs an access token. */
export function createRoutes(options: RouteOptions): FastifyInstance {
  const { log, agents } = options;
  const app = createHttp({
    log,
    codes: "GW",
    bodyLimit: BODY_LIMIT,
    ready: options.ready,
    status: gatewayStatus,
  });
  app.register(async (scope) => {
    const outer = scope.errorHandler;
    scope.setErrorHandler(async (error: FastifyError | Error, request, reply) => {
      if (error instanceof InvalidRequestError)
        return reply.code(400).send({ ...failed(error.toProblem()), problems: error.problems });
      const problem = error instanceof CodedError ? undefined : inputProblem(error as FastifyError);
      if (problem !== undefined) {
        const { statusCode = 400 } = error as FastifyError;
        if (statusCode === 413) await drained(request.raw);
        return reply.code(statusCode).send(failed(problem));
      }
      return outer.call(scope, error as FastifyError, request, reply);
    });
    onlyUsers(scope, options.users);
    requestRoute(scope, options);
    jobRoutes(scope, options);
    scope.get("/api/v1/getAvailableProviders", () =>
      Object.fromEntries(agents().map((agent) => [agent.name, agent])),
    );
  });
  return app;
}

function requestRoute(app: FastifyInstance, options: RouteOptions): void {
  const { conversation, limits = DEFAULT_LIMITS } = options;

  app.post("/api/v1/requestApproval", async (request, reply) => {
    const body = checked(request.body, principalIn(request), options);
    const signal = whileConnected(reply);
    const approval = await conversation.approve(body, signal);
    const refusal = refusalOf(approval);
    if (refusal !== undefined) return reply.code(refusal.status).send(refusal.body);
    if (body.data_request === undefined) return approvedBody(approval);

    const { job, sent } = conversation.send(body, approval);
    const location = `/api/v1/jobs/${approval.jobId}`;
    if (/(^|[\s,;])respond-async\b/i.test(String(request.headers.prefer ?? ""))) {
      await sent;
      return reply
        .code(202)
        .headers({ location, "preference-applied": "respond-async" })
        .send(approvedBody(approval));
    }
    const unsent = new AbortController();
    sent.catch((error: unknown) => unsent.abort(error));
    const end = await untilEnd(job.log, limits, AbortSignal.any([signal, unsent.signal]));
    const answer = endAnswer(approval, end);
    return reply.code(answer.status).header("location", location).send(answer.body);
  });
}

function jobRoutes(app: FastifyInstance, { conversation, archived }: RouteOptions): void {
  const jobOf = async (id: string, principal: Principal) => {
    const known: KnownJob | undefined = conversation.jobs.get(id);
    const stored = known?.user === undefined ? await archived(id) : undefined;
    const owner = known?.user ?? stored?.user;
    // Another's job is as one that is not there: its id tells nothing.
    const log = owner !== undefined && maySeeJob(principal, owner) ? (known ?? stored)?.log : undefined;
    if (log !== undefined && owner !== undefined) return { log, owner };
    throw new CodedError({
      code: "GW-JOB-NOT-FOUND",
      path: id,
      message: `you have no job ${id}`,
      remedy: "use the jobId that the request was answered with, and the same user's token",
    });
  };

  app.get<{ Params: { id: string } }>("/api/v1/jobs/:id", async (request) =>
    (await jobOf(request.params.id, principalIn(request))).log.snapshot(),
  );

  // The end comes as every other: in the job's events, and to who waits for its answer.
  app.delete<{ Params: { id: string } }>("/api/v1/jobs/:id", async (request, reply) => {
    const { id } = request.params;
    const { log, owner } = await jobOf(id, principalIn(request));
    if (log.end === undefined) await conversation.cancel(id, owner);
    return reply.code(log.end === undefined ? 202 : 200).send({ ...log.snapshot(), reports: [] });
  });

  app.get<{ Params: { id: string } }>("/api/v1/jobs/:id/events", async (request, reply) => {
    streamJob(request, reply, (await jobOf(request.params.id, principalIn(request))).log, EVENTS);
  });
}

/**
 * The body, found good: by its own shape, its user by the token, and its data by the request type's schema, where that type is known here.
 */
function checked(value: unknown, principal: Principal, { checker, requestType }: RouteOptions): UserRequest {
  if (isTooDeep(value)) {
    throw new InvalidRequestError([
      {
        code: "GW-INVALID",
        path: "",
        message: `is nested more than ${MOST_LEVELS} levels deep`,
        remedy: "send flatter data",
      },
    ]);
  }
  const problems = validateRequestBody(value);
  if (problems.length > 0) throw new InvalidRequestError(problems);
  const body = value as RequestBody;
  const user = requesterOf(principal, body.user);
  const type = requestType(body.type);
  if (body.data_request !== undefined && type !== undefined) {
    const wrong = checker.check(type, body.data_request.data ?? {});
    if (wrong.length > 0) throw new InvalidRequestError(wrong);
  }
  return { ...body, user };
}

/** Aborts when the client goes before it has its answer. */
function whileConnected(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished)
      gone.abort(new CodedError({ code: "GW-CLIENT-GONE", message: "the client has gone" }));
  });
  return gone.signal;
}

/** What is wrong with a request that did not even become one; `undefined`: something else is. */
function inputProblem({ statusCode, message }: FastifyError): Problem | undefined {
  if (statusCode === 413)
    return {
      code: "GW-BODY-TOO-LARGE",
      message: `the body has more than ${BODY_LIMIT} bytes`,
      remedy: "send less data in the request",
    };
  if (statusCode === 400)
    return { code: "GW-MALFORMED", message, remedy: "send a JSON object with content-type application/json" };
  return undefined;
}

function gatewayStatus(problem: Problem): number | undefined {
  if (problem.code.endsWith("-NOT-FOUND")) return 404;
  return userStatusOf(problem.code) ?? httpStatusOf(problem);
}
