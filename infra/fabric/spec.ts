/** What a person writes about a slice: nodes, networks, the lease. Schema only; what follows from it is in topology.ts. */
import { z } from "zod";
import { InfraError, type Problem } from "../problem.js";
import { problemsOfSchema, refuse } from "../problems-of-schema.js";
import { leaseHours, longestLeaseHours } from "./lease.js";
import { refuseUnfitNetworks } from "./network-rules.js";
import { type NetworkSpec, networksSpecSchema } from "./network-spec.js";
import { type NodeSpec, nodeSpecSchema, nodesSpecSchema } from "./node-spec.js";

export {
  type InterfaceSpec,
  type NetworkSpec,
  type NetworkSpecInput,
  networksSpecSchema,
} from "./network-spec.js";
export { type NodeSpec, type NodeSpecInput, nodeSpecSchema, nodesSpecSchema } from "./node-spec.js";

/** A lease: `14d` or `36h`. */
export const leaseSchema = z.string().superRefine((text, ctx) => {
  const hours = leaseHours(text);
  if (hours === undefined) {
    refuse(ctx, {
      code: "FAB-LEASE-INVALID",
      message: `"${text}" is no lease`,
      remedy: "write days or hours, e.g. 14d or 36h",
    });
  } else if (hours > longestLeaseHours) {
    refuse(ctx, {
      code: "FAB-LEASE-TOO-LONG",
      message: `${text} is longer than FABRIC's 26 weeks`,
      remedy: "ask for less; leases can be renewed",
    });
  }
});

/** The parts of a slice; {@link refuseUnfitNetworks} sees them together. */
export const sliceSpecShape = {
  name: z
    .string()
    .regex(/^[A-Za-z0-9][\w.-]{2,99}$/, "a slice's name has 3 to 100 letters, digits, dots or dashes"),
  lease: leaseSchema.default("1d"),
  renewWithin: leaseSchema.optional(),
  nodes: nodesSpecSchema,
  networks: networksSpecSchema.exactOptional().describe("Networks beside the FABNetv4 of each site, by name"),
};

/** A whole slice. */
export const sliceSpecSchema = z.strictObject(sliceSpecShape).superRefine(refuseUnfitNetworks);

export type SliceSpecInput = z.input<typeof sliceSpecSchema>;
export type SliceSpec = z.output<typeof sliceSpecSchema>;

/** Everything wrong with a slice's specification, without asking anybody; empty when it is well. */
export function sliceProblems(value: unknown, prefix: readonly PropertyKey[] = []): Problem[] {
  const parsed = sliceSpecSchema.safeParse(value);
  return parsed.success ? [] : problemsOfSchema(parsed.error, prefix);
}

/** @throws InfraError with all problems at once. */
export function parseSliceSpec(value: unknown): SliceSpec {
  const parsed = sliceSpecSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new InfraError(problemsOfSchema(parsed.error));
}

const topologySchema = z
  .object({ nodes: sliceSpecShape.nodes, networks: sliceSpecShape.networks })
  .superRefine(refuseUnfitNetworks);

/**
 * Nodes and networks with their defaults; other keys are left alone.
 *
 * @throws InfraError with all problems at once
 */
export function checkTopology(value: unknown): {
  readonly nodes: Record<string, NodeSpec>;
  readonly networks?: Record<string, NetworkSpec>;
} {
  const parsed = topologySchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new InfraError(problemsOfSchema(parsed.error));
}

/** @throws InfraError with all problems at once. */
export function parseNodeSpec(value: unknown): NodeSpec {
  const parsed = nodeSpecSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new InfraError(problemsOfSchema(parsed.error));
}
