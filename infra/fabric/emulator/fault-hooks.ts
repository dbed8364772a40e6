/** Carries out a scenario's faults at the HTTP calls, and keeps the list of the last calls. */
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { FastifyReply, FastifyRequest } from "fastify";
import { ApiError } from "./api-error.js";
import type { CallFault, CallName } from "./fault-schema.js";
import { countsOf, draw, strikeCall, withCounts } from "./faults.js";
import type { EmulatorState } from "./model.js";
import type { RouteContext } from "./route-context.js";

/** Calls kept for who asks. */
const callsKept = 1000;

/** One call, as GET /emulator/state shows it. */
export interface CallEntry {
  /** 1, 2, ... since the start. */
  readonly n: number;
  /** Milliseconds since 1970, of the machine's clock. */
  readonly at: number;
  readonly name: CallName;
  readonly method: string;
  readonly path: string;
  /** The name of the slice that it is about. */
  readonly slice?: string;
  /** The fault that struck it. */
  readonly fault?: string;
  /** Of the answer; none yet, or none at all. */
  status?: number;
  /** The answer is out, or the connection gone. */
  done: boolean;
}

const nameOfRoute: Readonly<Record<string, CallName>> = {
  "POST /slices/creates": "create",
  "GET /slices": "slices",
  "GET /slices/:id": "slice",
  "PUT /slices/modify/:id": "modify",
  "POST /slices/modify/:id/accept": "accept",
  "POST /slices/renew/:id": "renew",
  "DELETE /slices/delete/:id": "delete",
  "DELETE /slices/delete": "delete",
  "GET /slivers": "slivers",
  "GET /slivers/:id": "slivers",
  "GET /resources": "resources",
  "GET /resources/summary": "resources",
  "GET /portalresources": "resources",
  "GET /portalresources/summary": "resources",
  "POST /poas/create/:id": "poa",
  "GET /poas/": "poas",
  "GET /poas/:id": "poas",
  "POST /credmgr/tokens/create": "tokens-create",
  "GET /credmgr/tokens/create_cli": "tokens-create",
  "POST /credmgr/tokens/refresh": "tokens-refresh",
  "POST /credmgr/tokens/revoke": "tokens-revoke",
  "POST /credmgr/tokens/revokes": "tokens-revoke",
  "GET /credmgr/tokens": "tokens",
  "GET /credmgr/certs": "certs",
  "GET /whoami": "whoami",
  "GET /people": "people",
  "GET /people/:id": "people",
  "GET /projects": "projects",
  "GET /projects/:id": "projects",
  "GET /sshkeys": "sshkeys",
};

/** Adds the hooks. @returns the last calls, a list that grows */
export function faultHooks(context: RouteContext): readonly CallEntry[] {
  const { app, store } = context;
  const calls: CallEntry[] = [];
  const struck = new WeakMap<FastifyRequest, CallFault>();
  let n = 0;

  app.addHook("preHandler", async (request, reply) => {
    const name = nameOfRoute[`${request.method} ${request.routeOptions.url}`];
    if (name === undefined) return;
    const scenario = context.scenario;
    const slice = sliceOf(request, store.read());
    const met = scenario.faults.some((r) => r.calls.includes(name))
      ? await store.update((state) => {
          const result = strikeCall(context.scenario, countsOf(state), { name, slice: slice?.name });
          return { state: withCounts(state, result.counts), result };
        })
      : undefined;
    const entry: CallEntry = {
      n: ++n,
      at: Date.now(),
      name,
      method: request.method,
      path: request.url.split("?")[0] ?? "",
      ...(slice?.name === undefined ? {} : { slice: slice.name }),
      ...(met?.name === undefined ? {} : { fault: met.name }),
      done: false,
    };
    calls.push(entry);
    calls.splice(0, calls.length - callsKept);
    reply.raw.once("close", () => {
      entry.done = true;
      if (reply.raw.writableFinished) entry.status = reply.raw.statusCode;
    });
    const { ms, jitterMs } = scenario.latency;
    if (ms + jitterMs > 0) await untilGone(reply, ms + jitterMs * draw(scenario.seed, "latency", n));
    if (met?.fault !== undefined) {
      if (!("when" in met.fault) || met.fault.when === "after") struck.set(request, met.fault);
      else await before(met.fault, reply, slice?.id ?? "");
    }
  });

  app.addHook("onSend", async (request, reply, payload) => {
    const fault = struck.get(request);
    if (fault === undefined) return payload;
    struck.delete(request); // a refusal is an answer of its own, and comes by here again
    return await after(fault, reply, typeof payload === "string" ? payload : "", request);
  });
  return calls;
}

