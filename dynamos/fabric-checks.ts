import { leaseProblems } from "../infra/fabric/lease.js";
import { permissionProblems } from "../infra/fabric/permissions.js";
import { leaseSchema, type NodeSpec, nodeSpecSchema } from "../infra/fabric/spec.js";
import { planTopology } from "../infra/fabric/topology.js";
import type { Problem } from "../infra/problem.js";
import { problemsOfSchema } from "../infra/problems-of-schema.js";
import { type Wanted, wantedOf } from "./site-room.js";

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

/** What each node asks of its site, and what it will take there. Nodes whose sizes are no numbers are left out. */
export function wantedNodes(raw: Readonly<Record<string, unknown>>): Wanted[] {
  return nodesOf(raw).flatMap(([name, node]) => {
    const parsed = nodeSpecSchema.safeParse(fabricPart(node));
    if (!parsed.success) return [];
    return [wantedOf(name, parsed.data)];
  });
}

/**
 * The rights that the slice needs and the token's project lacks.
 *
 * @param tags as the token has them; undefined when they are not known
 */
export function lackingRights(
  raw: Readonly<Record<string, unknown>>,
  tags: readonly string[] | undefined,
): Problem[] {
  const nodes = nodesOf(raw).flatMap(([name, node]): [string, NodeSpec][] => {
    const parsed = nodeSpecSchema.safeParse(fabricPart(node));
    return parsed.success ? [[name, parsed.data]] : [];
  });
  return permissionProblems(planTopology({ name: "", nodes: Object.fromEntries(nodes) }), tags);
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
