/** The credential manager over HTTP, below /credmgr. Source: CredentialManager 9410f5a, routes.py, tokens_controller.py, cors_response.py. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { ApiError, FrontError } from "./api-error.js";
import { parseJson, readText } from "./body.js";
import {
  issueToken,
  newCredentials,
  newRefreshToken,
  publicKeys,
  revokeToken,
  type TokenBody,
  tokenFault,
  tokenLine,
  useRefreshToken,
} from "./credential-manager.js";
import type { CredentialState, Person } from "./credential-state.js";
import { sendData, sendJson } from "./reply.js";
import type { RouteContext } from "./route-context.js";
import { texts } from "./texts.js";
import { identify } from "./token.js";

const cookieName = "fabric-service";
const hour = 3_600_000;
/** More hours than this is a long-lived token, which has no refresh token. */
const shortHours = 4;
const scopes = ["cf", "mf", "all"];

type Query = Readonly<Record<string, string | undefined>>;

export function credentialRoutes(context: RouteContext): void {
  const { app, store, now, newId } = context;
  const base = "/credmgr";

  /** The state with keys. Making them is slow, so it waits for the first who asks. */
  const credentials = async (): Promise<CredentialState> =>
    store.read().credentials ??
    (await store.update((state) => {
      const made = state.credentials ?? newCredentials();
      return { state: { ...state, credentials: made }, result: made };
    }));
  const change = <T>(work: (state: CredentialState) => { readonly state: CredentialState; readonly result: T }) =>
    store.update((state) => {
      const outcome = work(state.credentials ?? newCredentials());
      return { state: { ...state, credentials: outcome.state }, result: outcome.result };
    }); // biome-ignore format: reads as a sentence

  const issue = (request: FastifyRequest, person: Person, hours: number, comment: string) =>
    change((state) => {
      const { tokenSeconds } = context.scenario;
      const outcome = issueToken(state, {
        person,
        now: now(),
        lifetimeMs: hours * hour,
        refreshMs: hours > shortHours ? undefined : tokenSeconds.refresh * 1000,
        refreshToken: newRefreshToken(),
        id: newId(),
        scope: (request.query as Query).scope ?? "all",
        comment,
        from: request.ip,
      });
      return { state: outcome.state, result: outcome.token };
    });

  const create = async (request: FastifyRequest): Promise<TokenBody> => {
    const query = request.query as Query;
    loggedIn(request);
    const comment = query.comment ?? "Created via GUI";
    if (comment.length < 10 || comment.length > 100)
      throw new ApiError(400, "Comment must be between 10 and 100 characters.");
    const lifetime = query.lifetime ?? String(context.scenario.tokenSeconds.id / 3600);
    const hours = Number(lifetime);
    const person = personOf(context, query);
    // whatever it did not foresee is one and the same answer
    if (person === undefined || !(hours > 0 && hours <= 1512) || !scopes.includes(query.scope ?? "all"))
      throw new ApiError(500, texts.credentialManager);
    return await issue(request, person, hours, comment);
  };

  app.get(`${base}/version`, (_request, reply) =>
    sendData(reply, "version", [
      { reference: "https://github.com/fabric-testbed/CredentialManager", version: "1.8.0" },
    ]),
  );
  app.get(`${base}/certs`, async (_request, reply) =>
    sendJson(reply, { keys: publicKeys(await credentials()) }),
  );

  app.post(`${base}/tokens/create`, async (request, reply) =>
    sendData(reply, "token", [await create(request)]),
  );
  app.get(`${base}/tokens/create_cli`, async (request, reply) => {
    const back = localRedirect((request.query as Query).redirect_uri);
    const token = await create(request);
    for (const name of ["id_token", "refresh_token", "token_hash", "created_at", "expires_at", "state"])
      if (typeof token[name] === "string") back.searchParams.set(name, token[name]);
    return reply.redirect(back.toString(), 302);
  });

  app.post(`${base}/tokens/refresh`, async (request, reply) => {
    const { refresh_token: token } = body(z.object({ refresh_token: z.string() }), request);
    const query = request.query as Query;
    // neither the project nor the scope is looked at before the identity provider has spent the refresh token
    if (query.project_id === undefined && query.project_name === undefined)
      throw new ApiError(500, texts.credentialManager);
    if (!scopes.includes(query.scope ?? "")) throw new ApiError(500, texts.credentialManager);
    const fresh = await change<TokenBody | "dead" | "spent">((state) => {
      const used = useRefreshToken(state, token, now());
      if (used === undefined) return { state, result: "dead" };
      const { project } = used.person;
      if (
        (query.project_id ?? project.uuid) !== project.uuid ||
        (query.project_name ?? project.name) !== project.name
      )
        return { state: used.state, result: "spent" };
      const { tokenSeconds } = context.scenario;
      const outcome = issueToken(
        used.state,
        {
          person: used.person,
          now: now(),
          lifetimeMs: tokenSeconds.id * 1000,
          refreshMs: tokenSeconds.refresh * 1000,
          refreshToken: newRefreshToken(),
          id: newId(),
          scope: query.scope ?? "all",
          comment: "Refreshed via API",
          from: request.ip,
        },
        "Refreshed",
      );
      return { state: outcome.state, result: outcome.token };
    });
    if (fresh === "dead") throw new ApiError(401, texts.deadRefreshToken);
    if (fresh === "spent") throw new ApiError(500, texts.credentialManager);
    return sendData(reply, "token", [fresh]);
  });

  const revoke = async (request: FastifyRequest, type: "identity" | "refresh", token: string) => {
    const who = allowed(context, request);
    const done = await change((state) => {
      const next = revokeToken(state, type, token, who);
      return { state: next ?? state, result: next !== undefined };
    });
    if (!done) throw new ApiError(500, texts.credentialManager);
  };
  app.post(`${base}/tokens/revokes`, async (request, reply) => {
    const { type, token } = body(z.object({ type: z.string(), token: z.string() }), request);
    await revoke(request, type === "identity" ? "identity" : "refresh", token);
    return sendData(reply, "no_content", [
      { details: `Token of type '${type}' has been successfully revoked`, message: "No Content" },
    ]);
  });
  app.post(`${base}/tokens/revoke`, async (request, reply) => {
    const { refresh_token: token } = body(z.object({ refresh_token: z.string() }), request);
    await revoke(request, "refresh", token);
    return sendData(reply, "no_content", [
      { details: `Token '${token}' has been successfully revoked`, message: "No Content" },
    ]);
  });

  app.get(`${base}/tokens`, async (request, reply) => {
    const query = request.query as Query;
    const email = allowed(context, request);
    const { limit, offset } = page(query);
    const states = [query.states ?? []].flat().flatMap((s) => s.split(","));
    const lines = (await credentials()).tokens
      .filter(
        (t) =>
          (email === undefined || t.email === email) &&
          (query.project_id === undefined || t.projectId === query.project_id) &&
          (query.token_hash === undefined || t.hash === query.token_hash),
      )
      .map((t) => tokenLine(t, now()))
      .filter((line) => states.length === 0 || states.includes(String(line.state)));
    return sendData(reply, "token", lines.slice(offset, offset + limit));
  });
  app.get(`${base}/tokens/revoke_list`, async (request, reply) => {
    const { project_id: project } = request.query as Query;
    const revoked = (await credentials()).tokens.filter(
      (t) => t.state === "Revoked" && (project === undefined || t.projectId === project),
    );
    return sendData(
      reply,
      "revoked token hashes",
      revoked.map((t) => t.hash),
    );
  });
  app.post(`${base}/tokens/validate`, async (request, reply) => {
    const { type, token } = body(z.object({ type: z.string(), token: z.string() }), request);
    if (type !== "identity" || tokenFault(await credentials(), token) !== undefined)
      throw new ApiError(500, texts.credentialManager);
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
    const details = [{ details: "Token is Valid!", message: "No Content" }];
    return sendJson(reply, { data: details, size: 1, status: 200, type: "no_content", token: claims });
  });

  const drop = async (request: FastifyRequest, reply: FastifyReply, hash?: string) => {
    loggedIn(request);
    await change((state) => ({
      state: { ...state, tokens: state.tokens.filter((t) => hash !== undefined && t.hash !== hash) },
      result: undefined,
    }));
    const email = context.scenario.identity.email;
    return sendData(reply, "no_content", [
      { details: hash === undefined ? `All token for user: ${email} have been successfully deleted` : `Token ${hash} for user: ${email} has been successfully deleted`, message: "No Content" },
    ]); // biome-ignore format: one line
  };
  app.delete(`${base}/tokens`, (request, reply) => drop(request, reply));
  app.delete<{ Params: { hash: string } }>(`${base}/tokens/:hash`, (request, reply) =>
    drop(request, reply, request.params.hash),
  );
}

