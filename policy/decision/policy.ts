import type {
  Agreement,
  Archetype,
  Columns,
  Dataset,
  Relation,
  RequestType,
  Validity,
} from "../contract/documents.js";

/** A document with the revision at which it was last written. */
export interface Revised<T> {
  readonly value: T;
  readonly revision: number;
}

/** What one user may do with one steward's data. Only what the agreement as a whole offers counts. */
export interface CompiledRelation {
  /** Where each request type stands in the rule. */
  readonly requestTypes: ReadonlyMap<string, number>;
  /** Absent: all that the request type names. */
  readonly dataSets: ReadonlySet<string> | undefined;
  /** Limits by data set. */
  readonly columns: ReadonlyMap<string, ReadonlySet<string>> | undefined;
  readonly archetypes: ReadonlySet<string>;
  /** By name. */
  readonly computeProviders: readonly string[];
  /** Whether microservices may live on here from round to round. */
  readonly persistence: boolean;
  /** Milliseconds since 1970, both included: the narrower of the agreement's and the user's own. What is no number holds never. */
  readonly from: number;
  readonly until: number;
}

/** An agreement, ready for quick questions. Its document is not kept: with many users that is more memory than all the rest. */
export interface CompiledAgreement {
  readonly name: string;
  readonly revision: number;
  /** Each user's rule, at {@link numberOf} that user. */
  readonly rules: readonly (CompiledRelation | undefined)[];
  /** Its bounds of time as written, for reasons. */
  readonly validity: Validity;
  /** Of users whose rule has bounds of its own. */
  readonly validities: ReadonlyMap<string, Validity>;
}

/** What is read of one data set. */
export interface Read {
  readonly dataSet: string;
  /** Undefined: all that are not sensitive. */
  readonly columns: readonly string[] | undefined;
  /** Those among `columns` that a rule must name, since their data set calls them sensitive. */
  readonly sensitive: readonly string[];
}

/** Sensitive columns by data set, as rules and request types write columns. */
export type Sensitive = ReadonlyMap<string, ReadonlySet<string>>;

export interface CompiledRequestType {
  readonly name: string;
  readonly reads: readonly Read[];
  /** Data sets that it reads. */
  readonly dataSets: ReadonlySet<string>;
  readonly requireAll: boolean | undefined;
  /** Whether its microservices live on from round to round: then each party must allow that. */
  readonly persistence: boolean;
  /** As the data sets' documents were when this was compiled. */
  readonly sensitive: Sensitive;
}

/** All documents that a decision needs, as of one moment, ready for quick questions. */
export interface Policy {
  readonly agreements: ReadonlyMap<string, CompiledAgreement>;
  /** Most preferred first. */
  readonly archetypes: ReadonlyMap<string, Archetype>;
  readonly requestTypes: ReadonlyMap<string, CompiledRequestType>;
}

/** Makes a policy of documents. They must be valid (see `policy/contract/schemas.ts`); one that is not gives no rights, so leave it out. */
export function compile(
  agreements: Iterable<Revised<Agreement>>,
  archetypes: Iterable<Archetype>,
  requestTypes: Iterable<RequestType>,
  dataSets: Iterable<Dataset>,
): Policy {
  const sensitive = sensitiveColumns(dataSets);
  return {
    agreements: new Map(Array.from(agreements, (a) => [a.value.name, compileAgreement(a)])),
    archetypes: compileArchetypes(archetypes),
    requestTypes: new Map(Array.from(requestTypes, (t) => [t.name, compileRequestType(t, sensitive)])),
  };
}

export function compileAgreement({ value, revision }: Revised<Agreement>): CompiledAgreement {
  const rules: CompiledRelation[] = [];
  const validities = new Map<string, Validity>();
  for (const [user, relation] of Object.entries(value.relations)) {
    rules[numbered(user)] = shared(effective(value, relation));
    if (relation.notBefore !== undefined || relation.notAfter !== undefined)
      validities.set(user, validityOf(relation));
  }
  return { name: value.name, revision, rules, validity: validityOf(value), validities };
}

const validityOf = ({ notBefore, notAfter }: Validity): Validity => ({
  ...(notBefore === undefined ? {} : { notBefore }),
  ...(notAfter === undefined ? {} : { notAfter }),
});

/**
 * Users by number, so that a name is looked up once a decision and not once an agreement: most of a decision's time goes to memory that is in no cache.
 * Names stay for as long as this process: they are few beside the agreements' texts, which the store keeps for ever.
 */
const numbers = new Map<string, number>();
/** Has no rule anywhere. */
const NOBODY = 0;

/** The number of a user; one that no agreement has ever named is nobody. */
export const numberOf = (user: string): number => numbers.get(user) ?? NOBODY;

