import { leaseProblems } from "../infra/fabric/lease.js";
import { leaseSchema, type NodeSpec, nodeSpecSchema } from "../infra/fabric/spec.js";
import type { Problem } from "../infra/problem.js";
import { problemsOfSchema } from "../infra/problems-of-schema.js";

/** The part of a marketplace's node that is FABRIC's business. */
const FABRIC_KEYS = ["site", "cores", "ram", "disk", "image", "components", "siteNetwork"] as const;

/**
 * What FABRIC's own rules say of the nodes and the lease as written: unknown sites, sizes that no flavour has, unknown components. Takes what
 * may be wrong in form as well, so that all problems come at once; those of form are not repeated here.
 */
export function fabricProblems(raw: Readonly<Record<string, unknown>>): Problem[] {
  const lease = typeof raw.lease === "string" ? leaseSchema.safeParse(raw.lease) : undefined;
  return [
    ...nodesOf(raw).flatMap(([name, node]) => {
      const parsed = nodeSpecSchema.safeParse(fabricPart(node));
      return parsed.success
        ? []
        : problemsOfSchema(parsed.error, ["nodes", name]).filter((p) => p.code !== "SPEC-INVALID");
    }),
    ...(lease === undefined || lease.success ? [] : problemsOfSchema(lease.error, ["lease"])),
    ...renewalProblems(raw),
  ];
}

/** A renewal that does not go with the lease; the lease's default is in spec.ts. */
function renewalProblems({ lease = "14d", renewWithin }: Readonly<Record<string, unknown>>): Problem[] {
  return typeof lease === "string" && typeof renewWithin === "string"
    ? leaseProblems({ lease, renewWithin })
    : [];
}

/** The part of the slice that is well: nodes, and the lease where it is said. */
export function wantedSlice(raw: Readonly<Record<string, unknown>>): {
  readonly nodes: Record<string, NodeSpec>;
  readonly lease?: string;
} {
  const nodes = nodesOf(raw).flatMap(([name, node]): [string, NodeSpec][] => {
    const parsed = nodeSpecSchema.safeParse(fabricPart(node));
    return parsed.success ? [[name, parsed.data]] : [];
  });
  const lease = leaseSchema.safeParse(raw.lease);
  return { nodes: Object.fromEntries(nodes), ...(lease.success ? { lease: lease.data } : {}) };
}

function nodesOf(
  raw: Readonly<Record<string, unknown>>,
): [name: string, node: Readonly<Record<string, unknown>>][] {
  const nodes = raw.nodes;
  if (typeof nodes !== "object" || nodes === null) return [];
  return Object.entries(nodes).filter(
    (entry): entry is [string, Readonly<Record<string, unknown>>] =>
      typeof entry[1] === "object" && entry[1] !== null,
  );
}

function fabricPart(node: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    FABRIC_KEYS.filter((key) => node[key] !== undefined).map((key) => [key, node[key]]),
  );
}
