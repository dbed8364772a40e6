import type { Archetype } from "../contract/documents.js";
import type { CompiledAgreement, CompiledRelation, Policy } from "./policy.js";
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

/**
 * Decides. Denied unless every data provider's agreement has a rule for the user that allows the request type, its data sets and a common
 * archetype, and where that archetype computes elsewhere, a common compute provider which itself has agreed to that request type for that user.
 * Pure: the same request and policy give the same decision, in whatever order documents and fields were written.
 */
export function decide(request: DecisionRequest, policy: Policy): Decision {
  const against: Reason[] = [];
  const used = new Map<string, CompiledAgreement>();
  const parties = [...new Set(request.dataProviders)];

  if (!policy.requestTypes.has(request.requestType))
    against.push(reason.requestTypeUnknown(request.requestType));
  if (request.user === "") against.push(reason.noUser());
  if (parties.length === 0) against.push(reason.noProvider());
  if (request.archetype !== undefined && !policy.archetypes.has(request.archetype))
    against.push(reason.archetypeUnknown(request.archetype));
  if (against.length > 0) return deny(parties, against, used);

  const verdicts = parties.map((party) => ask(party, request, policy, used, against));
  const options = against.length === 0 ? combine(request, policy, parties, verdicts, used, against) : [];
  if (against.length > 0) {
    return {
      decision: "deny",
      providers: verdicts.map((v) => v.provider),
      options: [],
      reasons: against,
      agreements: revisions(used),
    };
  }
  // What allows it: the rule in each data provider's agreement, then in each compute provider's.
  const computing = [...new Set(options.flatMap((o) => o.computeProviders))].filter(
    (c) => !parties.includes(c),
  );
  const reasons = [...parties, ...computing].map((party) => {
    const index = used.get(party)?.relations.get(request.user)?.requestTypes.get(request.requestType) ?? 0;
    return reason.allowed(party, request.user, request.requestType, index);
  });
  return {
    decision: "allow",
    providers: verdicts.map((v) => v.provider),
    options,
    reasons,
    agreements: revisions(used),
  };
}

/** One data provider's answer by itself. */
function ask(
  party: string,
  request: DecisionRequest,
  policy: Policy,
  used: Map<string, CompiledAgreement>,
  against: Reason[],
): Verdict {
  const refuse = (...reasons: Reason[]): Verdict => {
    against.push(...reasons);
    return { provider: { party, allowed: false, archetypes: [], computeProviders: [] }, relation: undefined };
  };
  const { user, requestType } = request;
  const agreement = policy.agreements.get(party);
  if (agreement === undefined) return refuse(reason.providerUnknown(party));
  used.set(party, agreement);
  const relation = agreement.relations.get(user);
  if (relation === undefined) return refuse(reason.noAgreement(party, user));

  const found: Reason[] = [];
  if (!relation.requestTypes.has(requestType))
    found.push(reason.requestTypeRefused(party, user, requestType));
  const { dataSets } = relation;
  if (dataSets !== undefined) {
    for (const name of new Set([
      ...(policy.requestTypes.get(requestType)?.dataSets ?? []),
      ...(request.dataSets ?? []),
    ])) {
      if (!dataSets.has(name)) found.push(reason.dataSetRefused(party, user, name));
    }
  } else {
    const named = policy.requestTypes.get(requestType)?.dataSets ?? [];
    for (const name of new Set(request.dataSets ?? []))
      if (!named.includes(name)) found.push(reason.dataSetRefused(party, user, name));
  }
  const archetypes = [...policy.archetypes.keys()].filter(
    (a) => relation.archetypes.has(a) && (request.archetype ?? a) === a,
  );
  if (archetypes.length === 0) found.push(reason.archetypeRefused(party, user, request.archetype));
  if (found.length > 0) return refuse(...found);

  const computeProviders = relation.computeProviders.filter((c) => hasAgreed(c, request, policy));
  return { provider: { party, allowed: true, archetypes, computeProviders }, relation };
}

