import type { Archetype, Microservice, Workflow } from "../contract/documents.js";
import { brokenFlows } from "../contract/flows.js";
import type { RefusalReason } from "../contract/job.js";
import type { Problem } from "../contract/problem.js";
import { type Composition, compositionOf } from "../rounds/composition.js";

/** What one data provider allows the user, as the policy enforcer decided. */
export interface ProviderRights {
  readonly archetypes: readonly string[];
  readonly computeProviders: readonly string[];
}

export interface CompositionInput {
  readonly user: string;
  /** By data provider. */
  readonly providers: Readonly<Record<string, ProviderRights>>;
  readonly archetypes: readonly Archetype[];
  /** The microservices the request type needs: one that does not work in an archetype rules it out. */
  readonly services?: readonly Microservice[];
  /** The request type's workflow: an archetype that forbids one of its inputs is ruled out. */
  readonly workflow?: Workflow;
  /** Agents that are there to work. */
  readonly online: ReadonlySet<string>;
  /** Jobs that run at a compute provider. Default 0. */
  readonly load?: ReadonlyMap<string, number>;
}

/** A composition, a "no" by policy, or a breakdown. */
export type CompositionOutcome =
  | { readonly kind: "composed"; readonly composition: Composition }
  | { readonly kind: "refused"; readonly reasons: readonly RefusalReason[] }
  | { readonly kind: "failed"; readonly problem: Problem };

/**
 * Decides who works in a job. The same rights and the same agents give the same answer, in whatever order they come:
 * the archetype that all data providers allow with the lowest weight, then by name; where another party computes, of those that all data providers
 * allow and that are online one that gives no data of its own, with the fewest jobs, then by name.
 *
 * An archetype for which no compute provider is allowed by all gives way to the next one. An allowed party that is
 * offline does not: who sees the data must not depend on who happens to be up.
 */
export function compose(input: CompositionInput): CompositionOutcome {
  const dataProviders = Object.keys(input.providers).sort(byName);
  if (dataProviders.length === 0) {
    return failed({
      code: "ORC-NO-PROVIDERS",
      path: "dataProviders",
      message: "the approval names no data provider",
    });
  }
  const offline = dataProviders.filter((p) => !input.online.has(p));
  if (offline.length > 0) return failed(agentsOffline(offline, "data provider"));

  const names = common(dataProviders.map((p) => rightsOf(input, p).archetypes));
  if (names.length === 0) {
    return refused(reasonsFor(input, dataProviders, "archetypes", "POL-NO-COMMON-ARCHETYPE", "no archetype"));
  }
  const defined = input.archetypes.filter((a) => names.includes(a.name)).sort(byWeight);
  if (defined.length === 0) {
    return failed({
      code: "ORC-ARCHETYPE-UNKNOWN",
      path: "archetypes",
      message: `the agreements allow ${names.join(", ")}, which the marketplace does not define`,
      remedy: "add the archetype's document, or correct its name in the agreements",
    });
  }
  const usable = defined.filter(
    (a) =>
      !(input.services ?? []).some((s) => s.invalidArchetypes.includes(a.name)) &&
      (input.workflow === undefined || brokenFlows(input.workflow, a).length === 0),
  );
  if (usable.length === 0) {
    return failed({
      code: "ORC-ARCHETYPE-UNUSABLE",
      path: "requiredServices",
      message: `the request type's microservices or workflow do not work in ${defined.map((a) => a.name).join(", ")}`,
      remedy: "allow another archetype in the agreements, or use other microservices",
    });
  }
  return choose(input, dataProviders, usable);
}

function choose(
  input: CompositionInput,
  dataProviders: readonly string[],
  usable: readonly Archetype[],
): CompositionOutcome {
  const allowed = common(dataProviders.map((p) => rightsOf(input, p).computeProviders));
  for (const archetype of usable) {
    if (archetype.computeProvider === "dataProvider") {
      return composed(compositionOf(archetype.name, dataProviders, dataProviders));
    }
    const candidates = candidatesFor(archetype, allowed, dataProviders);
    if (candidates.length === 0) continue;
    const load = (party: string): number => input.load?.get(party) ?? 0;
    const [chosen] = candidates
      .filter((p) => input.online.has(p))
      .sort(
        (a, b) =>
          Number(dataProviders.includes(a)) - Number(dataProviders.includes(b)) ||
          load(a) - load(b) ||
          byName(a, b),
      );
    if (chosen === undefined) return failed(agentsOffline(candidates, "compute provider"));
    return composed(compositionOf(archetype.name, dataProviders, [chosen]));
  }
  return refused(
    reasonsFor(
      input,
      dataProviders,
      "computeProviders",
      "POL-NO-COMMON-COMPUTE-PROVIDER",
      "no compute provider",
    ),
  );
}

/** Of the parties that all data providers let compute, those that may in this archetype. */
export function candidatesFor(
  { computeProvider }: Archetype,
  allowed: readonly string[],
  dataProviders: readonly string[],
): readonly string[] {
  return computeProvider === "thirdParty" ? allowed.filter((p) => !dataProviders.includes(p)) : allowed;
}

function agentsOffline(parties: readonly string[], role: string): Problem {
  return {
    code: "ORC-AGENT-OFFLINE",
    path: role === "data provider" ? "dataProviders" : "computeProviders",
    message: `${role} not online: ${parties.join(", ")}`,
    remedy: "start the agent, then ask again",
  };
}

function reasonsFor(
  input: CompositionInput,
  dataProviders: readonly string[],
  what: keyof ProviderRights,
  code: string,
  nothing: string,
): readonly RefusalReason[] {
  const field = what === "archetypes" ? "allowedArchetypes" : "allowedComputeProviders";
  return dataProviders.map((party) => {
    const allows = [...rightsOf(input, party)[what]].sort(byName);
    return {
      code,
      party,
      path: `relations[${JSON.stringify(input.user)}].${field}`,
      message: `${nothing} is allowed by all of ${dataProviders.join(", ")}; ${party} allows ${allows.join(", ") || "none"}`,
    };
  });
}

const rightsOf = (input: CompositionInput, party: string): ProviderRights =>
  input.providers[party] ?? { archetypes: [], computeProviders: [] };

/** What is in every list, by name. */
export function common(lists: readonly (readonly string[])[]): readonly string[] {
  const [first = [], ...rest] = lists;
  return [...new Set(first)].filter((name) => rest.every((list) => list.includes(name))).sort(byName);
}

const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const byWeight = (a: Archetype, b: Archetype): number => a.weight - b.weight || byName(a.name, b.name);

const composed = (composition: Composition): CompositionOutcome => ({ kind: "composed", composition });
const refused = (reasons: readonly RefusalReason[]): CompositionOutcome => ({ kind: "refused", reasons });
const failed = (problem: Problem): CompositionOutcome => ({ kind: "failed", problem });
