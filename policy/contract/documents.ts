/** The documents that people write and the store holds. Their JSON Schemas are in `schemas.ts`. */

/** When a rule counts, both moments included: RFC 3339 with seconds and zone, e.g. `2026-12-31T23:59:59Z`. Absent: from ever, for ever. */
export interface Validity {
  readonly notBefore?: string;
  readonly notAfter?: string;
}

/** Columns by data set. Of a data set with several tables a column is written `table.column`. */
export type Columns = Readonly<Record<string, readonly string[]>>;

/** What one user may do with one steward's data. Its times narrow the agreement's. */
export interface Relation extends Validity {
  readonly ID: string;
  readonly requestTypes: readonly string[];
  /** Data sets the user may use. Absent: all that the request type names. */
  readonly dataSets?: readonly string[];
  /** Of these data sets only these columns. Of a data set that is not here: all. */
  readonly columns?: Columns;
  /** `job`: a microservice here may live on from round to round of one job of this user. Absent: it ends with each round. */
  readonly persistence?: Persistence;
  readonly allowedArchetypes: readonly string[];
  readonly allowedComputeProviders: readonly string[];
}

/** What a microservice may keep in memory and in its working folder from round to round: all, until its job ends. */
export type Persistence = "job";

/** What becomes of a round that is open when its job loses its permission. */
export type OnRevocation = "endRound" | "stop";

/** A data steward's agreement: the only source of rights. No relation, no right. Its times hold for all its relations. */
export interface Agreement extends Validity {
  readonly name: string;
  /** When a change takes a running job's permission away: the open round may end, or it stops at once. Absent: `endRound`. */
  readonly onRevocation?: OnRevocation;
  /** By user name, e.g. `ada@uva.nl`. */
  readonly relations: Readonly<Record<string, Relation>>;
  readonly computeProviders: readonly string[];
  readonly archetypes: readonly string[];
}

/** Answers of parties in one role that parties in another (or the same) role may get. */
export interface Flow {
  readonly from: Role;
  readonly to: Role;
}

/** How data and computation meet. The data of others are seen only by a compute provider, and by whom `flows` lets see answers. */
export interface Archetype {
  readonly name: string;
  /** Who computes: each data provider on its own data, another party (it may give data as well), or a party that gives none. */
  readonly computeProvider: "dataProvider" | "other" | "thirdParty";
  /**
   * Between which roles answers go from one party to another. Absent: from data providers to the compute provider and back. A request type whose
   * workflow needs more cannot be composed in this archetype. Where the data providers compute, nothing goes anywhere.
   */
  readonly flows?: readonly Flow[];
  readonly resultRecipient: "requestor";
  /** The lowest weight that every party allows is chosen; equal weights by name. */
  readonly weight: number;
}

export type Role = "dataProvider" | "computeProvider";

/** Where a step's input comes from: another step of the same round. */
export interface StepInput {
  readonly step: string;
  /** Give each agent only the part that bears its name, not all of them. */
  readonly scatter?: boolean;
  /** Only the agent's own answer to that step, not the other agents': both steps have one role, and nothing leaves the agent. */
  readonly own?: boolean;
}

/** One microservice call at every agent of a role. Steps run when all their inputs are there. */
export interface WorkflowStep {
  readonly name: string;
  /** A microservice by name. */
  readonly service: string;
  readonly role: Role;
  readonly inputs?: readonly StepInput[];
  /**
   * How often it is asked again when its microservice reports a failure, within the round's time. Only for a step that may be asked twice: one that
   * learns from round to round may not. A microservice that died or hung is not asked again. Default 0, at most 5.
   */
  readonly retries?: number;
  /** Limit of one attempt in seconds, where it is shorter than the agent's own (25 s). */
  readonly seconds?: number;
}

/** A directed acyclic graph of steps, done once or in rounds. */
export interface Workflow {
  /** Number of rounds: the name of the request's data field that says it. Absent: one round. */
  readonly rounds?: string;
  readonly steps: readonly WorkflowStep[];
  /** The step whose JSON answer is the round's (and, in the last round, the job's) result. */
  readonly result: string;
}

export interface RequestType {
  readonly name: string;
  readonly requiredServices: readonly string[];
  readonly optionalServices?: readonly string[];
  /** Data sets a request of this type reads. */
  readonly dataSets?: readonly string[];
  /** Of these data sets it reads only these columns. Of a data set that is not here: all. */
  readonly columns?: Columns;
  /**
   * Whether all data providers must allow. `true`: no request can say otherwise. `false`: a request that says nothing goes on with those that allow.
   * Absent: all, unless the request's option `requireAll` is false.
   */
  readonly requireAll?: boolean;
  /**
   * `job`: its microservices live on from round to round of one job, e.g. because they learn; each party's agreement must allow it. Absent: they are
   * ephemeral, and with each round they and what they wrote are gone.
   */
  readonly persistence?: Persistence;
  /** JSON Schema of the request's `data`. */
  readonly schema?: Readonly<Record<string, unknown>>;
  readonly workflow?: Workflow;
}

export interface Microservice {
  readonly name: string;
  readonly label: "dataProvider" | "computeProvider" | "aggregate";
  readonly allowedOutputs: readonly string[];
  readonly invalidArchetypes: readonly string[];
  /** How an agent that runs processes starts it, relative to the experiment's folder. `.mts` and `.js` run on Node, `.py` on python3. */
  readonly entry?: string;
}

export interface Dataset {
  readonly name: string;
  readonly type: "csv";
  readonly delimiter: string;
  readonly tables: readonly string[];
  readonly sensitive_columns?: Readonly<Record<string, readonly string[]>>;
}

/** Who is there to work: written by an agent under a lease. */
export interface OnlineAgent {
  readonly name: string;
  readonly ActiveSince: string;
  readonly ConfigUpdated: string;
  readonly routingKey: string;
  /** `host:port` of its HTTP side. */
  readonly dns: string;
}

/** A job as its coordinator records it. */
export interface JobRecord {
  readonly job: string;
  readonly user: string;
  readonly requestType: string;
  readonly archetype: string;
  readonly dataProviders: readonly string[];
  readonly computeProviders: readonly string[];
  readonly createdAt: string;
}

/** Written in one transaction that compares the agreements' revisions; its own revision is the round's token. */
export interface RoundRecord {
  readonly job: string;
  readonly round: number;
  /** Agreement (mod) revision by party, as compared. */
  readonly agreements: Readonly<Record<string, number>>;
  readonly openedAt: string;
}

export const DOCUMENT_KINDS = ["agreement", "archetype", "requestType", "microservice", "dataset"] as const;
export type DocumentKind = (typeof DOCUMENT_KINDS)[number];
export interface DocumentOf {
  agreement: Agreement;
  archetype: Archetype;
  requestType: RequestType;
  microservice: Microservice;
  dataset: Dataset;
}
