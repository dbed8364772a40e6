import type { Archetype, RequestType } from "../contract/documents.js";
import type { CompiledRelation, Policy } from "./policy.js";
import type { Reason } from "./reasons.js";
import * as reason from "./reasons.js";

/** What is asked. */
export interface DecisionRequest {
  readonly requestType: string;
  /** The user's name, as agreements know it. */
  readonly user: string;
  /** All of them must allow; a name given twice counts once. */
  readonly dataProviders: readonly string[];
  /** Data sets asked for, on top of those that the request type names. */
  readonly dataSets?: readonly string[];
  /** Of a composed job: only this archetype will do. */
  readonly archetype?: string;
  /** Of a composed job: only this party may compute. With an archetype that computes at the data providers: absent, or one of them. */
  readonly computeProvider?: string;
}

/** What one data provider allows. */
export interface ProviderDecision {
  readonly party: string;
  readonly allowed: boolean;
  /** Archetypes that it allows, most preferred first. Empty where not allowed. */
  readonly archetypes: readonly string[];
  /** Other parties that it lets compute and that have agreed to it themselves, by name. Empty where not allowed. */
  readonly computeProviders: readonly string[];
}

/** An archetype that all data providers allow, with the parties that may compute in it. */
export interface Option {
  readonly archetype: string;
  /** The data providers themselves, or any one of these other parties. By name. */
  readonly computeProviders: readonly string[];
}

export interface Decision {
  readonly decision: "allow" | "deny";
  /** In the order asked. */
  readonly providers: readonly ProviderDecision[];
  /** What all of them allow, most preferred first. Not empty when allowed, empty when denied. */
  readonly options: readonly Option[];
  /** Of a denial: every reason against it. Of an allowance: the rules that allow it, one a party. */
  readonly reasons: readonly Reason[];
  /** Mod revision of each agreement that was used, by party. */
  readonly agreements: Readonly<Record<string, number>>;
}

/** What one data provider says, before the parties are taken together. */
interface Verdict {
  readonly provider: ProviderDecision;
  readonly relation: CompiledRelation | undefined;
}

/** A decision while it is being made. */
interface Work {
  readonly request: DecisionRequest;
  readonly policy: Policy;
  readonly type: RequestType;
  readonly parties: readonly string[];
  readonly against: Reason[];
  readonly agreements: Record<string, number>;
}

/**
 * Decides. Denied unless every data provider's agreement has a rule for the user that allows the request type, its data sets and a common
 * archetype, and where that archetype computes elsewhere, a common compute provider which itself has agreed to that request type for that user.
 * Pure: the same request and policy give the same decision, in whatever order documents and fields were written.
 */
export function decide(request: DecisionRequest, policy: Policy): Decision {
  const parties = distinct(request.dataProviders);
  const type = policy.requestTypes.get(request.requestType);
  const against: Reason[] = [];
  if (type === undefined) against.push(reason.requestTypeUnknown(request.requestType));
  if (request.user === "") against.push(reason.noUser());
  if (parties.length === 0) against.push(reason.noProvider());
  if (request.archetype !== undefined && !policy.archetypes.has(request.archetype))
    against.push(reason.archetypeUnknown(request.archetype));
  if (type === undefined || against.length > 0) {
    return {
      decision: "deny",
      providers: parties.map(refused),
      options: [],
      reasons: against,
      agreements: {},
    };
  }
  const work: Work = { request, policy, type, parties, against, agreements: {} };
  const verdicts = parties.map((party) => ask(party, work));
  const options = against.length === 0 ? combine(verdicts, work) : [];
  const allow = against.length === 0;
  return {
    decision: allow ? "allow" : "deny",
    providers: verdicts.map((v) => v.provider),
    options,
    reasons: allow ? rulesFor(options, verdicts, work) : against,
    agreements: work.agreements,
  };
}

/** One data provider's answer by itself. */
function ask(party: string, { request, policy, type, against, agreements }: Work): Verdict {
  const before = against.length;
  const { user, requestType } = request;
  const agreement = policy.agreements.get(party);
  if (agreement === undefined) {
    against.push(reason.providerUnknown(party));
    return { provider: refused(party), relation: undefined };
  }
  agreements[party] = agreement.revision;
  const relation = agreement.relation(user);
  if (relation === undefined) {
    against.push(reason.noAgreement(party, user));
    return { provider: refused(party), relation };
  }
  if (!relation.requestTypes.has(requestType))
    against.push(reason.requestTypeRefused(party, user, requestType));
  for (const name of missingDataSets(relation, type, request.dataSets))
    against.push(reason.dataSetRefused(party, user, name));
  const archetypes: string[] = [];
  for (const name of policy.archetypes.keys()) {
    if (relation.archetypes.has(name) && (request.archetype ?? name) === name) archetypes.push(name);
  }
  if (archetypes.length === 0) against.push(reason.archetypeRefused(party, user, request.archetype));
  if (against.length > before) return { provider: refused(party), relation };
  const computeProviders = relation.computeProviders.filter((c) => ruleOf(c, request, policy) !== undefined);
  return { provider: { party, allowed: true, archetypes, computeProviders }, relation };
}

