import type { ServiceSpec } from "../infra/local/service.js";
import { AUDIT_FOLDER_NAME } from "../policy/contract/audit.js";
import { brokerConfiguration, brokerDefinitions, brokerSecret, jobsUser } from "./broker-definitions.js";
import { type AgentPlace, agentService, OUTSIDE_NODE, type Placement } from "./placement.js";
import { agentKeySecret, storeSecret } from "./store-rights.js";

/** Names of the services that every marketplace on this machine has. */
export const EMULATOR = "emulator";
export const EPMD = "epmd";
export const BROKER = "broker";
export const STORE = "store";
export const ENFORCER = "policy-enforcer";
export const ORCHESTRATOR = "orchestrator";
export const GATEWAY = "api-gateway";
/** Gives users their tokens where no issuer is configured. */
export const DEVELOPMENT_ISSUER = "development-issuer";

/** The emulator's memory, in its own folder. */
export const EMULATOR_STATE = "state.json";

/** The secret that calls to the orchestrator's API bear. */
export const OPERATOR_TOKEN = "operator-token";

/** The secret that a token of the development issuer is asked for with. */
export const ISSUER_SECRET = "issuer-secret";

/** Whose tokens are taken. */
export interface UsersInput {
  /** URL of an OpenID Connect issuer. */
  readonly issuer: string;
  readonly audience: string;
  readonly userClaim: string;
  readonly rolesClaim: string;
  /** Certificates (PEM) by which the issuer is known. @default the public ones */
  readonly ca?: string;
}

/** What the services follow from. */
export interface ServicesInput {
  readonly placement: Placement;
  /** The experiment's folder, relative to Pulumi.yaml. */
  readonly experiment: string;
  readonly ports?: { readonly gateway?: number | undefined } | undefined;
  /** Absent: a development issuer of the stack's own. */
  readonly users?: UsersInput | undefined;
}

/** All services of a marketplace on this machine but the outside world's: the core's first, then one agent a party. */
export function marketplaceServices(input: ServicesInput): readonly ServiceSpec[] {
  return [
    ...coreServices(input),
    ...input.placement.agents.map((agent) => agentServiceSpec(agent, input.experiment)),
  ];
}

/** The services of the core node, each after what it needs. They do not depend on who the agents are. */
export function coreServices({
  placement,
  ports,
  users,
}: Omit<ServicesInput, "experiment">): readonly ServiceSpec[] {
  const node = placement.core;
  return [
    epmd(node),
    broker(node),
    store(node),
    ...(users === undefined ? [developmentIssuer(node)] : []),
    policyService(ENFORCER, "enforcer", node, { AUDIT_FOLDER: `{{folder}}/${AUDIT_FOLDER_NAME}` }),
    takingUsers(
      policyService(ORCHESTRATOR, "orchestrator", node, {
        OPERATOR_TOKEN_FILE: `{{secretFile:${OPERATOR_TOKEN}}}`,
      }),
      users,
    ),
    takingUsers(policyService(GATEWAY, "gateway", node, {}, ports?.gateway ?? 0), users),
  ];
}

/** A party's agent, on its node. */
export function agentServiceSpec({ party, node, data }: AgentPlace, experiment: string): ServiceSpec {
  const folder = `{{project}}/${experimentPath(experiment)}`;
  return policyService(agentService(party), "agent", node, {
    AGENT_NAME: party,
    AGENT_KEY_FILE: `{{secretFile:${agentKeySecret(agentService(party))}}}`,
    EXPERIMENT_FOLDER: folder,
    DATA_FOLDER: data ?? `${folder}/data/${party}`,
    WORK_FOLDER: "{{folder}}/work",
    JOBS_AMQP_USER: jobsUser(party),
    JOBS_AMQP_PASSWORD_FILE: `{{secretFile:${brokerSecret(jobsUser(party))}}}`,
  });
}

/** FABRIC's API on this machine, with its state in its own folder. */
export function emulatorService(): ServiceSpec {
  return {
    name: EMULATOR,
    node: OUTSIDE_NODE,
    command: ["{{node}}", "{{package}}/dist/infra/fabric/emulator/main.js"],
    env: { HTTP_HOST: "127.0.0.1", HTTP_PORT: "{{port:http}}", STATE_FILE: `{{folder}}/${EMULATOR_STATE}` },
    ports: { http: 0 },
    ready: { http: "http", path: "/healthz" },
  };
}

/** `./titanic/` as `titanic`, so that two ways to write one folder give one specification. */
function experimentPath(folder: string): string {
  const parts = folder.split("/").filter((part) => part !== "" && part !== ".");
  return parts.length === 0 ? "." : parts.join("/");
}

/** Erlang's port mapper, which the broker would else start for itself and leave behind. */
function epmd(node: string): ServiceSpec {
  return {
    name: EPMD,
    node,
    command: ["{{tool:epmd}}", "-address", "127.0.0.1", "-port", "{{port:epmd}}"],
    ports: { epmd: 0 },
    ready: { tcp: "epmd" },
  };
}

