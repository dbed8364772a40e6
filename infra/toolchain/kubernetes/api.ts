import { Agent, type Dispatcher, interceptors, request } from "undici";
import { InfraError } from "../../problem.js";
import type { Live } from "./kinds.js";
import type { Access } from "./kubeconfig.js";

/** The API server's "no". Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly causes: readonly {
      readonly field?: string;
      readonly message?: string;
      readonly reason?: string;
    }[],
    readonly about: string | undefined,
  ) {
    super(message);
  }
}

type Query = Readonly<Record<string, string>>;
export interface Call {
  readonly query?: Query;
  readonly body?: object;
  readonly signal?: AbortSignal | undefined;
  /** Told of what the server warns of. */
  readonly onWarning?: (text: string) => void;
}
export interface Answer {
  readonly status: number;
  readonly object: Live;
}

const callSeconds = 60;
/** A patch by server-side apply says the same however often it is sent. */
const retried = {
  maxRetries: 6,
  minTimeout: 250,
  maxTimeout: 4_000,
  methods: ["GET", "PATCH", "DELETE"] as Dispatcher.HttpMethod[],
  statusCodes: [429, 500, 502, 503, 504],
  throwOnError: false,
};

/** One cluster's API server. Calls that it is too busy for, or that a broken connection took, are tried again by undici. */
export class Api {
  readonly #access: Access;
  readonly #once: Agent;
  readonly #again: Dispatcher;

  constructor(access: Access) {
    this.#access = access;
    const given = Object.entries(access.tls).filter(([, value]) => value !== undefined);
    this.#once = new Agent({
      connect: { ...Object.fromEntries(given), rejectUnauthorized: !access.isUnverified, timeout: 5_000 },
      headersTimeout: callSeconds * 1_000,
      bodyTimeout: callSeconds * 1_000,
      connections: 16,
    });
    this.#again = this.#once.compose(interceptors.retry(retried));
  }

  /** @throws Refusal; InfraError `K8S-UNREACHABLE` */
  async call(
    method: "GET" | "PATCH" | "DELETE",
    path: string,
    { query, body, signal, onWarning }: Call = {},
  ): Promise<Answer> {
    const text = new URLSearchParams(query).toString();
    const token = await this.#access.token();
    const type = method === "PATCH" ? "application/apply-patch+yaml" : "application/json";
    const answer = await this.#send(`${this.#access.server}${path}${text && `?${text}`}`, {
      method,
      dispatcher: path === "/version" ? this.#once : this.#again,
      headers: {
        accept: "application/json",
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": type }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
    const { statusCode: status, text: said, warnings } = answer;
    for (const [, warning = ""] of warnings.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g))
      onWarning?.(warning.replaceAll("\\", ""));
    const object = parsed(said);
    if (status < 300 && object !== undefined) return { status, object: object as Live };
    const { message = said.slice(0, 300), details } = (object ?? {}) as { message?: string; details?: never };
    const { causes = [], kind } = (details ?? {}) as { causes?: Refusal["causes"]; kind?: string };
    throw new Refusal(status, message, causes, kind);
  }

  async #send(url: string, options: Parameters<typeof request>[1] & {}) {
    try {
      const { statusCode, body, headers } = await request(url, options);
      return { statusCode, text: await body.text(), warnings: String(headers.warning ?? "") };
    } catch (cause) {
      if (options.signal instanceof AbortSignal && options.signal.aborted) throw cause;
      const { code, message } = cause as Error & { readonly code?: string };
      throw unreachable(`${this.#access.server} does not answer (${code ?? message})`, { cause });
    }
  }
}

export const unreachable = (message: string, options?: ErrorOptions): InfraError =>
  new InfraError({ code: "K8S-UNREACHABLE", message, remedy: "check the kubeconfig's server, and the way to it" }, options); // biome-ignore format: one line

function parsed(text: string): object | undefined {
  try {
    return JSON.parse(text) as object;
  } catch {
    return undefined; // a proxy's page, say
  }
}
