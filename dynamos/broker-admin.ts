import { setTimeout as sleep } from "node:timers/promises";
import { InfraError } from "../infra/problem.js";
import { EXCHANGE } from "../policy/contract/names.js";
import { BROKER_ADMIN, type BrokerRights, QUEUE_ARGUMENTS, VHOST } from "./broker-definitions.js";

/** How long the management interface may take to listen after the broker does. */
const patienceSeconds = 20;
const callSeconds = 5;
const vhost = encodeURIComponent(VHOST);

/**
 * The broker's management interface over HTTP (RabbitMQ, "Management HTTP API"), as far as agents need it.
 * Throws InfraError: BUS-ADMIN-UNREACHABLE when it does not answer, BUS-ADMIN when it refuses.
 */
export class BrokerAdmin {
  readonly #base: string;
  readonly #authorization: string;

  constructor(port: number, password: string) {
    this.#base = `http://127.0.0.1:${port}/api`;
    this.#authorization = `Basic ${Buffer.from(`${BROKER_ADMIN}:${password}`).toString("base64")}`;
  }

  /** Makes the user, its rights, and its queue with its binding; what is there already is made so. */
  async put(rights: BrokerRights, passwordHash: string): Promise<void> {
    const { user, queue, configure, write, read, topicWrite, topicRead } = rights;
    await this.#ready();
    await this.#call("PUT", `/users/${encodeURIComponent(user)}`, {
      password_hash: passwordHash,
      hashing_algorithm: "rabbit_password_hashing_sha256",
      tags: "",
    });
    await this.#call("PUT", `/topic-permissions/${vhost}/${encodeURIComponent(user)}`, {
      exchange: EXCHANGE,
      write: topicWrite,
      read: topicRead,
    });
    if (queue !== undefined) {
      await this.#call("PUT", `/queues/${vhost}/${encodeURIComponent(queue)}`, {
        durable: true,
        auto_delete: false,
        arguments: QUEUE_ARGUMENTS,
      });
      await this.#call("POST", `/bindings/${vhost}/e/${EXCHANGE}/q/${encodeURIComponent(queue)}`, {
        routing_key: queue,
        arguments: {},
      });
    }
    // Last, so that the agent can do nothing before all is in place.
    await this.#call("PUT", `/permissions/${vhost}/${encodeURIComponent(user)}`, { configure, write, read });
  }

  /** Whether the user has exactly these rights, and the queue is there. The password is not looked at. */
  async has(rights: BrokerRights): Promise<boolean> {
    const user = encodeURIComponent(rights.user);
    const [permission, topics, queue] = await Promise.all([
      this.#call("GET", `/permissions/${vhost}/${user}`),
      this.#call("GET", `/topic-permissions/${vhost}/${user}`),
      rights.queue === undefined
        ? "none"
        : this.#call("GET", `/queues/${vhost}/${encodeURIComponent(rights.queue)}`),
    ]);
    const found = permission as Partial<BrokerRights> | undefined;
    if (found === undefined || queue === undefined) return false;
    if (found.configure !== rights.configure || found.write !== rights.write || found.read !== rights.read)
      return false;
    const topic = (
      Array.isArray(topics) ? (topics as readonly { exchange?: string; write?: string; read?: string }[]) : []
    ).find((t) => t.exchange === EXCHANGE);
    return topic?.write === rights.topicWrite && topic.read === rights.topicRead;
  }

  /** Removes the user, which ends its connections, and its queue. Fine when they are gone. */
  async remove({ user, queue }: Pick<BrokerRights, "user" | "queue">): Promise<void> {
    await this.#call("DELETE", `/users/${encodeURIComponent(user)}`);
    if (queue !== undefined) await this.#call("DELETE", `/queues/${vhost}/${encodeURIComponent(queue)}`);
  }

  /** Waits until it answers: it listens a moment after the broker does. */
  async #ready(): Promise<void> {
    const deadline = performance.now() + patienceSeconds * 1000;
    for (;;) {
      try {
        await this.#call("GET", "/whoami");
        return;
      } catch (error) {
        const refused = error instanceof InfraError && error.code === "BUS-ADMIN";
        if (refused || performance.now() > deadline) throw error;
      }
      await sleep(50);
    }
  }

  /** The answer; undefined for 404 and for an empty one. */
  async #call(method: string, path: string, body?: unknown): Promise<unknown> {
    let response: Response;
    try {
      response = await fetch(`${this.#base}${path}`, {
        method,
        headers: {
          authorization: this.#authorization,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        signal: AbortSignal.timeout(callSeconds * 1000),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      throw new InfraError(
        {
          code: "BUS-ADMIN-UNREACHABLE",
          path: BROKER_ADMIN,
          message: `the broker's management interface does not answer: ${reason(error)}`,
          remedy: "see `dynamos-fabric logs broker`; `up` starts a broker that is down",
        },
        { cause: error },
      );
    }
    const text = await response.text();
    if (response.status === 404 && method !== "PUT" && method !== "POST") return undefined;
    if (!response.ok) {
      throw new InfraError({
        code: "BUS-ADMIN",
        path: BROKER_ADMIN,
        message: `the broker refused ${method} ${decodeURIComponent(path)}: ${response.status} ${text.slice(0, 200)}`,
        remedy: "see `dynamos-fabric logs broker`",
      });
    }
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  }
}

/** fetch hides the reason in its cause. */
function reason(error: unknown): string {
  const cause = error instanceof Error ? (error.cause as { readonly code?: string } | undefined) : undefined;
  return cause?.code ?? (error instanceof Error ? error.message : String(error));
}
