import type { Agreement, Archetype, Relation, RequestType } from "../contract/documents.js";
import { allowed, type Reason } from "./reasons.js";

/** A document with the revision at which it was last written. */
export interface Revised<T> {
  readonly value: T;
  readonly revision: number;
}

/** What one user may do with one steward's data. Only what the agreement as a whole offers counts. */
export interface CompiledRelation {
  /** The rule that allows a request type, as a reason: made once. */
  readonly requestTypes: ReadonlyMap<string, Reason>;
  /** Absent: all that the request type names. */
  readonly dataSets: ReadonlySet<string> | undefined;
  readonly archetypes: ReadonlySet<string>;
  /** By name. */
  readonly computeProviders: readonly string[];
}

/** An agreement whose relations are compiled when they are first asked for: most users do not come before the next change. */
export class CompiledAgreement {
  readonly steward: string;
  readonly revision: number;
  readonly #agreement: Agreement;
  readonly #relations: Map<string, CompiledRelation>;

  constructor({ value, revision }: Revised<Agreement>) {
    this.steward = value.name;
    this.revision = revision;
    this.#agreement = value;
    let relations = compiledRelations.get(value);
    if (relations === undefined) {
      relations = new Map();
      compiledRelations.set(value, relations);
    }
    this.#relations = relations;
  }

  relation(user: string): CompiledRelation | undefined {
    const known = this.#relations.get(user);
    if (known !== undefined) return known;
    const { relations } = this.#agreement;
    const relation = Object.hasOwn(relations, user) ? relations[user] : undefined;
    if (relation === undefined) return undefined;
    const compiled = compileRelation(this.#agreement, user, relation);
    this.#relations.set(user, compiled);
    return compiled;
  }
}

/** All documents that a decision needs, as of one moment, ready for quick questions. It never changes: a new state is a new policy. */
export interface Policy {
  readonly agreements: ReadonlyMap<string, CompiledAgreement>;
  /** Most preferred first. */
  readonly archetypes: ReadonlyMap<string, Archetype>;
  readonly requestTypes: ReadonlyMap<string, RequestType>;
}

/** Agreements are replaced, never changed in place: what was compiled of one stays right as long as the object lives. */
const compiledRelations = new WeakMap<Agreement, Map<string, CompiledRelation>>();

/**
 * Makes a policy of documents. They must be valid (see `policy/contract/schemas.ts`); one that is not gives no rights, so leave it out.
 * Agreements must not be changed afterwards.
 */
export function compile(
  agreements: Iterable<Revised<Agreement>>,
  archetypes: Iterable<Archetype>,
  requestTypes: Iterable<RequestType>,
): Policy {
  return {
    agreements: new Map(Array.from(agreements, (a) => [a.value.name, new CompiledAgreement(a)])),
    archetypes: new Map([...archetypes].sort(byWeight).map((a) => [a.name, a])),
    requestTypes: new Map(Array.from(requestTypes, (t) => [t.name, t])),
  };
}

function compileRelation(agreement: Agreement, user: string, relation: Relation): CompiledRelation {
  return {
    requestTypes: new Map(
      relation.requestTypes.map((type, i) => [type, allowed(agreement.name, user, type, i)]),
    ),
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
