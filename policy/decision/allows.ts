import type { CompiledRelation, CompiledRequestType, Policy, Reads } from "./policy.js";
import {
  allowsDataSet,
  type DecisionRequest,
  distinct,
  hasAgreed,
  holds,
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
  const { user, archetype } = request;
  if (type === undefined || user === "") return false;
  if (archetype !== undefined && !policy.archetypes.has(archetype)) return false;
  const all = requiresAll(request, type);
  const reads = readsOfRequest(request, type);
  const asked = distinct(request.dataProviders);
  const parties: string[] = [];
  const relations: CompiledRelation[] = [];
  for (const party of asked) {
    const relation = policy.agreements.get(party)?.relations.get(user);
    if (
      relation !== undefined &&
      permits(relation, request, type, reads, now) &&
      (all || isPossible([relation], asked, request, policy, now))
    ) {
      parties.push(party);
      relations.push(relation);
    } else if (all) return false;
  }
  return isPossible(relations, parties, request, policy, now);
}

/** Whether a rule allows what is read, now, to this type of request. */
function permits(
  relation: CompiledRelation,
  request: DecisionRequest,
  type: CompiledRequestType,
  reads: Reads,
  now: number,
): boolean {
  if (!relation.requestTypes.has(request.requestType) || !holds(relation, now)) return false;
  for (const [name, columns] of reads) {
    if (!allowsDataSet(relation, type, name)) return false;
    const limit = relation.columns?.get(name);
    if (limit !== undefined && (columns === undefined || !columns.every((c) => limit.has(c)))) return false;
  }
  return true;
}

/** Whether there is an archetype that all these allow and in which somebody may compute. */
function isPossible(
  relations: readonly CompiledRelation[],
  parties: readonly string[],
  request: DecisionRequest,
  policy: Policy,
  now: number,
): boolean {
  const [first, ...rest] = relations;
  if (first === undefined) return false;
  const wanted = request.computeProvider;
  for (const { name, computeProvider } of policy.archetypes.values()) {
    if ((request.archetype ?? name) !== name || !relations.every((r) => r.archetypes.has(name))) continue;
    if (computeProvider === "dataProvider") {
      if (wanted === undefined || parties.includes(wanted)) return true;
    } else {
      for (const party of wanted === undefined ? first.computeProviders : [wanted]) {
        const named =
          (wanted === undefined || first.computeProviders.includes(party)) &&
          rest.every((r) => r.computeProviders.includes(party));
        if (named && hasAgreed(party, request, policy, now)) return true;
      }
    }
  }
  return false;
}
