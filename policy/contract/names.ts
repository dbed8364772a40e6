/** Names of DYNAMOS on the broker and in the store (../shared/facts/protocol.md). */

export const EXCHANGE = "topic_exchange";
export const DEAD_LETTER_EXCHANGE = "dead-letter-exchange";
export const DEAD_LETTER_QUEUE = "dead_letter";

export const ORCHESTRATOR_QUEUE = "orchestrator-in";
export const ENFORCER_QUEUE = "policyEnforcer-in";
export const GATEWAY_QUEUE = "api-gateway-in";

/** The queue an agent listens on. */
export const agentQueue = (agent: string): string => `${agent}-in`;

/** The queue of one job's microservice chain at one agent. Durable, not auto-delete, deleted with the job. */
export const jobQueue = (job: string, agent: string): string => `${job}${agent.toLowerCase()}1`;

/** AMQP `type` of each message. */
export const MESSAGE = {
  requestApproval: "requestApproval",
  validationResponse: "validationResponse",
  requestApprovalResponse: "requestApprovalResponse",
  compositionRequest: "compositionRequest",
  request: "request",
  policyUpdate: "policyUpdate",
  microserviceCommunication: "microserviceCommunication",
} as const;
export type MessageType = (typeof MESSAGE)[keyof typeof MESSAGE];

/** `requestType` of the gateway's `microserviceCommunication` that cancels a job: `job_id`, and `metadata.user`, whose job it must be. */
export const CANCEL = "cancelRequest";

/** Keys in etcd. Values are JSON. A `Prefix` ends with a slash. */
export const KEY = {
  /** Never written: read to see whether the store answers, and which revision it has. */
  root: "/",
  agreementPrefix: "/policyEnforcer/agreements/",
  agreement: (steward: string): string => `/policyEnforcer/agreements/${steward}`,
  /** Public half of a grant-signing key (JWK), written by the enforcer that signs with it. */
  grantKeyPrefix: "/policyEnforcer/keys/",
  grantKey: (kid: string): string => `/policyEnforcer/keys/${kid}`,
  archetypePrefix: "/archetypes/",
  archetype: (name: string): string => `/archetypes/${name}`,
  requestTypePrefix: "/requestTypes/",
  requestType: (name: string): string => `/requestTypes/${name}`,
  datasetPrefix: "/datasets/",
  dataset: (name: string): string => `/datasets/${name}`,
  microservicePrefix: "/microservices/",
  microservice: (name: string): string => `/microservices/${name}/chainMetadata`,
  onlinePrefix: "/agents/online/",
  online: (agent: string): string => `/agents/online/${agent}`,
  /** An agent's public key (`AgentKey`), by which others know its word. */
  agentKeyPrefix: "/agents/keys/",
  agentKey: (agent: string): string => `/agents/keys/${agent}`,
  agentJobPrefix: (agent: string): string => `/agents/jobs/${agent}/`,
  agentJob: (agent: string, user: string, job: string): string => `/agents/jobs/${agent}/${user}/${job}`,
  jobPrefix: "/jobs/",
  job: (job: string): string => `/jobs/${job}`,
  /** How a job ended (`JobEnd` without its result). */
  jobEnd: (job: string): string => `/jobs/${job}/end`,
  /** What a deployment from inside a cluster wrote last, so that it overwrites nothing else. */
  deployedPrefix: "/deployed/documents/",
  deployed: (kind: string, name: string): string => `/deployed/documents/${kind}/${name}`,
  /** All that agents may know of the jobs of others: that one has ended. */
  endedPrefix: "/ended/",
  ended: (job: string): string => `/ended/${job}`,
  /** Apart from the jobs, as nobody but the enforcer may write here. */
  roundsPrefix: "/rounds/",
  roundPrefix: (job: string): string => `/rounds/${job}/`,
  /** Zero-padded so that etcd's order is the rounds' order. Rounds count from 1. */
  round: (job: string, round: number): string => `/rounds/${job}/${String(round).padStart(6, "0")}`,
} as const;
