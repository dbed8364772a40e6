import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent as Connections, request } from "undici";
import { CodedError } from "../contract/problem.js";

/** How an API server is reached. */
export interface ClusterAccess {
  /** E.g. `https://10.96.0.1:443`. */
  readonly server: string;
  /** Its certificate authority, PEM. Absent: those that Node trusts. */
  readonly ca?: string;
  /** Asked for at each call: a pod's token is replaced while it runs. */
  readonly token: () => string;
  readonly namespace: string;
}

/** Where a pod finds its account. Source: Kubernetes, "Accessing the API from within a Pod". */
const ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * The cluster this process is a pod of.
 *
 * @throws CodedError `CFG-INVALID` outside of one
 */
export function ownCluster(
  environment: NodeJS.ProcessEnv = process.env,
  folder: string = ACCOUNT_FOLDER,
): ClusterAccess {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = environment;
  const read = (file: string): string => {
    try {
      return readFileSync(join(folder, file), "utf8").trim();
    } catch (cause) {
      throw outside(`${join(folder, file)} cannot be read`, cause);
    }
  };
  if (host === undefined || port === undefined)
    throw outside("KUBERNETES_SERVICE_HOST and _PORT are not set");
  const address = host.includes(":") ? `[${host}]` : host;
  return {
    server: `https://${address}:${port}`,
    ca: read("ca.crt"),
    namespace: read("namespace"),
    token: () => read("token"),
  };
}

const outside = (message: string, cause?: unknown): CodedError =>
  new CodedError(
    {
      code: "CFG-INVALID",
      path: "JOB_RUNNER",
      message: `not a pod with an account of its own: ${message}`,
      remedy: "set JOB_RUNNER to process, or run the agent as its Deployment describes it",
    },
    { cause },
  );

/** An API server's "no": its HTTP status and its own words. */
export class ClusterRefusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** A list's object, as a watch tells it. */
export interface Change<T> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: T;
}

const CALL_MS = 10_000;
/** The server ends a watch after this, and is asked again: no watch hangs on a connection that is dead for longer. */
const WATCH_SECONDS = 240;
const PAUSE_MS = 1_000;
const GONE = 410;

/**
 * The few calls that an agent makes to the API server, over HTTPS with its pod's own token (docs/decisions/0015).
 * Failures are {@link ClusterRefusal}, or undici's errors where nobody answers.
 */
export class ClusterApi {
  readonly #access: ClusterAccess;
  readonly #connections: Connections;

