import type { Archetype } from "../contract/documents.js";
import { brokenFlows } from "../contract/flows.js";
import type { Composition } from "../rounds/composition.js";
import { agentsOf, type WorkflowPlan } from "../rounds/plan.js";
import { type CompositionInput, candidatesFor, common } from "./compose.js";

/**
 * Why a job was composed as it was, and who sees what, one line each, for people: the archetypes that come before the chosen one and why they were not it,
 * the parties that might have computed, then each step with who does it on what. Pure.
 */
export function explain(
  input: CompositionInput,
  composition: Composition,
  plan: WorkflowPlan | undefined,
): readonly string[] {
  const { dataProviders } = composition;
  const all = [...input.archetypes].sort((a, b) => a.weight - b.weight || (a.name < b.name ? -1 : 1));
  const chosen = all.findIndex(({ name }) => name === composition.archetype);
  const before = all.slice(0, Math.max(0, chosen)).map((archetype) => {
    return `not ${titled(archetype)}: ${whyNot(archetype, input, dataProviders)}`;
  });
  const archetype = all[chosen];
  const who =
    archetype === undefined ? [] : [`archetype ${titled(archetype)}: allowed by ${dataProviders.join(", ")}`];
  return [
    ...who,
    ...before,
    ...(archetype === undefined || composition.local ? [] : computing(archetype, input, composition)),
    ...(plan === undefined ? [] : steps(plan, composition)),
  ];
}

const titled = ({ name, weight }: Archetype): string => `${name} (weight ${weight})`;

function whyNot(archetype: Archetype, input: CompositionInput, dataProviders: readonly string[]): string {
  const against = dataProviders.filter(
    (p) => input.providers[p]?.archetypes.includes(archetype.name) !== true,
  );
  if (against.length > 0) return `not allowed by ${against.join(", ")}`;
  const unfit = (input.services ?? []).find((s) => s.invalidArchetypes.includes(archetype.name));
  if (unfit !== undefined) return `microservice ${unfit.name} does not work in it`;
  const [flow] = input.workflow === undefined ? [] : brokenFlows(input.workflow, archetype);
  if (flow !== undefined)
    return `it lets no answer go from ${flow.from} to ${flow.to}, as step ${flow.step} needs`;
  return "no party that may compute is allowed by all";
}

function computing(
  archetype: Archetype,
  input: CompositionInput,
  { dataProviders, computeProviders }: Composition,
): string[] {
  const allowed = common(dataProviders.map((p) => input.providers[p]?.computeProviders ?? []));
  const jobs = (party: string): string => `${input.load?.get(party) ?? 0} jobs at work there`;
  const others = candidatesFor(archetype, allowed, dataProviders)
    .filter((party) => !computeProviders.includes(party))
    .map((party) => `${party} (${input.online.has(party) ? jobs(party) : "not online"})`);
  const instead = others.length === 0 ? "" : `; also allowed: ${others.join(", ")}`;
  return computeProviders.map(
    (party) => `${party} computes: allowed by ${dataProviders.join(", ")}, ${jobs(party)}${instead}`,
  );
}

function steps(plan: WorkflowPlan, composition: Composition): string[] {
  const lines = plan.levels.flat().map((step) => {
    const on = step.inputs.map((input) => {
      const own = composition.local || input.own === true;
      const part = input.scatter === true ? "its own part of " : "";
      if (own) return `its own answer to ${input.step}`;
      const source = plan.levels.flat().find(({ name }) => name === input.step);
      return `${part}the answers to ${input.step} of ${source === undefined ? "nobody" : agentsOf(source, composition).join(", ")}`;
    });
    const doers = agentsOf(step, composition);
    const what = on.length === 0 ? "its own data" : on.join(" and ");
    return `${step.name}: ${doers.join(", ")}${doers.length > 1 ? ", each" : ""} on ${what}`;
  });
  return [
    ...lines,
    `the requestor sees the answer to ${plan.result.name} of ${agentsOf(plan.result, composition).join(", ")}`,
  ];
}
