/** Answers as the orchestrator forms them: envelope, headers, keys sorted, four spaces. Source: cors_response.py. */
import type { FastifyReply } from "fastify";
import { ApiError, errorBody, FrontError } from "./api-error.js";

/** A success: `{data, size, status, type}`, keys sorted, nulls left out. */
export function sendData(reply: FastifyReply, type: string, data: readonly unknown[]): FastifyReply {
  return withCors(reply)
    .code(200)
    .send(written({ data, size: data.length, status: 200, type }));
}

/** Any other success, its keys in the order given. */
export function sendJson(reply: FastifyReply, body: Readonly<Record<string, unknown>>): FastifyReply {
  return withCors(reply).code(200).send(JSON.stringify(body));
}

/** A refusal, in the shape of whoever refuses. */
export function sendError(reply: FastifyReply, error: unknown): FastifyReply {
  if (error instanceof FrontError) return sendProblem(reply, error);
  if ((error as { code?: unknown }).code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    return sendProblem(
      reply,
      new FrontError(
        413,
        "Request Entity Too Large",
        "The data value transmitted exceeds the capacity limit.",
      ),
    );
  }
  // everything the orchestrator did not foresee is a 500 with the exception's text
  const status = error instanceof ApiError ? error.status : 500;
  const details = error instanceof Error ? error.message : String(error);
  const header = details.replace(/[^\x20-\x7e]+/g, " ").slice(0, 2000);
  return withCors(reply)
    .code(status)
    .header("X-Error", header)
    .send(written(errorBody(status, details)));
}

function sendProblem(reply: FastifyReply, error: FrontError): FastifyReply {
  return reply
    .code(error.status)
    .type("application/problem+json")
    .send(written({ detail: error.message, status: error.status, title: error.title, type: "about:blank" }));
}

function withCors(reply: FastifyReply): FastifyReply {
  return reply
    .type("application/json")
    .header("Access-Control-Allow-Origin", reply.request.headers.origin ?? "*")
    .header("Access-Control-Allow-Credentials", "true")
    .header("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS")
    .header(
      "Access-Control-Allow-Headers",
      "DNT, User-Agent, X-Requested-With, If-Modified-Since, Cache-Control, Content-Type, Range, Authorization",
    )
    .header("Access-Control-Expose-Headers", "Content-Length, Content-Range, X-Error");
}

function written(body: unknown): string {
  return JSON.stringify(sorted(body), null, 4);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, v]) => v !== undefined && v !== null);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => [k, sorted(v)]));
}
