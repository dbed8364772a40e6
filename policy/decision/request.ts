import type { Columns } from "../contract/documents.js";
import {
  type CompiledRelation,
  type CompiledRequestType,
  type Policy,
  type Read,
  readOf,
  readsOf,
} from "./policy.js";

/** What is asked. */
export interface DecisionRequest {
  readonly requestType: string;
  /** The user's name, as agreements know it. */
  readonly user: string;
  /** A name given twice counts once. */
  readonly dataProviders: readonly string[];
  /** Data sets asked for, on top of those that the request type names. */
  readonly dataSets?: readonly string[];
  /** Columns asked for, on top of those that the request type names. Of a data set that only the request names: these instead of all. */
  readonly columns?: Columns;
  /** Of a composed job: only this archetype will do. */
  readonly archetype?: string;
  /** Of a composed job: only this party may compute. With an archetype that computes at the data providers: absent, or one of them. */
  readonly computeProvider?: string;
  /** Whether all data providers must allow. Without it, and against `false` too, the request type's document counts. */
  readonly requireAll?: boolean;
}

/** A request type that says `true` has the last word; else the request has, and where it says nothing, all must allow. */
export function requiresAll({ requireAll }: DecisionRequest, type: CompiledRequestType): boolean {
  return type.requireAll === true || (requireAll ?? type.requireAll ?? true);
}

/** What a request of a type reads: what the type says and what the request asks for on top. */
export function readsOfRequest(
  { dataSets, columns }: DecisionRequest,
  type: CompiledRequestType,
): readonly Read[] {
  if (dataSets === undefined && columns === undefined) return type.reads;
  const { sensitive } = type;
  const asked = new Map(
    readsOf(dataSets ?? [], columns ?? {}, sensitive).map((read) => [read.dataSet, read]),
  );
  const both = type.reads.map((read) => {
    const more = asked.get(read.dataSet);
    if (more?.columns === undefined) return read;
    // Of a data set that is read as a whole, a sensitive column is read only if somebody names it.
    if (read.columns === undefined) return { ...read, sensitive: more.sensitive };
    return readOf(read.dataSet, [...new Set([...read.columns, ...more.columns])], sensitive);
  });
  for (const [dataSet, more] of asked) {
    if (!type.dataSets.has(dataSet)) both.push(more);
  }
  return both;
}

/** Whether a rule holds at this moment (milliseconds since 1970). A bound that is no time holds never. */
export const holds = ({ from, until }: CompiledRelation, now: number): boolean => from <= now && now <= until;

/** Whether the relation lets the user see this data set. Without a list of its own it allows those that the request type names. */
export function allowsDataSet(
  { dataSets }: CompiledRelation,
  type: CompiledRequestType,
  name: string,
): boolean {
  return dataSets === undefined ? type.dataSets.has(name) : dataSets.has(name);
}

/** Whether the microservices of this request type may live as long as it needs, as far as this rule goes. */
export const letsLive = ({ persistence }: CompiledRelation, type: CompiledRequestType): boolean =>
  persistence || !type.persistence;

/**
 * Whether a party has itself agreed to this request type for this user: without that it computes for nobody.
 *
 * @param user - the user's number
 */
export function hasAgreed(
  party: string,
  user: number,
  type: CompiledRequestType,
  policy: Policy,
  now: number,
): boolean {
  const relation = policy.agreements.get(party)?.rules[user];
  return relation !== undefined && letsCompute(relation, type, now);
}

/** Whether by this rule of its own a party may compute for others. */
export const letsCompute = (relation: CompiledRelation, type: CompiledRequestType, now: number): boolean =>
  relation.requestTypes.has(type.name) && letsLive(relation, type) && holds(relation, now);

/** Each name once. Nearly always that is what was given: to see that costs less than to make a set. */
export function distinct(names: readonly string[]): readonly string[] {
  if (names.length <= FEW && names.every((name, i) => names.indexOf(name) === i)) return names;
  return [...new Set(names)];
}
const FEW = 16;