/** What all data providers allow together. Each of them has allowed by itself. */
function combine(
  request: DecisionRequest,
  policy: Policy,
  parties: readonly string[],
  verdicts: readonly Verdict[],
  used: Map<string, CompiledAgreement>,
  against: Reason[],
): readonly Option[] {
  const [first, ...rest] = verdicts;
  const common = (first?.provider.archetypes ?? []).filter((a) =>
    rest.every((v) => v.provider.archetypes.includes(a)),
  );
  if (common.length === 0) {
    against.push(
      ...verdicts.map(({ provider }) =>
        reason.noCommonArchetype(provider.party, request.user, provider.archetypes),
      ),
    );
    return [];
  }
  const options: Option[] = [];
  const missing: Reason[] = [];
  for (const name of common) {
    const archetype = policy.archetypes.get(name);
    if (archetype === undefined) continue;
    const computeProviders = whoComputes(archetype, request, parties, verdicts);
    if (computeProviders.length > 0) options.push({ archetype: name, computeProviders });
    else missing.push(...whyNobodyComputes(archetype, request, policy, verdicts));
  }
  if (options.length === 0) against.push(...distinct(missing));
  for (const party of options.flatMap((o) => o.computeProviders)) {
    const agreement = policy.agreements.get(party);
    if (agreement !== undefined) used.set(party, agreement);
  }
  return options;
}

function whoComputes(
  archetype: Archetype,
  request: DecisionRequest,
  parties: readonly string[],
  verdicts: readonly Verdict[],
): readonly string[] {
  const { computeProvider: wanted } = request;
  if (archetype.computeProvider === "dataProvider") {
    return wanted === undefined || parties.includes(wanted) ? [...parties].sort() : [];
  }
  const [first, ...rest] = verdicts;
  return (first?.provider.computeProviders ?? []).filter(
    (c) => (wanted ?? c) === c && rest.every((v) => v.provider.computeProviders.includes(c)),
  );
}

/** Called only where nobody may compute. */
function whyNobodyComputes(
  archetype: Archetype,
  request: DecisionRequest,
  policy: Policy,
  verdicts: readonly Verdict[],
): readonly Reason[] {
  const { user, requestType, computeProvider: wanted } = request;
  if (archetype.computeProvider === "dataProvider") {
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
    return [unagreed(wanted, policy, user, requestType)];
  }
  const [first, ...rest] = named;
  const common = (first?.names ?? []).filter((c) => rest.every(({ names }) => names.includes(c)));
  if (common.length > 0) return common.map((c) => unagreed(c, policy, user, requestType));
  return named.map(({ party, names }) => reason.noCommonComputeProvider(party, user, names));
}

function unagreed(party: string, policy: Policy, user: string, requestType: string): Reason {
  const agreement = policy.agreements.get(party);
  return reason.computeProviderUnagreed(
    party,
    user,
    requestType,
    agreement === undefined ? "none" : agreement.relations.has(user) ? "type" : "user",
  );
}

/** Whether a party has itself agreed to compute for this user and request type. */
function hasAgreed(party: string, { user, requestType }: DecisionRequest, policy: Policy): boolean {
  return policy.agreements.get(party)?.relations.get(user)?.requestTypes.has(requestType) === true;
}

function deny(
  parties: readonly string[],
  reasons: readonly Reason[],
  used: ReadonlyMap<string, CompiledAgreement>,
): Decision {
  const providers = parties.map((party) => ({ party, allowed: false, archetypes: [], computeProviders: [] }));
  return { decision: "deny", providers, options: [], reasons, agreements: revisions(used) };
}

function revisions(used: ReadonlyMap<string, CompiledAgreement>): Record<string, number> {
  return Object.fromEntries([...used.values()].map(({ steward, revision }) => [steward, revision]));
}

function distinct(reasons: readonly Reason[]): readonly Reason[] {
  const seen = new Set<string>();
  return reasons.filter((r) => {
    const key = `${r.code}\n${r.party}\n${r.path}`;
    return !seen.has(key) && seen.add(key);
  });
}
