import { combine, type Option, whyNotAlone } from "./combine.js";
import { type CompiledRelation, numberOf, type Policy } from "./policy.js";
import {
  noRights,
  type ProviderDecision,
  type Question,
  refused,
  type Verdict,
  verdictOf,
} from "./provider.js";
import type { Reason } from "./reasons.js";
import * as reason from "./reasons.js";
import { type DecisionRequest, distinct, readsOfRequest, requiresAll } from "./request.js";

export interface Decision {
  readonly decision: "allow" | "deny";
  /** In the order asked. Of an allowance, those that are not allowed are left out of what is done. */
  readonly providers: readonly ProviderDecision[];
  /** What all that take part allow, most preferred first. Not empty when allowed, empty when denied. */
  readonly options: readonly Option[];
  /** Of a denial: every reason against it. Of an allowance: the rules that allow it, one a party; then why others are left out. */
  readonly reasons: readonly Reason[];
  /** Mod revision of each agreement that was used, by party; also of those that refused. */
  readonly agreements: Readonly<Record<string, number>>;
}

/**
 * Decides. Denied unless the data providers' agreements have each a rule for the user that holds now and allows the request type, its data sets and
 * columns and a common archetype, and where that archetype computes elsewhere, a common compute provider which itself has agreed to that
 * request type for that user.
 *
 * All data providers must allow; where that is not required, those are left out that would be denied if they were asked alone.
 *
 * Pure: the same request, policy and moment give the same decision, in whatever order documents and fields were written.
 *
 * @param now - milliseconds since 1970
 */
export function decide(request: DecisionRequest, policy: Policy, now: number): Decision {
  const parties = distinct(request.dataProviders);
  const type = policy.requestTypes.get(request.requestType);
  const malformed = malformedReasons(request, policy);
  if (type === undefined || malformed.length > 0) {
    const providers = parties.map(noRights);
    return { decision: "deny", providers, options: [], reasons: malformed, agreements: {} };
  }
  const question: Question = {
    request,
    user: numberOf(request.user),
    policy,
    now,
    type,
    reads: readsOfRequest(request, type),
    agreed: new Map(),
  };
  const all = requiresAll(request, type);
  const verdicts = parties.map((party) => {
    const verdict = verdictOf(party, question);
    if (all || !verdict.provider.allowed) return verdict;
    const against = whyNotAlone(verdict, parties, question);
    return against.length === 0 ? verdict : refused(party, against, verdict.agreement, verdict.relation);
  });
  const providers = verdicts.map((v) => v.provider);
  const agreements: Record<string, number> = {};
  for (const { provider, agreement } of verdicts)
    if (agreement !== undefined) agreements[provider.party] = agreement.revision;
  const against = verdicts.flatMap((v) => v.against);
  const taking = verdicts.filter((v) => v.provider.allowed);
  if (taking.length === 0 || (all && against.length > 0))
    return { decision: "deny", providers, options: [], reasons: against, agreements };
  const combination = combine(taking, question);
  if ("against" in combination) {
    const reasons = [...against, ...combination.against];
    return { decision: "deny", providers, options: [], reasons, agreements };
  }
  const { options } = combination;
  const reasons = taking.map(({ provider, relation }) => ruleFor(provider.party, relation, question));
  for (const party of othersOf(options, taking)) {
    const agreement = policy.agreements.get(party);
    if (agreement !== undefined) agreements[party] = agreement.revision;
    reasons.push(ruleFor(party, agreement?.rules[question.user], question));
  }
  reasons.push(...against);
  return { decision: "allow", providers, options, reasons, agreements };
}

function malformedReasons(request: DecisionRequest, policy: Policy): readonly Reason[] {
  const { requestType, user, dataProviders, archetype } = request;
  return [
    ...(policy.requestTypes.has(requestType) ? [] : [reason.requestTypeUnknown(requestType)]),
    ...(user === "" ? [reason.noUser()] : []),
    ...(dataProviders.length === 0 ? [reason.noProvider()] : []),
    ...(archetype === undefined || policy.archetypes.has(archetype)
      ? []
      : [reason.archetypeUnknown(archetype)]),
  ];
}

/** Parties that may compute, and are not data providers that take part. */
function othersOf(options: readonly Option[], taking: readonly Verdict[]): readonly string[] {
  const others: string[] = [];
  for (const { computeProviders } of options)
    for (const party of computeProviders)
      if (!others.includes(party) && !taking.some((v) => v.provider.party === party)) others.push(party);
  return others;
}

/** What allows it: the rule in the agreement of a data provider, or of another party that may compute. */
function ruleFor(party: string, rule: CompiledRelation | undefined, { request }: Question): Reason {
  const { user, requestType } = request;
  return reason.allowed(party, user, requestType, rule?.requestTypes.get(requestType) ?? 0);
}
