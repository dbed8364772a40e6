import { CodedError } from "../contract/problem.js";
import { answering } from "./patience.js";

/** The broker's management interface (RabbitMQ, "Management HTTP API"), and who may change its users. */
export interface BrokerManagement {
  /** E.g. `http://broker.dynamos-core.svc:15672`. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /** How long it may take to answer at all. Default 60 s. */
  readonly patienceMs?: number;
}

/** As far as it is read here: the rest is RabbitMQ's. */
interface Definitions {
  readonly users: readonly { readonly name: string }[];
  readonly queues: readonly { readonly name: string }[];
}

/** What was taken away, for the log. */
export interface Removed {
  readonly users: readonly string[];
  readonly queues: readonly string[];
}

/** Agents and their microservices are the only users that come and go, and agents the only listeners. */
const AGENT = /^(agent|jobs)-/;
const AGENT_QUEUE = /-in$/;
const VHOST = encodeURIComponent("/");
const CALL_MS = 10_000;

/**
 * Makes a running broker what its definitions say: adds and changes what they name, and takes away agents, with their queues, that they do
 * not name any more. Those that stay are not disturbed.
 *
 * @param text a definitions file, as RabbitMQ loads it
 * @throws CodedError `BUS-ADMIN-UNREACHABLE` when it does not answer in time, `BUS-ADMIN` when it refuses
 */
export async function applyDefinitions(broker: BrokerManagement, text: string): Promise<Removed> {
  const definitions = JSON.parse(text) as Definitions;
  // It listens a moment after the broker does.
  await answering(() => call(broker, "GET", "/whoami"), broker.patienceMs);
  await call(broker, "POST", "/definitions", text);
  const namesOf = async (path: string): Promise<string[]> =>
    ((await call(broker, "GET", path)) as readonly { readonly name: string }[]).map(({ name }) => name);
  const gone = (found: readonly string[], kept: Definitions["users"], mine: RegExp): string[] =>
    found.filter((name) => mine.test(name) && !kept.some((one) => one.name === name));
  // First the user, which ends its connections: it could declare its queue again.
  const users = gone(await namesOf("/users"), definitions.users, AGENT);
  for (const user of users) await call(broker, "DELETE", `/users/${encodeURIComponent(user)}`);
  const queues = gone(await namesOf(`/queues/${VHOST}`), definitions.queues, AGENT_QUEUE);
  for (const queue of queues) await call(broker, "DELETE", `/queues/${VHOST}/${encodeURIComponent(queue)}`);
  return { users, queues };
}

async function call(
  { url, user, password }: BrokerManagement,
  method: string,
  path: string,
  body?: string,
): Promise<unknown> {
  const remedy = "see the broker's log, and that its administrator's password is the one it was made with";
  let response: Response;
  try {
    response = await fetch(`${url}/api${path}`, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      signal: AbortSignal.timeout(CALL_MS),
      ...(body === undefined ? {} : { body }),
    });
  } catch (error) {
    const cause =
      error instanceof Error ? (error.cause as { readonly code?: string } | undefined) : undefined;
    const message = `no answer from ${url}: ${cause?.code ?? String(error)}`;
    throw new CodedError({ code: "BUS-ADMIN-UNREACHABLE", path: url, message, remedy }, { cause: error });
  }
  const text = await response.text();
  // Gone already: another run took it away.
  if (response.status === 404 && method === "DELETE") return undefined;
  if (!response.ok) {
    const message = `the broker refused ${method} ${decodeURIComponent(path)}: ${response.status} ${text.slice(0, 200)}`;
    throw new CodedError({ code: "BUS-ADMIN", path: url, message, remedy });
  }
  return text === "" ? undefined : (JSON.parse(text) as unknown);
}
