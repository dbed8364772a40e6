import { timingSafeEqual } from "node:crypto";
import fastify, { type FastifyInstance } from "fastify";
import { InfraError, type Problem } from "../problem.js";
import type { Supervisor } from "./supervisor.js";

/** What the supervisor answers when it cannot do what was asked. */
export interface ProblemAnswer {
  readonly problems: readonly Problem[];
}

/** Specifications may carry whole definition files. */
const bodyLimit = 16 * 1024 * 1024;

/**
 * The supervisor's interface over HTTP; see docs/architecture.md. Every call needs the bearer token: other users of the machine reach the
 * port too.
 */
export function supervisorApi(
  supervisor: Supervisor,
  token: string,
  onShutdown: (forget: boolean) => Promise<void>,
): FastifyInstance {
  const app = fastify({ bodyLimit, forceCloseConnections: true });
  app.addHook("onRequest", async (request, reply) => {
    if (!sameText(request.headers.authorization ?? "", `Bearer ${token}`)) {
      await reply.code(401).send(
        answer({
          code: "LOC-TOKEN",
          message: "wrong or missing token",
          remedy: "read supervisor.json again",
        }),
      );
    }
  });
  app.setErrorHandler(async (error, _request, reply) => {
    if (error instanceof InfraError)
      return await reply
        .code(statusCode(error.code))
        .send({ problems: error.problems } satisfies ProblemAnswer);
    const message = error instanceof Error ? error.message : String(error);
    const status = (error as { statusCode?: number }).statusCode;
    if (status !== undefined && status < 500)
      return await reply.code(status).send(answer({ code: "LOC-REQUEST", message }));
    process.stderr.write(`${error instanceof Error ? error.stack : message}\n`);
    return await reply
      .code(500)
      .send(answer({ code: "LOC-INTERNAL", message, remedy: "see supervisor.log" }));
  });
  app.setNotFoundHandler(async (request, reply) => {
    await reply
      .code(404)
      .send(answer({ code: "LOC-REQUEST", message: `no such call: ${request.method} ${request.url}` }));
  });

  app.get("/", () => ({ pid: process.pid }));
  app.get("/services", () => supervisor.list());
  app.get<{ Params: { name: string } }>("/services/:name", async ({ params }) => supervisor.get(params.name));
  app.put<{ Params: { name: string }; Body: unknown }>("/services/:name", async ({ params, body }) => {
    const named = (body as { name?: unknown } | null)?.name;
    if (named !== params.name) {
      throw new InfraError({
        code: "LOC-REQUEST",
        message: `the path names ${params.name}, the specification ${String(named)}`,
      });
    }
    return await supervisor.put(body);
  });
  app.delete<{ Params: { name: string } }>("/services/:name", async ({ params }, reply) => {
    await supervisor.remove(params.name);
    await reply.code(204).send();
  });
  app.post<{ Params: { name: string } }>("/services/:name/stop", ({ params }) =>
    supervisor.stop(params.name),
  );
  app.post<{ Params: { name: string } }>("/services/:name/start", ({ params }) =>
    supervisor.start(params.name),
  );
  app.post<{ Params: { node: string } }>("/nodes/:node/stop", ({ params }) =>
    supervisor.stopNode(params.node),
  );
  app.post<{ Params: { node: string } }>("/nodes/:node/start", ({ params }) =>
    supervisor.startNode(params.node),
  );
  app.post<{ Querystring: { forget?: string } }>("/shutdown", async ({ query }, reply) => {
    await onShutdown(query.forget === "true");
    await reply.code(204).send();
  });
  return app;
}

function answer(problem: Problem): ProblemAnswer {
  return { problems: [problem] };
}

function statusCode(code: string): number {
  if (code.endsWith("-UNKNOWN") && code !== "LOC-NEED-UNKNOWN") return 404;
  if (code === "LOC-SUPERVISOR-DOWN") return 503;
  return ["LOC-SPEC", "LOC-TEMPLATE", "LOC-CYCLE", "LOC-REQUEST"].includes(code) ? 400 : 409;
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
