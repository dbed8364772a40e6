import {
  type CompiledRelation,
  type CompiledRequestType,
  numberOf,
  type Policy,
  type Read,
} from "./policy.js";
import {
  allowsDataSet,
  type DecisionRequest,
  distinct,
  hasAgreed,
  holds,
  letsLive,
  readsOfRequest,
  requiresAll,
} from "./request.js";

/**
 * Whether {@link decide} would allow, and nothing else: it stops at the first "no" and says no reasons. For those who ask about very many requests,
 * e.g. about all running jobs after a change.
 *
 * @param now - milliseconds since 1970
 */
export function allows(request: DecisionRequest, policy: Policy, now: number): boolean {
  const type = policy.requestTypes.get(request.requestType);
  const { archetype } = request;
  if (type === undefined || request.user === "") return false;
  if (archetype !== undefined && !policy.archetypes.has(archetype)) return false;
  const user = numberOf(request.user);
  const needAll = requiresAll(request, type);
  const reads = readsOfRequest(request, type);
  const asked = distinct(request.dataProviders);
  const parties: string[] = [];
  const relations: CompiledRelation[] = [];
  for (const party of asked) {
    const relation = policy.agreements.get(party)?.rules[user];
    if (
      relation !== undefined &&
      permits(relation, type, reads, now) &&
      (needAll || isPossible([relation], asked, user, type, request, policy, now))
    ) {
      parties.push(party);
      relations.push(relation);
    } else if (needAll) return false;
  }
  return isPossible(relations, parties, user, type, request, policy, now);
}

/** Whether a rule allows what is read, now, to this type of request. */
export function permits(
  relation: CompiledRelation,
  type: CompiledRequestType,
  reads: readonly Read[],
  now: number,
): boolean {
  if (!relation.requestTypes.has(type.name) || !letsLive(relation, type) || !holds(relation, now))
    return false;
  for (const { dataSet, columns, sensitive } of reads) {
    if (!allowsDataSet(relation, type, dataSet)) return false;
    const limit = relation.columns?.get(dataSet);
    if (limit === undefined) {
      if (sensitive.length > 0) return false;
      continue;
    }
    if (columns === undefined) return false;
    for (const column of columns) if (!limit.has(column)) return false;
  }
  return true;
}

/** Whether there is an archetype that all these allow and in which somebody may compute. */
function isPossible(
  relations: readonly CompiledRelation[],
  parties: readonly string[],
  user: number,
  type: CompiledRequestType,
  request: DecisionRequest,
  policy: Policy,
  now: number,
): boolean {
  const [first] = relations;
  if (first === undefined) return false;
  const { archetype, computeProvider: wanted } = request;
  for (const here of AT_THE_DATA_FIRST) {
    for (const { name, computeProvider } of policy.archetypes.values()) {
      if ((computeProvider === "dataProvider") !== here) continue;
      if ((archetype ?? name) !== name || !all(relations, (r) => r.archetypes.has(name))) continue;
      if (here) {
        if (wanted === undefined || parties.includes(wanted)) return true;
        continue;
      }
      for (const party of first.computeProviders) {
        if (
          (wanted ?? party) === party &&
          all(relations, (r) => r.computeProviders.includes(party)) &&
          hasAgreed(party, user, type, policy, now)
        )
          return true;
      }
    }
  }
  return false;
}

/** Where the data providers compute nobody else's agreement has to be looked at. */
const AT_THE_DATA_FIRST = [true, false];

/** `Array.every` as a loop: this is where the time goes. */
function all<T>(values: readonly T[], test: (value: T) => boolean): boolean {
  for (const value of values) if (!test(value)) return false;
  return true;
}
