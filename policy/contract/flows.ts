import type { Archetype, Flow, Workflow } from "./documents.js";

/** Data providers and compute provider with each other, no data provider with another. */
const USUAL: readonly Flow[] = [
  { from: "dataProvider", to: "computeProvider" },
  { from: "computeProvider", to: "dataProvider" },
];

/** Between which roles an archetype lets answers go from one party to another. */
export const flowsOf = ({ computeProvider, flows }: Archetype): readonly Flow[] =>
  computeProvider === "dataProvider" ? [] : (flows ?? USUAL);

/** An input by which answers would go where an archetype lets none go. */
export interface BrokenFlow extends Flow {
  readonly step: string;
  readonly input: string;
  /** Where the input stands in the workflow. */
  readonly path: readonly (string | number)[];
}

/**
 * The inputs of a workflow that an archetype forbids. None where the data providers compute: there each works on its own answers alone. A party's own
 * answer is always its own to use. Pure.
 */
export function brokenFlows({ steps }: Workflow, archetype: Archetype): readonly BrokenFlow[] {
  if (archetype.computeProvider === "dataProvider") return [];
  const allowed = flowsOf(archetype);
  const roles = new Map(steps.map(({ name, role }) => [name, role]));
  return steps.flatMap(({ name, role: to, inputs = [] }, i) =>
    inputs.flatMap(({ step: input, own = false }, j): BrokenFlow[] => {
      const from = roles.get(input);
      // One party computes: what it hands to itself goes nowhere.
      if (from === undefined || own || (from === to && to === "computeProvider")) return [];
      if (allowed.some((flow) => flow.from === from && flow.to === to)) return [];
      return [{ from, to, step: name, input, path: ["steps", i, "inputs", j] }];
    }),
  );
}
