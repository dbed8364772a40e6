import fc from "fast-check";
import { componentModels } from "../../infra/fabric/components.js";
import { productionSites } from "../../infra/fabric/sites.js";
import type { NodeSpec } from "../../infra/fabric/spec.js";

export interface RandomSlice {
  readonly name: string;
  readonly nodes: Readonly<Record<string, NodeSpec>>;
}

export const nodeNames: fc.Arbitrary<string> = fc.stringMatching(/^[a-z][a-z0-9-]{1,9}$/);

/** A node as the schema gives it. A few sites only, so that nodes meet. */
export const nodeSpecs: fc.Arbitrary<NodeSpec> = fc.record({
  site: fc.constantFrom(...productionSites.slice(0, 4)),
  cores: fc.constantFrom(2, 4, 8),
  ram: fc.constantFrom(8, 16),
  disk: fc.constantFrom(10, 50),
  image: fc.constantFrom("default_ubuntu_22", "default_rocky_9"),
  components: fc.array(fc.constantFrom(...Object.keys(componentModels)), { maxLength: 2 }),
  userData: fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), fc.string({ unit: "grapheme", maxLength: 8 }), {
    maxKeys: 2,
    noNullPrototype: true,
  }),
});

export const nodeMaps: fc.Arbitrary<Readonly<Record<string, NodeSpec>>> = fc.dictionary(
  nodeNames,
  nodeSpecs,
  {
    minKeys: 1,
    maxKeys: 7,
    noNullPrototype: true,
  },
);

export const slices: fc.Arbitrary<RandomSlice> = fc.record({ name: fc.constant("p-dev"), nodes: nodeMaps });
