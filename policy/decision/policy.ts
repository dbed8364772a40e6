import type {
  Agreement,
  Archetype,
  Columns,
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
  /** Milliseconds since 1970, both included: the narrower of the agreement's and the user's own. What is no number holds never. */
  readonly from: number;
  readonly until: number;
}

/** An agreement, ready for quick questions. */
export interface CompiledAgreement {
  readonly document: Agreement;
  readonly revision: number;
  readonly relations: ReadonlyMap<string, CompiledRelation>;
}

/** What is read of each data set: these columns, or (undefined) all. */
export type Reads = ReadonlyMap<string, readonly string[] | undefined>;

export interface CompiledRequestType {
  readonly reads: Reads;
  readonly requireAll: boolean | undefined;
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
): Policy {
  return {
    agreements: new Map(Array.from(agreements, (a) => [a.value.name, compileAgreement(a)])),
    archetypes: compileArchetypes(archetypes),
    requestTypes: new Map(Array.from(requestTypes, (t) => [t.name, compileRequestType(t)])),
  };
}

export function compileAgreement({ value, revision }: Revised<Agreement>): CompiledAgreement {
  // Most users of an agreement have the same rights: they share what is compiled of them.
  const shared = new Map<string, Omit<CompiledRelation, "from" | "until">>();
  const relations = new Map<string, CompiledRelation>();
  for (const [user, relation] of Object.entries(value.relations)) {
    const { requestTypes, dataSets, columns, allowedArchetypes, allowedComputeProviders } = relation;
    const key = JSON.stringify([requestTypes, dataSets, columns, allowedArchetypes, allowedComputeProviders]);
    let rights = shared.get(key);
    if (rights === undefined) {
      rights = compileRights(value, relation);
      shared.set(key, rights);
    }
    const from = Math.max(begins(value), begins(relation));
    const until = Math.min(ends(value), ends(relation));
    relations.set(user, { ...rights, from, until });
  }
  return { document: value, revision, relations };
}

function compileRights(agreement: Agreement, relation: Relation): Omit<CompiledRelation, "from" | "until"> {
  const { requestTypes, dataSets, columns, allowedArchetypes, allowedComputeProviders } = relation;
  return {
    requestTypes: new Map(requestTypes.map((type, i) => [type, i])),
    dataSets: dataSets && new Set(dataSets),
    columns: columns && new Map(Object.entries(columns).map(([name, allowed]) => [name, new Set(allowed)])),
    archetypes: new Set(allowedArchetypes.filter((a) => agreement.archetypes.includes(a))),
    computeProviders: [
      ...new Set(allowedComputeProviders.filter((c) => agreement.computeProviders.includes(c))),
    ].sort(),
  };
}

/** Most preferred first. */
export function compileArchetypes(archetypes: Iterable<Archetype>): ReadonlyMap<string, Archetype> {
  return new Map([...archetypes].sort(byWeight).map((a) => [a.name, a]));
}

export function compileRequestType({
  dataSets = [],
  columns = {},
  requireAll,
}: RequestType): CompiledRequestType {
  return { reads: readsOf(dataSets, columns), requireAll };
}

/** What naming these data sets and columns reads. Columns alone name their data set as well. */
export function readsOf(dataSets: readonly string[], columns: Columns): Reads {
  const names = [...dataSets, ...Object.keys(columns).sort()];
  return new Map(names.map((name) => [name, Object.hasOwn(columns, name) ? columns[name] : undefined]));
}

const begins = ({ notBefore }: Validity): number =>
  notBefore === undefined ? Number.NEGATIVE_INFINITY : Date.parse(notBefore);
const ends = ({ notAfter }: Validity): number =>
  notAfter === undefined ? Number.POSITIVE_INFINITY : Date.parse(notAfter);

/** The order in which archetypes are preferred: lowest weight first, then by name. */
export function byWeight(a: Archetype, b: Archetype): number {
  return a.weight - b.weight || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}