/** Data sets asked for that the relation does not allow. Without a list of its own it allows those that the request type names. */
function missingDataSets(
  relation: CompiledRelation,
  type: RequestType,
  asked: readonly string[] = [],
): readonly string[] {
  const { dataSets } = relation;
  const named = type.dataSets ?? [];
  if (dataSets === undefined)
    return asked.length === 0 ? asked : distinct(asked.filter((name) => !named.includes(name)));
  if (asked.length === 0 && named.every((name) => dataSets.has(name))) return asked;
  return distinct([...named, ...asked].filter((name) => !dataSets.has(name)));
}

/** What all data providers allow together. Each of them has allowed by itself. */
function combine(verdicts: readonly Verdict[], work: Work): readonly Option[] {
  const { policy, request, against } = work;
  const [first, ...rest] = verdicts;
  const common = (first?.provider.archetypes ?? []).filter((a) =>
    rest.every((v) => v.provider.archetypes.includes(a)),
  );
  if (common.length === 0) {
    for (const { provider } of verdicts)
      against.push(reason.noCommonArchetype(provider.party, request.user, provider.archetypes));
    return [];
  }
  const options: Option[] = [];
  for (const name of common) {
    const computeProviders = whoComputes(policy.archetypes.get(name), verdicts, work);
    if (computeProviders.length > 0) options.push({ archetype: name, computeProviders });
  }
  if (options.length === 0)
    against.push(
      ...common
        .flatMap((name) => whyNobodyComputes(policy.archetypes.get(name), verdicts, work))
        .filter(firstOfItsKind),
    );
  for (const { computeProviders } of options) {
    for (const party of computeProviders)
      work.agreements[party] ??= policy.agreements.get(party)?.revision ?? 0;
  }
  return options;
}

function whoComputes(
  archetype: Archetype | undefined,
  verdicts: readonly Verdict[],
  { request, parties }: Work,
): readonly string[] {
  const wanted = request.computeProvider;
  if (archetype?.computeProvider === "dataProvider") {
    return wanted === undefined || parties.includes(wanted) ? [...parties].sort() : [];
  }
  const [first, ...rest] = verdicts;
  return (first?.provider.computeProviders ?? []).filter(
    (c) => (wanted ?? c) === c && rest.every((v) => v.provider.computeProviders.includes(c)),
  );
}

/** Called only where nobody may compute. */
function whyNobodyComputes(
  archetype: Archetype | undefined,
  verdicts: readonly Verdict[],
  { request, policy }: Work,
): readonly Reason[] {
  const { user, computeProvider: wanted } = request;
  if (archetype?.computeProvider === "dataProvider") {
    return verdicts.map(({ provider }) => reason.computeProviderRefused(provider.party, user, wanted ?? ""));
  }
  const named = verdicts.map(({ provider, relation }) => ({
    party: provider.party,
    names: relation?.computeProviders ?? [],
  }));
  if (wanted !== undefined) {
    const refusing = named.filter(({ names }) => !names.includes(wanted));
    if (refusing.length > 0)
      return refusing.map(({ party }) => reason.computeProviderRefused(party, user, wanted));
    return [unagreed(wanted, request, policy)];
  }
  const [first, ...rest] = named;
  const common = (first?.names ?? []).filter((c) => rest.every(({ names }) => names.includes(c)));
  if (common.length > 0) return common.map((c) => unagreed(c, request, policy));
  return named.map(({ party, names }) => reason.noCommonComputeProvider(party, user, names));
}

/** What allows it: the rule in each data provider's agreement, then in that of each other party that may compute. */
function rulesFor(
  options: readonly Option[],
  verdicts: readonly Verdict[],
  { request, policy, parties }: Work,
): readonly Reason[] {
  const rules: Reason[] = [];
  for (const { relation } of verdicts) {
    const rule = relation?.requestTypes.get(request.requestType);
    if (rule !== undefined) rules.push(rule);
  }
  for (const { computeProviders } of options) {
    for (const party of computeProviders) {
      const rule = parties.includes(party) ? undefined : ruleOf(party, request, policy);
      if (rule !== undefined && !rules.includes(rule)) rules.push(rule);
    }
  }
  return rules;
}

/** The rule by which a party has itself agreed to this request type for this user. */
function ruleOf(party: string, { user, requestType }: DecisionRequest, policy: Policy): Reason | undefined {
  return policy.agreements.get(party)?.relation(user)?.requestTypes.get(requestType);
}

function unagreed(party: string, { user, requestType }: DecisionRequest, policy: Policy): Reason {
  const agreement = policy.agreements.get(party);
  const what = agreement === undefined ? "none" : agreement.relation(user) === undefined ? "user" : "type";
  return reason.computeProviderUnagreed(party, user, requestType, what);
}

const refused = (party: string): ProviderDecision => ({
  party,
  allowed: false,
  archetypes: [],
  computeProviders: [],
});

function distinct(names: readonly string[]): readonly string[] {
  return names.length < 2 ? names : [...new Set(names)];
}

const firstOfItsKind = (one: Reason, i: number, all: readonly Reason[]): boolean =>
  all.findIndex((r) => r.code === one.code && r.party === one.party && r.path === one.path) === i;
