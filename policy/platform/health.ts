import type { Socket } from "node:net";
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from "fastify";
import type { Registry } from "prom-client";
import { CodedError, type Problem } from "../contract/problem.js";
import type { Logger } from "./log.js";

export interface HttpOptions {
  readonly log: Logger;
  /** Greatest body of a request in bytes. Default 1 MiB. */
  readonly bodyLimit?: number;
  /** Greatest headers of a request in bytes. Default: Node's, 16 KiB. */
  readonly headerLimit?: number;
  /** Prefix of the codes for requests that HTTP itself refuses, e.g. `GW` gives `GW-JSON`. Default `HTTP`. */
  readonly codes?: string;
  /** Whether the service does its work at this moment; a string says why not. Default: always. */
  readonly ready?: () => true | string;
  /** Shown at `GET /metrics`. */
  readonly metrics?: Registry;
  /** HTTP status of a coded error where {@link statusOf} does not know better. */
  readonly status?: (problem: Problem) => number | undefined;
}

/** The body of every answer that is a breakdown or bad input. */
export interface FailedBody extends Problem {
  readonly status: "failed";
}

const ONE_MIB = 1024 * 1024;

/**
 * A service's HTTP side: `GET /healthz` (200 when ready, else 503), `GET /metrics` where asked, and coded bodies for all errors.
 * Handlers throw {@link CodedError}; anything else is a fault of ours: logged, and answered 500 without its inside.
 */
export function createHttp(options: HttpOptions): FastifyInstance {
  const { log, codes = "HTTP", ready = () => true as const } = options;
  const app = Fastify({
    bodyLimit: options.bodyLimit ?? ONE_MIB,
    forceCloseConnections: true,
    ...(options.headerLimit === undefined ? {} : { http: { maxHeaderSize: options.headerLimit } }),
    // Names of jobs may be as long as this.
    routerOptions: { maxParamLength: 128 },
    exposeHeadRoutes: false,
    clientErrorHandler: (error, socket) => answerNoRequest(error, socket, codes),
    // A path that cannot be decoded, say: found before any route or error handler is.
    frameworkErrors: (error, _request, reply: FastifyReply) => {
      const remedy = "correct the request";
      void reply.code(400).send(failed({ code: `${codes}-REQUEST`, message: error.message, remedy }));
    },
  });

  app.get("/healthz", (_request, reply) => {
    const state = ready();
    if (state === true) return reply.send({ status: "ok" });
    return reply
      .code(503)
      .send(failed({ code: `${codes}-NOT-READY`, message: state, remedy: "wait a moment" }));
  });
  const { metrics } = options;
  if (metrics !== undefined) {
    app.get("/metrics", async (_request, reply) =>
      reply.type(metrics.contentType).send(await metrics.metrics()),
    );
  }

  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send(
      failed({
        code: `${codes}-NOT-FOUND`,
        path: request.url,
        message: `no ${request.method} ${request.url} here`,
        remedy: "see docs/architecture.md for the routes",
      }),
    ),
  );
  app.setErrorHandler((error: FastifyError | Error, request, reply) => {
    if (error instanceof CodedError) {
      const problem = error.toProblem();
      return reply.code(options.status?.(problem) ?? statusOf(problem)).send(failed(problem));
    }
    const status = (error as FastifyError).statusCode;
    if (status !== undefined && status >= 400 && status < 500) {
      return reply.code(status).send(
        failed({
          code: `${codes}-${INPUT_FAULTS[status] ?? "REQUEST"}`,
          message: error.message,
          remedy: "correct the request",
        }),
      );
    }
    log.error({ error, method: request.method, url: request.url }, "a request failed unexpectedly");
    return reply.code(500).send(
      failed({
        code: "UNEXPECTED",
        message: "an unexpected fault in this service",
        remedy: "look at its log",
      }),
    );
  });
  return app;
}

/** Headers too large, a line that is no HTTP: found before there is a request that any handler could answer. */
function answerNoRequest({ code }: { readonly code?: string }, socket: Socket, codes: string): void {
  if (code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const [status, message] =
    code === "HPE_HEADER_OVERFLOW"
      ? (["431 Request Header Fields Too Large", "the headers are too large"] as const)
      : code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? (["408 Request Timeout", "the request did not come to its end in time"] as const)
        : (["400 Bad Request", "this is no HTTP request"] as const);
  const body = JSON.stringify(failed({ code: `${codes}-REQUEST`, message, remedy: "correct the request" }));
  const head = `content-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close`;
  socket.end(`HTTP/1.1 ${status}\r\n${head}\r\n\r\n${body}`);
  // What the client still sends is thrown away, or it would never read the answer; but not for ever.
  socket.resume();
  setTimeout(() => socket.destroy(), 1_000).unref();
}

const INPUT_FAULTS: Readonly<Record<number, string>> = { 400: "JSON", 413: "TOO-LARGE", 415: "MEDIA-TYPE" };

/** HTTP status of a coded error: late answers 504, broker and store 503, conflicts 409, things that are not there 404, else bad input 400. */
export function statusOf(problem: Problem): number {
  const { code } = problem;
  if (code.endsWith("-NO-ANSWER") || code.endsWith("-TIMEOUT")) return 504;
  if (code.endsWith("-CONFLICT")) return 409;
  if (code.endsWith("-NOT-FOUND")) return 404;
  if (code.endsWith("-NOT-ALLOWED")) return 401;
  if (/^(BUS|STO)-/.test(code)) return 503;
  return 400;
}

/** A problem as an answer's body. */
export function failed(problem: Problem): FailedBody {
  return { status: "failed", ...problem };
}
export { runService, type ServiceContext } from "./service.js";
