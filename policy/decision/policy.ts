import type { Agreement, Archetype, Relation, RequestType } from "../contract/documents.js";

/** A document with the revision at which it was last written. */
export interface Revised<T> {
  readonly value: T;
  readonly revision: number;
}

/** What one user may do with one steward's data. Only what the agreement as a whole offers counts. */
export interface CompiledRelation {
  readonly requestTypes: ReadonlyMap<string, number>;
  /** Absent: all that the request type names. */
  readonly dataSets: ReadonlySet<string> | undefined;
  readonly archetypes: ReadonlySet<string>;
  /** By name. */
  readonly computeProviders: readonly string[];
}

export interface CompiledAgreement {
  readonly steward: string;
  readonly revision: number;
  readonly relations: ReadonlyMap<string, CompiledRelation>;
}

/** All documents that a decision needs, as of one moment, ready for quick questions. It never changes: a new state is a new policy. */
export interface Policy {
  readonly agreements: ReadonlyMap<string, CompiledAgreement>;
  readonly archetypes: ReadonlyMap<string, Archetype>;
  readonly requestTypes: ReadonlyMap<string, RequestType>;
}

/** Agreements are replaced, never changed in place: what was compiled of one stays right as long as the object lives. */
const compiledRelations = new WeakMap<Agreement, CompiledAgreement["relations"]>();

/**
 * Makes a policy of documents. They must be valid (see `policy/contract/schemas.ts`); one that is not gives no rights, so leave it out.
 * Compiling again after one change costs that one agreement, as long as the other agreements are the same objects.
 */
export function compile(
  agreements: Iterable<Revised<Agreement>>,
  archetypes: Iterable<Archetype>,
  requestTypes: Iterable<RequestType>,
): Policy {
  const compiled = new Map<string, CompiledAgreement>();
  for (const { value, revision } of agreements) {
    let relations = compiledRelations.get(value);
    if (relations === undefined) {
      relations = new Map(
        Object.entries(value.relations).map(([user, relation]) => [user, compileRelation(value, relation)]),
      );
      compiledRelations.set(value, relations);
    }
    compiled.set(value.name, { steward: value.name, revision, relations });
  }
  return {
    agreements: compiled,
    archetypes: new Map([...archetypes].sort(byWeight).map((a) => [a.name, a])),
    requestTypes: new Map([...requestTypes].map((t) => [t.name, t])),
  };
}

function compileRelation(agreement: Agreement, relation: Relation): CompiledRelation {
  return {
    requestTypes: new Map(relation.requestTypes.map((type, i) => [type, i])),
    dataSets: relation.dataSets === undefined ? undefined : new Set(relation.dataSets),
    archetypes: new Set(relation.allowedArchetypes.filter((a) => agreement.archetypes.includes(a))),
    computeProviders: [
      ...new Set(relation.allowedComputeProviders.filter((c) => agreement.computeProviders.includes(c))),
    ].sort(),
  };
}

/** The order in which archetypes are preferred: lowest weight first, then by name. */
export function byWeight(a: Archetype, b: Archetype): number {
  return a.weight - b.weight || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}