  constructor(access: ClusterAccess) {
    this.#access = access;
    this.#connections = new Connections({
      connect: access.ca === undefined ? {} : { ca: access.ca },
      headersTimeout: CALL_MS,
      bodyTimeout: (WATCH_SECONDS + 60) * 1_000,
    });
  }

  get namespace(): string {
    return this.#access.namespace;
  }

  /** Creates an object; `false` where there is one of its name. */
  async create(collection: string, object: object): Promise<boolean> {
    try {
      await this.#json("POST", this.#path(collection), object);
      return true;
    } catch (error) {
      if (error instanceof ClusterRefusal && error.status === 409) return false;
      throw error;
    }
  }

  async list<T>(collection: string, query: Readonly<Record<string, string>>): Promise<readonly T[]> {
    const { items = [] } = (await this.#json("GET", this.#path(collection, undefined, query))) as {
      readonly items?: readonly T[];
    };
    return items;
  }

  /** Deletes an object with all that was made for it. Fine when it is gone. */
  async delete(collection: string, name: string): Promise<void> {
    try {
      await this.#json("DELETE", this.#path(collection, name), { propagationPolicy: "Background" });
    } catch (error) {
      if (!(error instanceof ClusterRefusal && error.status === 404)) throw error;
    }
  }

  /**
   * Tells every object of a collection, and each change of one, until the signal. A connection that breaks is made again; what was missed
   * then comes as `ADDED`, and what went meanwhile is in no list: `onList` gets the names that are there.
   *
   * @param onTrouble told of each failure; it goes on trying
   */
  async watch<T extends { readonly metadata: { readonly name: string } }>(
    collection: string,
    query: Readonly<Record<string, string>>,
    on: {
      readonly change: (change: Change<T>) => void;
      readonly list: (names: ReadonlySet<string>) => void;
      readonly trouble: (error: unknown) => void;
    },
    signal: AbortSignal,
  ): Promise<void> {
    let version: string | undefined;
    while (!signal.aborted) {
      try {
        if (version === undefined) {
          const list = (await this.#json("GET", this.#path(collection, undefined, query))) as {
            readonly items?: readonly T[];
            readonly metadata?: { readonly resourceVersion?: string };
          };
          const items = list.items ?? [];
          on.list(new Set(items.map(({ metadata }) => metadata.name)));
          for (const object of items) on.change({ type: "ADDED", object });
          version = list.metadata?.resourceVersion ?? "";
        }
        version = await this.#follow(collection, query, version, on.change, signal);
      } catch (error) {
        if (signal.aborted) return;
        on.trouble(error);
        version = undefined;
        await sleep(PAUSE_MS, undefined, { signal }).catch(() => {}); // the end of the watch ends the pause
      }
    }
  }

  async close(): Promise<void> {
    await this.#connections.destroy();
  }

  /** @returns the version to go on from; undefined when that is no longer known to the server */
  async #follow<T>(
    collection: string,
    query: Readonly<Record<string, string>>,
    from: string,
    onChange: (change: Change<T>) => void,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const path = this.#path(collection, undefined, {
      ...query,
      watch: "1",
      allowWatchBookmarks: "true",
      timeoutSeconds: String(WATCH_SECONDS),
      resourceVersion: from,
    });
    const { statusCode, body } = await this.#send("GET", path, undefined, signal);
    if (statusCode === GONE) return void (await body.dump());
    if (statusCode !== 200) throw refusal(statusCode, await body.text());
    let version = from;
    let rest = "";
    body.setEncoding("utf8");
    for await (const chunk of body as AsyncIterable<string>) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines.filter((one) => one !== "")) {
        const { type, object } = JSON.parse(line) as {
          readonly type: string;
          readonly object: T & { readonly code?: number; readonly metadata?: { resourceVersion?: string } };
        };
        if (type === "ERROR") {
          if (object.code === GONE) return undefined;
          throw refusal(object.code ?? 0, JSON.stringify(object));
        }
        version = object.metadata?.resourceVersion ?? version;
        if (type === "ADDED" || type === "MODIFIED" || type === "DELETED") onChange({ type, object });
      }
    }
    return version;
  }

  async #json(method: "GET" | "POST" | "DELETE", path: string, body?: object): Promise<unknown> {
    const answer = await this.#send(method, path, body, AbortSignal.timeout(CALL_MS));
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw refusal(answer.statusCode, text);
    return JSON.parse(text) as unknown;
  }

  #send(method: "GET" | "POST" | "DELETE", path: string, body: object | undefined, signal: AbortSignal) {
    const { server, token } = this.#access;
    return request(`${server}${path}`, {
      method,
      dispatcher: this.#connections,
      signal,
      headers: {
        authorization: `Bearer ${token()}`,
        accept: "application/json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  /** @param collection e.g. `apis/batch/v1/jobs`: the namespace goes before its last part */
  #path(collection: string, name?: string, query: Readonly<Record<string, string>> = {}): string {
    const group = collection.slice(0, collection.lastIndexOf("/"));
    const resource = collection.slice(collection.lastIndexOf("/") + 1);
    const path = ["", group, "namespaces", this.namespace, resource, ...(name === undefined ? [] : [name])];
    const text = new URLSearchParams(query).toString();
    return `${path.join("/")}${text === "" ? "" : `?${text}`}`;
  }
}

/** The server's own words where it has any. */
function refusal(status: number, text: string): ClusterRefusal {
  let message = text.slice(0, 300);
  try {
    message = (JSON.parse(text) as { readonly message?: string }).message ?? message;
  } catch {
    // A proxy's page, say: told as it is.
  }
  return new ClusterRefusal(status, message);
}