function numbered(user: string): number {
  const known = numbers.get(user) ?? numbers.size + 1;
  numbers.set(user, known);
  return known;
}

/** A user's rule with what the agreement as a whole takes away from it. */
interface Effective extends Pick<CompiledRelation, "computeProviders" | "persistence" | "from" | "until"> {
  readonly requestTypes: readonly string[];
  readonly dataSets: readonly string[] | undefined;
  readonly columns: Columns | undefined;
  readonly archetypes: readonly string[];
}

function effective(agreement: Agreement, relation: Relation): Effective {
  const { requestTypes, dataSets, columns, allowedArchetypes, allowedComputeProviders } = relation;
  return {
    requestTypes,
    dataSets,
    columns,
    archetypes: allowedArchetypes.filter((a) => agreement.archetypes.includes(a)),
    computeProviders: allowedComputeProviders.filter((c) => agreement.computeProviders.includes(c)).sort(),
    persistence: relation.persistence === "job",
    from: Math.max(begins(agreement), begins(relation)),
    until: Math.min(ends(agreement), ends(relation)),
  };
}

/**
 * Rules that say the same are one object, whoever's they are: a marketplace has many users and few kinds of rules, and what is asked of thousands of
 * agreements then stays in the processor's cache.
 */
const known = new Map<string, CompiledRelation>();
/** Rules may come that are never used again: then all are forgotten, and those that are in use go on unshared. */
const MOST_KNOWN = 20_000;

function shared(rule: Effective): CompiledRelation {
  const { requestTypes, dataSets, columns, archetypes, computeProviders, persistence, from, until } = rule;
  // JSON has no infinity and no NaN, so the times as texts.
  const key = JSON.stringify([
    requestTypes,
    dataSets,
    columns,
    archetypes,
    computeProviders,
    persistence,
    `${from} ${until}`,
  ]);
  let compiled = known.get(key);
  if (compiled === undefined) {
    compiled = {
      requestTypes: new Map(requestTypes.map((type, i) => [type, i])),
      dataSets: dataSets && new Set(dataSets),
      columns: columns && new Map(Object.entries(columns).map(([name, allowed]) => [name, new Set(allowed)])),
      archetypes: new Set(archetypes),
      computeProviders: [...new Set(computeProviders)],
      persistence,
      from,
      until,
    };
    if (known.size >= MOST_KNOWN) known.clear();
    known.set(key, compiled);
  }
  return compiled;
}

/** Most preferred first. */
export function compileArchetypes(archetypes: Iterable<Archetype>): ReadonlyMap<string, Archetype> {
  return new Map([...archetypes].sort(byWeight).map((a) => [a.name, a]));
}

/** A data set without a document has no sensitive columns here; agents hand out nothing of it. */
export function sensitiveColumns(dataSets: Iterable<Dataset>): Sensitive {
  return new Map(
    Array.from(dataSets, ({ name, tables, sensitive_columns = {} }) => [
      name,
      new Set(
        Object.entries(sensitive_columns).flatMap(([table, columns]) =>
          columns.map((column) => (tables.length > 1 ? `${table}.${column}` : column)),
        ),
      ),
    ]),
  );
}

export function compileRequestType(
  { name, dataSets = [], columns = {}, requireAll, persistence }: RequestType,
  sensitive: Sensitive,
): CompiledRequestType {
  const reads = readsOf(dataSets, columns, sensitive);
  return {
    name,
    reads,
    dataSets: new Set(reads.map((r) => r.dataSet)),
    requireAll,
    persistence: persistence === "job",
    sensitive,
  };
}

/** What naming these data sets and columns reads. Columns alone name their data set as well. */
export function readsOf(
  dataSets: readonly string[],
  columns: Columns,
  sensitive: Sensitive,
): readonly Read[] {
  const names = new Set([...dataSets, ...Object.keys(columns).sort()]);
  return Array.from(names, (dataSet) =>
    readOf(dataSet, Object.hasOwn(columns, dataSet) ? columns[dataSet] : undefined, sensitive),
  );
}

export function readOf(dataSet: string, columns: readonly string[] | undefined, sensitive: Sensitive): Read {
  const ofSet = sensitive.get(dataSet);
  return {
    dataSet,
    columns,
    sensitive: ofSet === undefined ? [] : (columns ?? []).filter((column) => ofSet.has(column)),
  };
}

const begins = ({ notBefore }: Validity): number =>
  notBefore === undefined ? Number.NEGATIVE_INFINITY : Date.parse(notBefore);
const ends = ({ notAfter }: Validity): number =>
  notAfter === undefined ? Number.POSITIVE_INFINITY : Date.parse(notAfter);

/** The order in which archetypes are preferred: lowest weight first, then by name. */
export function byWeight(a: Archetype, b: Archetype): number {
  return a.weight - b.weight || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}
