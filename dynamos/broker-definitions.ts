import {
  agentQueue,
  DEAD_LETTER_EXCHANGE,
  DEAD_LETTER_QUEUE,
  ENFORCER_QUEUE,
  EXCHANGE,
  GATEWAY_QUEUE,
  ORCHESTRATOR_QUEUE,
} from "../policy/contract/names.js";

/** The broker's user that adds and removes agents; no service bears this name. */
export const BROKER_ADMIN = "broker-admin";
/** The one virtual host. */
export const VHOST = "/";

/** The name of the secret that holds a broker user's password. */
export const brokerSecret = (user: string): string => (user === BROKER_ADMIN ? user : `broker-${user}`);

/** What a user may do at the broker: patterns of names, as RabbitMQ matches them. */
export interface BrokerRights {
  readonly user: string;
  /** The queue it listens on. Absent: it has none of its own that is made for it. */
  readonly queue?: string;
  readonly configure: string;
  readonly write: string;
  readonly read: string;
  /** Routing keys it may publish with, and bind. */
  readonly topicWrite: string;
  readonly topicRead: string;
}

/** The core services: queue, and the routing keys each has a reason to publish with. */
const CORE_USERS: readonly { readonly user: string; readonly queue: string; readonly sendsTo: string }[] = [
  // To the enforcer, the gateway and each agent; the agents are not known here, so that adding one changes nothing at the broker.
  { user: "orchestrator", queue: ORCHESTRATOR_QUEUE, sendsTo: "^.+-in$" },
  { user: "policy-enforcer", queue: ENFORCER_QUEUE, sendsTo: `^${ORCHESTRATOR_QUEUE}$` },
  { user: "api-gateway", queue: GATEWAY_QUEUE, sendsTo: `^${ORCHESTRATOR_QUEUE}$` },
];

/** The least a service needs: declare, bind and read its own queues, and publish to whom it talks. */
function rights(
  user: string,
  queue: string,
  own: string,
  sendsTo: string,
): BrokerRights & { readonly queue: string } {
  return {
    user,
    queue,
    configure: `^(${own})$`,
    // A queue with a dead-letter exchange is declared only by a user who may write to that exchange; binding writes to the queue.
    write: `^(${EXCHANGE}|${DEAD_LETTER_EXCHANGE}|${own})$`,
    read: `^(${EXCHANGE}|${own})$`,
    topicWrite: sendsTo,
    topicRead: `^(${own})$`,
  };
}

/** The rights of the core services. */
export const coreRights = (): readonly BrokerRights[] =>
  CORE_USERS.map(({ user, queue, sendsTo }) => rights(user, queue, queue, sendsTo));

/**
 * A job's queues are its id (32 hex digits, fixed length, so that no party's name can be the end of another's), the agent in lower case, and a
 * digit: contract, jobQueue.
 */
const jobQueues = (party: string): string => `[0-9a-f]{32}${party.toLowerCase()}[1-9]`;

/** The rights of a party's agent: its own queue, the queues of its jobs, and the orchestrator's to write to. */
export function agentRights(user: string, party: string): BrokerRights {
  const own = `${agentQueue(party)}|${jobQueues(party)}`;
  return rights(user, agentQueue(party), own, `^(${ORCHESTRATOR_QUEUE}|${own})$`);
}

/** The user of a party's microservices. No service bears such a name. */
export const jobsUser = (party: string): string => `jobs-${party.toLowerCase()}`;

/** The rights of a party's microservices: to read the queues of the party's jobs and to answer its agent, and nothing else. They make no queue and bind none. */
export const jobsRights = (party: string): BrokerRights => ({
  user: jobsUser(party),
  configure: NOTHING,
  write: `^${EXCHANGE}$`,
  read: `^${jobQueues(party)}$`,
  topicWrite: `^${agentQueue(party)}$`,
  topicRead: NOTHING,
});
/** Matches no name but the empty one, which is none. */
const NOTHING = "^$";

/** The users of a party: its agent's, and its microservices'. */
export const partyRights = (service: string, party: string): readonly BrokerRights[] => [
  agentRights(service, party),
  jobsRights(party),
];

/** The arguments that DYNAMOS declares its queues with; others are refused with 406. */
export const QUEUE_ARGUMENTS = { "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE } as const;

/**
 * RabbitMQ's definitions at start, as a template of a ServiceSpec's file: exchanges, the dead-letter queue, the core services' users, rights
 * and queues, and an administrator by which agents are added while the broker runs.
 *
 * @param agents those that are known at start. Default: none, so that an agent changes nothing at the broker's own specification
 */
export function brokerDefinitions(agents: readonly BrokerRights[] = []): string {
  const known = [...coreRights(), ...agents];
  const listening = known.flatMap(({ queue: name }) => (name === undefined ? [] : [name]));
  const bind = (source: string, queue: string, key: string) => ({
    source,
    vhost: VHOST,
    destination: queue,
    destination_type: "queue",
    routing_key: key,
    arguments: {},
  });
  const queue = (name: string, args: object) => ({
    name,
    vhost: VHOST,
    durable: true,
    auto_delete: false,
    arguments: args,
  });
  const exchange = (name: string, type: string) => ({
    name,
    vhost: VHOST,
    type,
    durable: true,
    auto_delete: false,
    internal: false,
    arguments: {},
  });
  const user = (name: string, tags: readonly string[]) => ({
    name,
    password_hash: `{{rabbitmqHash:${brokerSecret(name)}}}`,
    hashing_algorithm: "rabbit_password_hashing_sha256",
    tags,
  });
  const definitions = {
    vhosts: [{ name: VHOST }],
    users: [user(BROKER_ADMIN, ["administrator"]), ...known.map((r) => user(r.user, []))],
    permissions: [
      // It declares agents' queues, so it needs their names; it has nothing to read or publish.
      {
        user: BROKER_ADMIN,
        vhost: VHOST,
        configure: "^.+-in$",
        write: `^(.+-in|${DEAD_LETTER_EXCHANGE})$`,
        read: `^(.+-in|${EXCHANGE})$`,
      },
      ...known.map(({ user: name, configure, write, read }) => ({
        user: name,
        vhost: VHOST,
        configure,
        write,
        read,
      })),
    ],
    topic_permissions: known.map((r) => ({
      user: r.user,
      vhost: VHOST,
      exchange: EXCHANGE,
      write: r.topicWrite,
      read: r.topicRead,
    })),
    exchanges: [exchange(EXCHANGE, "topic"), exchange(DEAD_LETTER_EXCHANGE, "fanout")],
    queues: [...listening.map((name) => queue(name, QUEUE_ARGUMENTS)), queue(DEAD_LETTER_QUEUE, {})],
    bindings: [
      ...listening.map((name) => bind(EXCHANGE, name, name)),
      bind(DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, ""),
    ],
  };
  return `${JSON.stringify(definitions, null, 1)}\n`;
}

/** rabbitmq.conf: no guest, nothing but the definitions decides who there is. Relative paths: a folder may have spaces. */
export function brokerConfiguration(): string {
  return [
    "listeners.tcp.1 = {{listen}}:{{port:amqp}}",
    "management.tcp.ip = {{listen}}",
    "management.tcp.port = {{port:management}}",
    // The management plugin is here to add users and queues; its statistics would cost every message.
    "management_agent.disable_metrics_collector = true",
    "load_definitions = definitions.json",
    "log.console = true",
    "log.console.level = info",
    "log.file = false",
    "",
  ].join("\n");
}
