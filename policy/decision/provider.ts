import type { CompiledAgreement, CompiledRelation, CompiledRequestType, Policy, Read } from "./policy.js";
import type { Reason } from "./reasons.js";
import * as reason from "./reasons.js";
import { allowsDataSet, type DecisionRequest, hasAgreed, holds, letsLive } from "./request.js";

/** What one data provider allows. */
export interface ProviderDecision {
  readonly party: string;
  readonly allowed: boolean;
  /** Archetypes that it allows, most preferred first. Empty where not allowed. */
  readonly archetypes: readonly string[];
  /** Other parties that it lets compute and that have agreed to it themselves, by name. Empty where not allowed. */
  readonly computeProviders: readonly string[];
}

/** What one data provider says, before the parties are taken together. */
export interface Verdict {
  readonly provider: ProviderDecision;
  readonly agreement: CompiledAgreement | undefined;
  readonly relation: CompiledRelation | undefined;
  /** Why not. Empty where allowed. */
  readonly against: readonly Reason[];
}

/** A question, with all that is needed to answer it. */
export interface Question {
  readonly request: DecisionRequest;
  /** The user's number. */
  readonly user: number;
  readonly policy: Policy;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly type: CompiledRequestType;
  readonly reads: readonly Read[];
  /** Of each list of compute providers, those that have agreed: stewards whose rules say the same share one list. */
  readonly agreed: Map<readonly string[], readonly string[]>;
}

/** One data provider's answer by itself. */
export function verdictOf(party: string, question: Question): Verdict {
  const { request, policy, now, type, reads } = question;
  const { user, requestType } = request;
  const agreement = policy.agreements.get(party);
  if (agreement === undefined) return refused(party, [reason.providerUnknown(party)]);
  const relation = agreement.rules[question.user];
  if (relation === undefined) return refused(party, [reason.noAgreement(party, user)], agreement);
  const against: Reason[] = [];
  if (!holds(relation, now)) against.push(...timeReasons(agreement, user, now));
  if (!relation.requestTypes.has(requestType))
    against.push(reason.requestTypeRefused(party, user, requestType));
  if (!letsLive(relation, type)) against.push(reason.persistenceRefused(party, user, requestType));
  for (const read of reads) {
    if (!allowsDataSet(relation, type, read.dataSet))
      against.push(reason.dataSetRefused(party, user, read.dataSet));
    else columnReasons(party, user, relation, read, against);
  }
  const archetypes: string[] = [];
  for (const name of policy.archetypes.keys()) {
    if (relation.archetypes.has(name) && (request.archetype ?? name) === name) archetypes.push(name);
  }
  if (archetypes.length === 0) against.push(reason.archetypeRefused(party, user, request.archetype));
  if (against.length > 0) return refused(party, against, agreement, relation);
  const computeProviders = agreedOf(relation.computeProviders, question);
  return { provider: { party, allowed: true, archetypes, computeProviders }, agreement, relation, against };
}

function agreedOf(parties: readonly string[], question: Question): readonly string[] {
  const { type, user, policy, now, agreed } = question;
  let found = agreed.get(parties);
  if (found === undefined) {
    found = parties.filter((party) => hasAgreed(party, user, type, policy, now));
    agreed.set(parties, found);
  }
  return found;
}

export function refused(
  party: string,
  against: readonly Reason[],
  agreement?: CompiledAgreement,
  relation?: CompiledRelation,
): Verdict {
  return { provider: noRights(party), agreement, relation, against };
}

/** What a data provider allows that does not allow. */
export const noRights = (party: string): ProviderDecision => ({
  party,
  allowed: false,
  archetypes: [],
  computeProviders: [],
});

/** Why a rule does not hold now: the bounds that are not kept, the user's own and the agreement's. */
export function timeReasons(agreement: CompiledAgreement, user: string, now: number): Reason[] {
  const { name: party, validity, validities } = agreement;
  return [
    { rule: validities.get(user), of: user },
    { rule: validity, of: undefined },
  ].flatMap(({ rule, of }) => {
    const { notBefore, notAfter } = rule ?? {};
    return [
      ...(notBefore === undefined || Date.parse(notBefore) <= now
        ? []
        : [reason.notYet(party, of, notBefore)]),
      ...(notAfter === undefined || now <= Date.parse(notAfter) ? [] : [reason.expired(party, of, notAfter)]),
    ];
  });
}

function columnReasons(
  party: string,
  user: string,
  { columns: limits }: CompiledRelation,
  { dataSet, columns, sensitive }: Read,
  against: Reason[],
): void {
  const limit = limits?.get(dataSet);
  if (limit === undefined) {
    for (const column of sensitive) against.push(reason.sensitiveRefused(party, user, dataSet, column));
    return;
  }
  if (columns === undefined) {
    against.push(reason.columnsRefused(party, user, dataSet));
    return;
  }
  for (const column of columns) {
    if (!limit.has(column)) against.push(reason.columnRefused(party, user, dataSet, column));
  }
}
