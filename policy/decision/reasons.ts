import { documentPath } from "../contract/paths.js";

/** One reason for or against, as it travels in messages and answers. */
export interface Reason {
  readonly code: ReasonCode;
  /** Whose rule it is; empty: nobody's in particular. */
  readonly party: string;
  /** Of the rule, in the party's agreement or in the request. */
  readonly path: string;
  readonly message: string;
}

export type ReasonCode =
  | "POL-ALLOWED"
  | "POL-NO-USER"
  | "POL-NO-PROVIDER"
  | "POL-ROUND-UNBOUND"
  | "POL-REQUEST-TYPE-UNKNOWN"
  | "POL-ARCHETYPE-UNKNOWN"
  | "POL-PROVIDER-UNKNOWN"
  | "POL-NO-AGREEMENT"
  | "POL-NOT-YET"
  | "POL-EXPIRED"
  | "POL-REQUEST-TYPE"
  | "POL-DATA-SET"
  | "POL-COLUMN"
  | "POL-SENSITIVE"
  | "POL-PERSISTENCE"
  | "POL-ARCHETYPE"
  | "POL-NO-COMMON-ARCHETYPE"
  | "POL-COMPUTE-PROVIDER"
  | "POL-COMPUTE-PROVIDER-NO-AGREEMENT"
  | "POL-NO-COMMON-COMPUTE-PROVIDER";

/** The reasons of one decision are about one user, whose path takes the most time to write. */
let lastUser = "";
let lastRelation = documentPath(["relations", ""]);
function relationPath(user: string): string {
  if (user !== lastUser) {
    lastRelation = documentPath(["relations", user]);
    lastUser = user;
  }
  return lastRelation;
}
const rule = (user: string, field: string): string => `${relationPath(user)}.${field}`;
const list = (names: readonly string[]): string => (names.length === 0 ? "none" : names.join(", "));

export const allowed = (party: string, user: string, type: string, index: number): Reason => ({
  code: "POL-ALLOWED",
  party,
  path: `${rule(user, "requestTypes")}[${index}]`,
  message: `${party} allows ${type} to ${user}`,
});
export const noUser = (): Reason => ({
  code: "POL-NO-USER",
  party: "",
  path: "user.userName",
  message: "the request names no user",
});
export const noProvider = (): Reason => ({
  code: "POL-NO-PROVIDER",
  party: "",
  path: "dataProviders",
  message: "the request names no data provider",
});
export const roundUnbound = (field: string): Reason => ({
  code: "POL-ROUND-UNBOUND",
  party: "",
  path: field,
  message: `a round's request must say its ${field}`,
});
export const requestTypeUnknown = (type: string): Reason => ({
  code: "POL-REQUEST-TYPE-UNKNOWN",
  party: "",
  path: "type",
  message: `there is no request type ${type}`,
});
export const archetypeUnknown = (archetype: string): Reason => ({
  code: "POL-ARCHETYPE-UNKNOWN",
  party: "",
  path: "archetype",
  message: `there is no archetype ${archetype}`,
});
export const providerUnknown = (party: string): Reason => ({
  code: "POL-PROVIDER-UNKNOWN",
  party,
  path: "dataProviders",
  message: `there is no agreement of a party ${party}`,
});
export const noAgreement = (party: string, user: string): Reason => ({
  code: "POL-NO-AGREEMENT",
  party,
  path: relationPath(user),
  message: `${party} has no agreement for ${user}`,
});
const bound = (user: string | undefined, field: string): string =>
  user === undefined ? field : rule(user, field);
/** @param user - absent: the bound is the agreement's own */
export const notYet = (party: string, user: string | undefined, notBefore: string): Reason => ({
  code: "POL-NOT-YET",
  party,
  path: bound(user, "notBefore"),
  message: `${party} allows this only from ${notBefore} on`,
});
/** @param user - absent: the bound is the agreement's own */
export const expired = (party: string, user: string | undefined, notAfter: string): Reason => ({
  code: "POL-EXPIRED",
  party,
  path: bound(user, "notAfter"),
  message: `${party} allowed this only until ${notAfter}`,
});
export const requestTypeRefused = (party: string, user: string, type: string): Reason => ({
  code: "POL-REQUEST-TYPE",
  party,
  path: rule(user, "requestTypes"),
  message: `${party} does not allow ${type} to ${user}`,
});
export const dataSetRefused = (party: string, user: string, dataSet: string): Reason => ({
  code: "POL-DATA-SET",
  party,
  path: rule(user, "dataSets"),
  message: `${party} does not allow data set ${dataSet} to ${user}`,
});
const columnRule = (user: string, dataSet: string): string =>
  documentPath(["columns", dataSet], relationPath(user));
