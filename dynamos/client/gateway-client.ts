import { fetch, type RequestInit } from "undici";
import { InfraError } from "../../infra/problem.js";
import type { JobEnd, JobSnapshot, RefusalReason, RoundReport } from "../../policy/contract/job.js";
import { serverEvents } from "./sse.js";

/** A request's data by its type, where nobody has said more. `dynamos-fabric types` writes one from an experiment's schemas. */
export type AnyRequests = Readonly<Record<string, object>>;

/** A request to the gateway. */
export interface DataRequest<Type extends string = string, Data = object> {
  readonly type: Type;
  /** Parties whose data are asked for. */
  readonly dataProviders: readonly string[];
  /** As the request type's schema says. */
  readonly data: Data;
  /** E.g. `requireAll: false`: go on with the data providers that allow. */
  readonly options?: Readonly<Record<string, boolean>>;
  /** Who asks is said by the token; what is written here must be the same. */
  readonly user?: { readonly id: string; readonly userName: string };
}

/** The answer to a request before any work: accepted, or a "no" by policy. */
export type Acceptance =
  | {
      readonly status: "accepted";
      readonly jobId: string;
      readonly archetype: string;
      readonly computeProviders: readonly string[];
      /** Why it was composed so, and who sees what: a line each, for people. */
      readonly explanation: readonly string[];
    }
  | { readonly status: "refused"; readonly reasons: readonly RefusalReason[]; readonly revision?: number };

export interface GatewayAccess {
  /** `http://host:port` of the API gateway. */
  readonly url: string;
  /** The user's access token. */
  readonly token: string;
}

const callSeconds = 30;

/**
 * Sends requests to a marketplace's gateway and follows their jobs.
 *
 * @typeParam Requests - the data of each request type: a wrong type or field is then the compiler's error, before it is the gateway's
 * @example
 * ```ts
 * const client = new GatewayClient<Requests>({ url: "http://127.0.0.1:8080", token });
 * const accepted = await client.submit({ type: "sqlDataRequest", dataProviders: ["uva", "vu"], data: { query, combine } });
 * if (accepted.status === "accepted") {
 *   const end = await client.job(accepted.jobId).follow((round) => console.log(round.round));
 * }
 * ```
 */
export class GatewayClient<Requests extends object = AnyRequests> {
  readonly #access: GatewayAccess;

  constructor(access: GatewayAccess) {
    this.#access = access;
  }

  /**
   * Sends a request and returns as soon as its job is under way.
   *
   * @throws InfraError what the gateway says is wrong (GW-INVALID with the path of each field), EXP-GATEWAY, EXP-GATEWAY-UNREACHABLE
   */
  async submit<Type extends keyof Requests & string>(
    request: DataRequest<Type, Requests[Type]>,
  ): Promise<Acceptance> {
    const { type, user, dataProviders, data, options } = request;
    const { status, body } = await call(this.#access, "POST", "requestApproval", {
      headers: { "content-type": "application/json", prefer: "respond-async" },
      body: JSON.stringify({
        type,
        user,
        dataProviders,
        options,
        data_request: { type, data, requestMetadata: {} },
      }),
    });
    if (status === 403) {
      const { reasons = [], revision } = body as Extract<Acceptance, { status: "refused" }>;
      return { status: "refused", reasons, ...(typeof revision === "number" ? { revision } : {}) };
    }
    const {
      jobId,
      archetype,
      computeProviders,
      explanation = [],
    } = body as Extract<Acceptance, { status: "accepted" }>;
    return { status: "accepted", jobId, archetype, computeProviders, explanation };
  }

  /** A job of this user. Asks nothing by itself. */
  job(jobId: string): ClientJob {
    return new ClientJob(this.#access, jobId);
  }
}

/** A job as its user sees it. */
export class ClientJob {
  readonly id: string;
  readonly #access: GatewayAccess;

  constructor(access: GatewayAccess, id: string) {
    this.#access = access;
    this.id = id;
  }

  /**
   * Follows the job to its end.
   *
   * @param onRound - told each round's report
   * @param signal - ends the following, with its reason, not the job
   * @throws InfraError EXP-STREAM when the stream ends before the job
   */
  async follow(onRound: (report: RoundReport) => void = () => {}, signal?: AbortSignal): Promise<JobEnd> {
    const { url, token } = this.#access;
    const events = serverEvents(
      `${url}/api/v1/jobs/${this.id}/events`,
      signal === undefined ? { token } : { token, signal },
    );
    for await (const { event, data } of events) {
      if (event === "round") onRound(data as RoundReport);
      if (event === "end") return data as JobEnd;
    }
    throw new InfraError({
      code: "EXP-STREAM",
      message: `the events of job ${this.id} ended before the job did`,
      remedy: "see dynamos-fabric status",
    });
  }

  /** Where it stands. */
  async snapshot(): Promise<JobSnapshot> {
    return (await call(this.#access, "GET", `jobs/${this.id}`)).body as JobSnapshot;
  }

  /** Asks that it end wherever it is worked on. Its end, with ORC-CANCELLED, is told by {@link follow}. One that has ended stays as it is. */
  async cancel(): Promise<void> {
    await call(this.#access, "DELETE", `jobs/${this.id}`);
  }
}

/** A call of the gateway. A refusal by policy is an answer; all else that is no success is thrown. */
async function call(
  { url, token }: GatewayAccess,
  method: string,
  path: string,
  init: Pick<RequestInit, "body"> & { readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await fetch(`${url}/api/v1/${path}`, {
    ...init,
    method,
    signal: AbortSignal.timeout(callSeconds * 1_000),
    headers: { authorization: `Bearer ${token}`, ...init.headers },
  }).catch((cause: unknown) => {
    throw new InfraError(
      {
        code: "EXP-GATEWAY-UNREACHABLE",
        message: `the gateway at ${url} does not answer`,
        remedy: "see dynamos-fabric status",
      },
      { cause },
    );
  });
  const body = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  if (response.ok || (response.status === 403 && body.status === "refused"))
    return { status: response.status, body };
  throw new InfraError(problemsIn(body, response.status));
}

interface Told {
  readonly code?: unknown;
  readonly path?: unknown;
  readonly message?: unknown;
  readonly remedy?: unknown;
  readonly problems?: readonly Told[];
}

/** All that the gateway says is wrong, each with its path. */
function problemsIn(body: Told, status: number) {
  const all = Array.isArray(body.problems) && body.problems.length > 0 ? (body.problems as Told[]) : [body];
  return all.map(({ code, path, message, remedy }) => ({
    code: typeof code === "string" ? code : "EXP-GATEWAY",
    ...(typeof path === "string" ? { path } : {}),
    message: typeof message === "string" ? message : `the gateway answered HTTP ${status}`,
    ...(typeof remedy === "string" ? { remedy } : {}),
  }));
}
