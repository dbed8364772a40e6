import fc from "fast-check";
import type { Role } from "../../../policy/contract/documents.js";
import { type Composition, compositionOf } from "../../../policy/rounds/composition.js";
import { agentsOf, type PlannedStep, planWorkflow, type WorkflowPlan } from "../../../policy/rounds/plan.js";

export interface AnyRound {
  readonly plan: WorkflowPlan;
  readonly composition: Composition;
  readonly agents: readonly string[];
}

const AGENTS = ["a", "b", "c", "d", "e"];
const ROLES: readonly Role[] = ["dataProvider", "computeProvider"];

/** Any workflow without a circle, done by any parties: data providers alone, others, or both in one. */
export const anyRound: fc.Arbitrary<AnyRound> = fc
  .record({
    steps: fc.array(
      fc.record({
        role: fc.constantFrom(...ROLES),
        inputs: fc.uniqueArray(
          fc.record({ back: fc.integer({ min: 1, max: 6 }), scatter: fc.boolean(), own: fc.boolean() }),
          { selector: ({ back }) => back, maxLength: 4 },
        ),
      }),
      { minLength: 1, maxLength: 7 },
    ),
    dataProviders: fc.subarray(AGENTS, { minLength: 1, maxLength: 4 }),
    computeProviders: fc.option(fc.subarray(AGENTS, { minLength: 1, maxLength: 2 })),
    result: fc.nat(),
  })
  .map(({ steps, dataProviders, computeProviders, result }) => {
    const named = steps.map(({ role, inputs }, i) => ({
      name: `s${i}`,
      service: "any",
      role,
      inputs: inputs
        .filter(({ back }) => back <= i)
        .map(({ back, scatter, own }) => ({
          step: `s${i - back}`,
          scatter,
          own: own && steps[i - back]?.role === role,
        })),
    }));
    const plan = planWorkflow(
      {
        name: "t",
        requiredServices: ["any"],
        workflow: { steps: named, result: `s${result % steps.length}` },
      },
      new Map([
        ["any", { name: "any", label: "dataProvider", allowedOutputs: ["any"], invalidArchetypes: [] }],
      ]),
    );
    const composition = compositionOf("any", dataProviders, computeProviders ?? dataProviders);
    return { plan, composition, agents: [...composition.roles.keys()] };
  });

/** Each step at each of its agents, in an order in which they could be done one after the other. */
export const placesOf = ({
  plan,
  composition,
}: AnyRound): readonly { readonly step: PlannedStep; readonly agent: string }[] =>
  plan.levels.flat().flatMap((step) => agentsOf(step, composition).map((agent) => ({ step, agent })));