export const columnRefused = (party: string, user: string, dataSet: string, column: string): Reason => ({
  code: "POL-COLUMN",
  party,
  path: columnRule(user, dataSet),
  message: `${party} does not allow column ${column} of ${dataSet} to ${user}`,
});
export const columnsRefused = (party: string, user: string, dataSet: string): Reason => ({
  code: "POL-COLUMN",
  party,
  path: columnRule(user, dataSet),
  message: `${party} allows ${user} only some columns of ${dataSet}; the request reads all`,
});
/** Of a rule that limits no columns of the data set: one that does and lacks the column refuses it as any other. */
export const sensitiveRefused = (party: string, user: string, dataSet: string, column: string): Reason => ({
  code: "POL-SENSITIVE",
  party,
  path: columnRule(user, dataSet),
  message: `column ${column} of ${dataSet} is sensitive, and ${party} does not name it to ${user}`,
});
export const persistenceRefused = (party: string, user: string, type: string): Reason => ({
  code: "POL-PERSISTENCE",
  party,
  path: rule(user, "persistence"),
  message: `${type} keeps microservices from round to round, which ${party} does not allow ${user}`,
});
export const archetypeRefused = (party: string, user: string, archetype: string | undefined): Reason => ({
  code: "POL-ARCHETYPE",
  party,
  path: rule(user, "allowedArchetypes"),
  message:
    archetype === undefined
      ? `${party} allows ${user} no archetype that exists and that it offers`
      : `${party} does not allow ${archetype} to ${user}`,
});
export const noCommonArchetype = (party: string, user: string, names: readonly string[]): Reason => ({
  code: "POL-NO-COMMON-ARCHETYPE",
  party,
  path: rule(user, "allowedArchetypes"),
  message: `no archetype is allowed by all; ${party} allows ${list(names)}`,
});
export const computeProviderRefused = (party: string, user: string, computeProvider: string): Reason => ({
  code: "POL-COMPUTE-PROVIDER",
  party,
  path: rule(user, "allowedComputeProviders"),
  message: `${party} does not let ${computeProvider} compute for ${user}`,
});
export const noCommonComputeProvider = (party: string, user: string, names: readonly string[]): Reason => ({
  code: "POL-NO-COMMON-COMPUTE-PROVIDER",
  party,
  path: rule(user, "allowedComputeProviders"),
  message: `no compute provider is allowed by all; ${party} allows ${list(names)}`,
});
/** @param lacks - an agreement at all, or one for this user */
export const computeProviderUnagreed = (party: string, user: string, lacks: "none" | "user"): Reason => ({
  code: "POL-COMPUTE-PROVIDER-NO-AGREEMENT",
  party,
  path: relationPath(user),
  message:
    lacks === "none"
      ? `${party} may compute for the others, but has no agreement of its own`
      : `${party} may compute for the others, but has no agreement for ${user} itself`,
});
export const computeProviderTypeRefused = (party: string, user: string, type: string): Reason => ({
  code: "POL-COMPUTE-PROVIDER-NO-AGREEMENT",
  party,
  path: rule(user, "requestTypes"),
  message: `${party} may compute for the others, but does not allow ${type} to ${user} itself`,
});
/** What a compute provider's own rule does not allow, or not now, as the reason why it may not compute. */
export const ofComputeProvider = ({ party, path, message }: Reason): Reason => ({
  code: "POL-COMPUTE-PROVIDER-NO-AGREEMENT",
  party,
  path,
  message: `${party} may compute for the others, but not this or not now by its own agreement: ${message}`,
});
