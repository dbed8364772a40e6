/** FABRIC's orchestrator API over HTTP: paths, envelopes, headers and status codes of the real one around the pure operations. */
import { randomUUID } from "node:crypto";
import Fastify, { type FastifyInstance, type FastifyRequest } from "fastify";
import { adminRoutes } from "./admin-routes.js";
import { FrontError } from "./api-error.js";
import { coreRoutes } from "./core-routes.js";
import { credentialRoutes } from "./credential-routes.js";
import { faultHooks } from "./fault-hooks.js";
import { poaRoutes } from "./poa-routes.js";
import { sendData, sendError } from "./reply.js";
import { resourceRoutes } from "./resource-routes.js";
import type { RouteContext } from "./route-context.js";
import { parseScenario, type Scenario } from "./scenario.js";
import { sliceRoutes } from "./slice-routes.js";
import type { Store } from "./store.js";
import { identify } from "./token.js";

/** Largest request body in bytes. */
export const bodyLimit = 10 * 1024 * 1024;

export interface EmulatorOptions {
  /** Unless another was given while it ran: that one is in the store. */
  readonly scenario: Scenario;
  readonly store: Store;
  /** Opens the routes below /emulator to who has it. Default: there are none. */
  readonly adminToken?: string;
  /** Default: plain HTTP. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Milliseconds since 1970. Default: the machine's clock. */
  readonly now?: () => number;
  readonly newId?: () => string;
}

/** The emulator as a Fastify server that does not listen yet. */
export function buildEmulator(options: EmulatorOptions): FastifyInstance {
  const app = newServer(options.tls);
  const clock = options.now ?? Date.now;
  const current = scenarioInForce(options);
  const now = () => clock() + current().clockAheadMs;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  app.addHook("onRequest", async (request) => {
    if (isOpen(request)) return;
    bearer(request);
  });
  app.setErrorHandler((error, _request, reply) => sendError(reply, error));
  app.setNotFoundHandler((_request, reply) => {
    const text =
      "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again.";
    return sendError(reply, new FrontError(404, "Not Found", text));
  });
  app.get("/healthz", () => ({ status: "ok" }));
  app.get("/version", (_request, reply) =>
    sendData(reply, "version", [
      { reference: "https://github.com/fabric-testbed/ControlFramework", version: "2.0.1" },
    ]),
  );
  const context: RouteContext = {
    app,
    get scenario() {
      return current();
    },
    store: options.store,
    now,
    newId: options.newId ?? randomUUID,
    who: (request) => identify(bearer(request), current(), options.store.read(), now()),
  };
  const calls = faultHooks(context);
  sliceRoutes(context);
  resourceRoutes(context);
  poaRoutes(context);
  credentialRoutes(context);
  coreRoutes(context);
  if (options.adminToken !== undefined) adminRoutes(context, options.adminToken, calls);
  return app;
}

/** HTTP and HTTPS servers differ in type only. */
function newServer(tls: EmulatorOptions["tls"]): FastifyInstance {
  const common = { bodyLimit, logger: false, forceCloseConnections: true } as const;
  return tls === undefined
    ? Fastify(common)
    : (Fastify({ ...common, https: { ...tls } }) as unknown as FastifyInstance);
}

/** The scenario that was given while it ran, else the file's; parsed once each. */
function scenarioInForce({ store, scenario }: EmulatorOptions): () => Scenario {
  let raw: unknown;
  let parsed = scenario;
  return () => {
    const given = store.read().scenario;
    if (given !== raw) {
      raw = given;
      parsed = given === undefined ? scenario : parseScenario(given);
    }
    return parsed;
  };
}

/** Calls without a token, or with their own rules: those the real one has open, the credential manager's, ours, and paths that are none of its own. */
function isOpen(request: FastifyRequest): boolean {
  const path = request.routeOptions.url;
  return (
    path === undefined ||
    path === "/version" ||
    path === "/healthz" ||
    path === "/poas" ||
    path.startsWith("/portalresources") ||
    path.startsWith("/credmgr/") ||
    path.startsWith("/emulator/")
  );
}

/** @throws FrontError 401 */
function bearer(request: FastifyRequest): string {
  const header = request.headers.authorization;
  const unauthorized = (detail: string) => new FrontError(401, "Unauthorized", detail);
  if (header === undefined) throw unauthorized("No authorization token provided");
  const [scheme, token, ...rest] = header.split(/\s+/);
  if (token === undefined || token === "" || rest.length > 0)
    throw unauthorized("Invalid authorization header");
  if (scheme?.toLowerCase() !== "bearer") throw unauthorized("No authorization token provided");
  return token;
}