/** The scenario's person, where the project asked for is theirs. */
function personOf(context: RouteContext, query: Query): Person | undefined {
  const { uuid, email, name, project } = context.scenario.identity;
  const fits =
    query.project_id === undefined ? query.project_name === project.name : query.project_id === project.uuid;
  return fits ? { uuid, email, name, project } : undefined;
}

/** @throws FrontError 401 without the browser's cookie */
function loggedIn(request: FastifyRequest): void {
  const cookies = (request.headers.cookie ?? "").split(";").map((c) => c.trim());
  if (!cookies.some((c) => c.startsWith(`${cookieName}=`) && c.length > cookieName.length + 1))
    throw new FrontError(401, "Unauthorized", "Login required");
}

/** By token or by cookie. @returns the e-mail address whose tokens may be seen. @throws FrontError 401 */
function allowed(context: RouteContext, request: FastifyRequest): string {
  const header = request.headers.authorization;
  if (header === undefined) {
    loggedIn(request);
    return context.scenario.identity.email;
  }
  const token = header.replace(/^Bearer\s+/i, "");
  const fault = tokenFault(context.store.read().credentials, token);
  if (fault !== undefined) throw new FrontError(401, "Unauthorized", `Login or Token required : ${fault}`);
  try {
    return identify(token, context.scenario, context.store.read(), context.now()).email;
  } catch (error) {
    throw new FrontError(401, "Unauthorized", `Login or Token required : ${(error as Error).message}`);
  }
}

/** @throws ApiError 400 */
function page(query: Query): { readonly limit: number; readonly offset: number } {
  const limit = Number(query.limit ?? 5);
  const offset = Number(query.offset ?? 0);
  if (!(limit >= 1 && limit <= 500)) throw new ApiError(400, "limit must be between 1 and 500.");
  if (!(offset >= 0 && offset <= 100_000)) throw new ApiError(400, "offset must be between 0 and 100000.");
  return { limit, offset };
}

/** The address of the command-line program that waits for a token. @throws ApiError 400 for any other host */
function localRedirect(address: string | undefined): URL {
  const url = address === undefined ? null : URL.parse(address);
  const local = url?.protocol === "http:" && ["localhost", "127.0.0.1"].includes(url.hostname);
  if (url === null || !local || Number(url.port) < 1024)
    throw new ApiError(400, "redirect_uri must point to localhost");
  return url;
}

/** @throws FrontError 422 as FastAPI, in short */
function body<T extends z.ZodType>(schema: T, request: FastifyRequest): z.output<T> {
  const parsed = schema.safeParse(parseJson(readText(request.body)));
  if (parsed.success) return parsed.data;
  throw new FrontError(422, "Unprocessable Content", parsed.error.issues[0]?.message ?? "not understood");
}
