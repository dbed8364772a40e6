import { Agent, type Dispatcher, interceptors, request } from "undici";
import { InfraError } from "../problem.js";
import type { Access } from "./access.js";

/** The API server's "no". Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
export class Refusal extends Error {
  readonly status: number;
  readonly causes: readonly {
    readonly field?: string;
    readonly message?: string;
    readonly reason?: string;
  }[];

  constructor(status: number, message: string, causes: Refusal["causes"]) {
    super(message);
    this.status = status;
    this.causes = causes;
  }
}

/** A call's other parts. */
export interface Call {
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: object;
  readonly signal?: AbortSignal;
  /** Told of what the server warns of. */
  readonly onWarning?: (text: string) => void;
}

/** How patient calls are. */
export interface Patience {
  /** For one answer. @default 60 */
  readonly seconds?: number;
  /** Times that a call is tried again where the server is too busy or a connection broke. @default 6, in about 12 s */
  readonly retries?: number;
}

/** A patch by server-side apply says the same however often it is sent. */
const retried = {
  minTimeout: 250,
  maxTimeout: 4_000,
  methods: ["GET", "PATCH", "DELETE"] as Dispatcher.HttpMethod[],
  statusCodes: [429, 500, 502, 503, 504],
  throwOnError: false,
};

/** One cluster's API server. Calls that it is too busy for, or that a broken connection took, are tried again by undici. */
export class ApiServer {
  readonly #access: Access;
  readonly #once: Agent;
  readonly #again: Dispatcher;

  constructor(access: Access, { seconds = 60, retries = 6 }: Patience = {}) {
    this.#access = access;
    const given = Object.entries(access.tls).filter(([, value]) => value !== undefined);
    this.#once = new Agent({
      connect: { ...Object.fromEntries(given), rejectUnauthorized: !access.isUnverified, timeout: 5_000 },
      headersTimeout: seconds * 1_000,
      bodyTimeout: seconds * 1_000,
      connections: 16,
    });
    this.#again = this.#once.compose(interceptors.retry({ ...retried, maxRetries: retries }));
  }

  /**
   * Whether it is there at all: one try, told at once.
   *
   * @returns what it says of its version
   * @throws Refusal; InfraError `CLU-UNREACHABLE`
   */
  async version(): Promise<{ readonly minor?: string; readonly gitVersion?: string }> {
    return (await this.#send(this.#once, "GET", "/version", {})) as { readonly minor?: string };
  }

  /**
   * @param method `PATCH` is server-side apply
   * @returns the object that it answers with
   * @throws Refusal; InfraError `CLU-UNREACHABLE`
   */
  async call(method: "GET" | "PATCH" | "DELETE", path: string, call: Call = {}): Promise<object> {
    return await this.#send(this.#again, method, path, call);
  }

  /** Asks a question that is put by a POST, as reviews are. Throws as {@link call}. */
  async review<T>(path: string, body: object): Promise<T> {
    return (await this.#send(this.#again, "POST", path, { body })) as T;
  }

  /** Throws as {@link call}. */
  async get<T>(path: string): Promise<T> {
    return (await this.call("GET", path)) as T;
  }

  async close(): Promise<void> {
    await this.#once.close();
  }

  async #send(
    dispatcher: Dispatcher,
    method: Dispatcher.HttpMethod,
    path: string,
    { query, body, signal, onWarning }: Call,
  ): Promise<object> {
    const authorization = await this.#access.authorization();
    const type = method === "PATCH" ? "application/apply-patch+yaml" : "application/json";
    try {
      const answer = await request(`${this.#access.server}${path}`, {
        method,
        dispatcher,
        ...(query === undefined ? {} : { query }),
        headers: {
          accept: "application/json",
          ...(authorization === undefined ? {} : { authorization }),
          ...(body === undefined ? {} : { "content-type": type }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      });
      const text = await answer.body.text();
      const warnings = String(answer.headers.warning ?? "");
      for (const [, warning = ""] of warnings.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g))
        onWarning?.(warning.replaceAll("\\", ""));
      return objectOf(answer.statusCode, text);
    } catch (cause) {
      if (cause instanceof Refusal || signal?.aborted === true) throw cause;
      const { code, message } = cause as Error & { readonly code?: string };
      const problem = {
        code: "CLU-UNREACHABLE",
        message: `${this.#access.server} does not answer (${code ?? message})`,
        remedy: "check the kubeconfig's server, and the way to it",
      };
      throw new InfraError(problem, { cause });
    }
  }
}

function objectOf(status: number, text: string): object {
  let said:
    | { readonly message?: string; readonly details?: { readonly causes?: Refusal["causes"] } }
    | undefined;
  try {
    said = JSON.parse(text);
  } catch {
    // A proxy's page, say: told as it is.
  }
  if (status < 300 && said !== undefined) return said;
  throw new Refusal(status, said?.message ?? text.slice(0, 300), said?.details?.causes ?? []);
}