/** Instead of the call. */
async function before(fault: CallFault, reply: FastifyReply, slice: string): Promise<void> {
  switch (fault.kind) {
    case "refuse":
      throw new ApiError(fault.status, fault.text.replaceAll("{slice}", slice));
    case "proxy":
      reply.code(fault.status).type("text/html").send(proxyPage(fault.status));
      return;
    case "delay":
      await untilGone(reply, fault.ms);
      return;
    case "hang":
      await untilGone(reply, fault.ms);
      gone(reply);
      return;
    default:
      gone(reply);
  }
}

/** Instead of the answer: the call has done its work. */
async function after(
  fault: CallFault,
  reply: FastifyReply,
  payload: string,
  request: FastifyRequest,
): Promise<string | Readable> {
  switch (fault.kind) {
    case "refuse": {
      const { id = "" } = request.params as { readonly id?: string };
      reply.code(fault.status);
      const details = fault.text.replaceAll("{slice}", id);
      return JSON.stringify({ errors: [{ details, message: "Internal Server Error" }], size: 1, status: fault.status, type: "error" }); // biome-ignore format: one line
    }
    case "proxy":
      reply.code(fault.status).type("text/html");
      return proxyPage(fault.status);
    case "html":
      reply.type("text/html");
      return "<html><body><h1>FABRIC</h1><p>Please log in.</p></body></html>";
    case "half-json":
      return payload.slice(0, Math.floor(payload.length * fault.share));
    case "cut":
      return cutShort(reply, payload, fault.share);
    case "huge":
      return manyBytes(fault.megabytes);
    case "delay":
      await untilGone(reply, fault.ms);
      return payload;
    case "hang":
      await untilGone(reply, fault.ms);
      break;
    case "drop":
      break;
  }
  reply.raw.destroy();
  return payload;
}

/** So long, or until the client goes away. */
async function untilGone(reply: FastifyReply, ms: number): Promise<void> {
  if (reply.raw.destroyed) return;
  const stop = new AbortController();
  const left = () => stop.abort();
  reply.raw.once("close", left);
  await sleep(ms, undefined, { signal: stop.signal }).catch(() => undefined); // the client went: there is nobody to answer
  reply.raw.off("close", left);
}

/** Closes the connection; nothing more is sent. */
function gone(reply: FastifyReply): void {
  reply.hijack();
  reply.raw.destroy();
}

/** Announces the whole and gives a part. */
function cutShort(reply: FastifyReply, payload: string, share: number): Readable {
  const bytes = Buffer.from(payload);
  reply.header("content-length", bytes.length);
  const part = bytes.subarray(0, Math.min(bytes.length - 1, Math.floor(bytes.length * share)));
  return Readable.from(
    (async function* () {
      if (part.length > 0) yield part;
      await sleep(20); // else the part may never leave the machine
      reply.raw.destroy();
    })(),
  );
}

function manyBytes(megabytes: number): Readable {
  const chunk = Buffer.alloc(1024 * 1024, " ");
  return Readable.from(
    (function* () {
      for (let i = 0; i < megabytes; i++) yield chunk;
    })(),
  );
}

function proxyPage(status: number): string {
  const words = { 502: "Bad Gateway", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out" };
  const title = `${status} ${words[status as 502]}`;
  return `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n`;
}

function sliceOf(
  request: FastifyRequest,
  state: EmulatorState,
): { readonly id?: string; readonly name?: string } | undefined {
  const query = request.query as Readonly<Record<string, string | undefined>>;
  const { id } = request.params as { readonly id?: string };
  const path = request.routeOptions.url ?? "";
  if (path === "/slices/creates") return query.name === undefined ? undefined : { name: query.name };
  const wanted = path.startsWith("/slices/") ? id : query.slice_id;
  const found =
    path === "/poas/create/:id"
      ? state.slices.find((s) => s.slivers.some((x) => x.id === id))
      : state.slices.find((s) => s.id === wanted);
  return found ?? (wanted === undefined ? undefined : { id: wanted });
}