function broker(node: string): ServiceSpec {
  return {
    name: BROKER,
    node,
    command: ["{{tool:rabbitmq-server}}"],
    env: {
      // Erlang's cookie lies in HOME.
      HOME: "{{folder}}",
      ERL_EPMD_PORT: "{{port:epmd/epmd}}",
      ERL_EPMD_ADDRESS: "127.0.0.1",
      RABBITMQ_NODENAME: "broker@localhost",
      RABBITMQ_DIST_PORT: "{{port:distribution}}",
      RABBITMQ_MNESIA_BASE: "{{folder}}/data",
      RABBITMQ_LOG_BASE: "{{folder}}/log",
      RABBITMQ_CONFIG_FILE: "{{folder}}/rabbitmq.conf",
      // A name that is not there: a system's own settings in /etc must not reach this broker.
      RABBITMQ_CONF_ENV_FILE: "{{folder}}/rabbitmq-env.conf",
      RABBITMQ_ENABLED_PLUGINS_FILE: "{{folder}}/enabled_plugins",
      RABBITMQ_PID_FILE: "{{folder}}/pid",
      // Idle schedulers do not spin, and distribution stays on loopback.
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
        "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
    },
    ports: { amqp: 0, management: 0, distribution: 0 },
    files: [
      { path: "rabbitmq.conf", content: brokerConfiguration() },
      { path: "definitions.json", content: brokerDefinitions() },
      { path: "enabled_plugins", content: "[rabbitmq_management].\n" },
    ],
    // Definitions are in before it listens.
    ready: { tcp: "amqp" },
    needs: [EPMD],
    startSeconds: 120,
    stopSeconds: 20,
  };
}

function store(node: string): ServiceSpec {
  const client = "http://127.0.0.1:{{port:client}}";
  const peer = "http://127.0.0.1:{{port:peer}}";
  const flags = {
    name: STORE,
    "data-dir": "{{folder}}/data",
    "listen-client-urls": "http://{{listen}}:{{port:client}}",
    "advertise-client-urls": client,
    "listen-peer-urls": peer,
    "initial-advertise-peer-urls": peer,
    "initial-cluster": `${STORE}=${peer}`,
    // History is evidence: the checker reads every revision. With nothing compacted the default quota of 2 GB could fill up.
    "auto-compaction-retention": "0",
    "quota-backend-bytes": String(8 * 1024 ** 3),
    // Its users' passwords are long and random: a slow hash would only slow their log-ins.
    "bcrypt-cost": "4",
  };
  return {
    name: STORE,
    node,
    command: ["{{tool:etcd}}", ...Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`)],
    ports: { client: 0, peer: 0 },
    ready: { http: "client", path: "/health" },
  };
}

function developmentIssuer(node: string): ServiceSpec {
  return {
    name: DEVELOPMENT_ISSUER,
    node,
    command: ["{{node}}", "{{package}}/dist/policy/issuer/main.js"],
    env: {
      HTTP_HOST: "127.0.0.1",
      HTTP_PORT: "{{port:http}}",
      KEYS_FILE: "{{folder}}/keys.json",
      ISSUER_SECRET_FILE: `{{secretFile:${ISSUER_SECRET}}}`,
    },
    ports: { http: 0 },
    ready: { http: "http", path: "/healthz" },
  };
}

const ISSUER_CA = "issuer-ca.pem";

/** A service that verifies users' tokens: told whose. */
function takingUsers(spec: ServiceSpec, users: UsersInput | undefined): ServiceSpec {
  if (users === undefined)
    return {
      ...spec,
      env: { ...spec.env, OIDC_ISSUER: `http://127.0.0.1:{{port:${DEVELOPMENT_ISSUER}/http}}` },
      needs: [...(spec.needs ?? []), DEVELOPMENT_ISSUER],
    };
  const { issuer, audience, userClaim, rolesClaim, ca } = users;
  return {
    ...spec,
    ...(ca === undefined ? {} : { files: [...(spec.files ?? []), { path: ISSUER_CA, content: ca }] }),
    env: {
      ...spec.env,
      OIDC_ISSUER: issuer,
      OIDC_AUDIENCE: audience,
      OIDC_USER_CLAIM: userClaim,
      OIDC_ROLES_CLAIM: rolesClaim,
      // Node takes them beside the public ones.
      ...(ca === undefined ? {} : { NODE_EXTRA_CA_CERTS: `{{folder}}/${ISSUER_CA}` }),
    },
  };
}

/** A service of ours: same environment for all (docs/architecture.md), its own users at broker and store, and their passwords' files. */
function policyService(
  name: string,
  room: string,
  node: string,
  env: Readonly<Record<string, string>> = {},
  port = 0,
): ServiceSpec {
  return {
    name,
    node,
    command: ["{{node}}", `{{package}}/dist/policy/${room}/main.js`],
    env: {
      SERVICE_NAME: name,
      AMQP_HOST: `{{host:${BROKER}}}`,
      AMQP_PORT: `{{port:${BROKER}/amqp}}`,
      AMQP_USER: name,
      AMQP_PASSWORD_FILE: `{{secretFile:${brokerSecret(name)}}}`,
      ETCD_ENDPOINT: `{{host:${STORE}}}:{{port:${STORE}/client}}`,
      ETCD_USER: name,
      ETCD_PASSWORD_FILE: `{{secretFile:${storeSecret(name)}}}`,
      HTTP_HOST: "{{listen}}",
      HTTP_PORT: "{{port:http}}",
      LOG_LEVEL: "info",
      ...env,
    },
    ports: { http: port },
    ready: { http: "http", path: "/healthz" },
    needs: [BROKER, STORE],
  };
}
