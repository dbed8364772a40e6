import type { Archetype } from "../contract/documents.js";
import { type Question, timeReasons, type Verdict } from "./provider.js";
import type { Reason } from "./reasons.js";
import * as reason from "./reasons.js";
import { letsLive } from "./request.js";

/** An archetype that all data providers allow, with the parties that may compute in it. */
export interface Option {
  readonly archetype: string;
  /** The data providers themselves, or any one of these other parties. By name. */
  readonly computeProviders: readonly string[];
}

/** What data providers allow together, or why nothing. */
export type Combination =
  | { readonly options: readonly Option[] }
  | { readonly options: readonly []; readonly against: readonly Reason[] };

/** What all of these data providers allow together. Each of them has allowed by itself. */
export function combine(verdicts: readonly Verdict[], question: Question): Combination {
  const { policy, request } = question;
  const [first, ...rest] = verdicts;
  const common = (first?.provider.archetypes ?? []).filter((a) =>
    rest.every((v) => v.provider.archetypes.includes(a)),
  );
  if (common.length === 0) {
    const against = verdicts.map(({ provider }) =>
      reason.noCommonArchetype(provider.party, request.user, provider.archetypes),
    );
    return { options: [], against };
  }
  const parties = verdicts.map((v) => v.provider.party);
  const options: Option[] = [];
  for (const name of common) {
    const computeProviders = whoComputes(policy.archetypes.get(name), verdicts, parties, question);
    if (computeProviders.length > 0) options.push({ archetype: name, computeProviders });
  }
  return options.length > 0 ? { options } : { options: [], against: whyNobody(common, verdicts, question) };
}

/**
 * Why a data provider that allows could still not be served if it were asked alone: in none of its archetypes may anybody compute.
 *
 * @param asked - all data providers of the request: where one of these is to compute, it may be this one or another
 */
export function whyNotAlone(
  verdict: Verdict,
  asked: readonly string[],
  question: Question,
): readonly Reason[] {
  const { archetypes } = verdict.provider;
  const somebody = archetypes.some(
    (name) => whoComputes(question.policy.archetypes.get(name), [verdict], asked, question).length > 0,
  );
  return somebody ? [] : whyNobody(archetypes, [verdict], question);
}

function whoComputes(
  archetype: Archetype | undefined,
  verdicts: readonly Verdict[],
  parties: readonly string[],
  { request }: Question,
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

function whyNobody(
  archetypes: readonly string[],
  verdicts: readonly Verdict[],
  question: Question,
): readonly Reason[] {
  const reasons = archetypes.flatMap((name) =>
    whyNobodyIn(question.policy.archetypes.get(name), verdicts, question),
  );
  return reasons.filter(
    (one, i) =>
      reasons.findIndex((r) => r.code === one.code && r.party === one.party && r.path === one.path) === i,
  );
}

function whyNobodyIn(
  archetype: Archetype | undefined,
  verdicts: readonly Verdict[],
  question: Question,
): readonly Reason[] {
  const { user, computeProvider: wanted } = question.request;
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
    return unagreed(wanted, question);
  }
  const [first, ...rest] = named;
  const common = (first?.names ?? []).filter((c) => rest.every(({ names }) => names.includes(c)));
  if (common.length > 0) return common.flatMap((c) => unagreed(c, question));
  return named.map(({ party, names }) => reason.noCommonComputeProvider(party, user, names));
}

/** Why a party may not compute that the data providers would let. */
function unagreed(party: string, { request, type, user: number, policy, now }: Question): readonly Reason[] {
  const { user, requestType } = request;
  const agreement = policy.agreements.get(party);
  const relation = agreement?.rules[number];
  if (agreement === undefined || relation === undefined)
    return [reason.computeProviderUnagreed(party, user, agreement === undefined ? "none" : "user")];
  if (!relation.requestTypes.has(requestType))
    return [reason.computeProviderTypeRefused(party, user, requestType)];
  return [
    ...(letsLive(relation, type) ? [] : [reason.persistenceRefused(party, user, requestType)]),
    ...timeReasons(agreement, user, now),
  ].map(reason.ofComputeProvider);
}
