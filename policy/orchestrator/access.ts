import type { FastifyInstance, FastifyRequest } from "fastify";
import { CodedError } from "../contract/problem.js";
import { bearerCheck, bearerToken } from "../platform/bearer.js";
import type { Logger } from "../platform/log.js";
import { challenge } from "../users/hook.js";
import { apiRefusal, userStatusOf } from "../users/rights.js";
import type { Users } from "../users/verifier.js";

export interface AccessOptions {
  readonly log: Logger;
  /** Who bears it may do everything here. */
  readonly operatorToken: string;
  /** Takes users' access tokens: operators may do everything, stewards read and change their own agreement. Default: none are taken. */
  readonly users?: Users;
}

/** The one route that is not the operators' alone. */
const AGREEMENT_ROUTE = "/api/v1/policyEnforcer/agreements/:name";

/** Guards every route of the API but `/healthz`, before a body is read. */
export function guard(app: FastifyInstance, { log, operatorToken, users }: AccessOptions): void {
  const isOperator = bearerCheck(operatorToken);

  app.addHook("onRequest", async (request, reply) => {
    const { authorization } = request.headers;
    if (request.url === "/healthz" || isOperator(authorization)) return;
    // An access token has dots, the operator's has none.
    if (users === undefined || bearerToken(authorization)?.includes(".") !== true) {
      reply.header("www-authenticate", "Bearer");
      throw notAllowed();
    }
    const agreement = request.routeOptions.url === AGREEMENT_ROUTE ? nameIn(request) : undefined;
    const principal = await users.principal(authorization).catch((error: unknown) => {
      if (error instanceof CodedError && userStatusOf(error.code) === 401)
        reply.header("www-authenticate", challenge(error.code));
      throw error;
    });
    const refusal = apiRefusal(principal, { method: request.method, agreement });
    if (refusal !== undefined) throw new CodedError(refusal);
    if (!principal.operator && request.method !== "GET" && !namesRevision(request)) throw revisionMissing();
    if (request.method !== "GET")
      reply.raw.once("finish", () =>
        log.info(
          { user: principal.user, method: request.method, url: request.url, status: reply.statusCode },
          "a user's write",
        ),
      );
  });
}

const nameIn = ({ params }: FastifyRequest): string | undefined =>
  (params as { readonly name?: string }).name;

/** Whether a write says which revision it replaces: its number, or that there is none. */
function namesRevision({ headers }: FastifyRequest): boolean {
  const { "if-match": match, "if-none-match": noneMatch } = headers;
  return (match !== undefined && match.trim() !== "*") || noneMatch !== undefined;
}

/** A write that does not say which revision it replaces could undo another's unseen. */
export function revisionMissing(): CodedError {
  return new CodedError({
    code: "ORC-REVISION-MISSING",
    path: "If-Match",
    message: "this write does not say which revision it replaces",
    remedy: 'read the document and send its revision, e.g. If-Match: "214"; for a new one If-None-Match: *',
  });
}

function notAllowed(): CodedError {
  return new CodedError({
    code: "ORC-NOT-ALLOWED",
    path: "authorization",
    message: "this needs the operator's token",
    remedy:
      "send the header Authorization: Bearer <token>; the token is in the orchestrator's OPERATOR_TOKEN_FILE",
  });
}
