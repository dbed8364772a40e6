/** What a person writes about a slice: nodes, their sites and sizes, the lease. Schema only; what follows from it is in topology.ts. */
import { z } from "zod";
import { InfraError, type Problem } from "../problem.js";
import { problemsOfSchema, refuse } from "../problems-of-schema.js";
import { componentModels } from "./components.js";
import { leaseHours, longestLeaseHours } from "./lease.js";
import { isSite, largestNode, nearestSite } from "./sites.js";

/** Room left in a node's user data (2048 characters in FIM) after this library's own mark. */
const userDataRoom = 1600;

const site = z.string().superRefine((name, ctx) => {
  if (isSite(name)) return;
  const near = nearestSite(name);
  const guess = near === undefined ? "" : `; did you mean ${near}?`;
  refuse(ctx, {
    code: "FAB-SITE-UNKNOWN",
    message: `no site "${name}"${guess}`,
    remedy: "all: dynamos-fabric sites",
  });
});

function size(unit: "cores" | "ram" | "disk", most: number) {
  return z
    .int()
    .min(1)
    .superRefine((value, ctx) => {
      if (value <= most) return;
      refuse(ctx, {
        code: "FAB-SIZE-TOO-LARGE",
        message: `${value} asked, the largest node has ${most}${unit === "cores" ? "" : " GB"}`,
        remedy: "FABRIC would silently give less; ask for less, or use more nodes",
      });
    });
}

const component = z.string().superRefine((name, ctx) => {
  if (Object.hasOwn(componentModels, name)) return;
  refuse(ctx, {
    code: "FAB-COMPONENT-UNKNOWN",
    message: `no component "${name}"`,
    remedy: `one of ${Object.keys(componentModels).join(", ")} (each node has a NIC_Basic anyway)`,
  });
});

/** One node of a slice. */
export const nodeSpecSchema = z.strictObject({
  site: site.describe("FABRIC site, e.g. AMST"),
  cores: size("cores", largestNode.cores).default(4).describe("Cores"),
  ram: size("ram", largestNode.ram).default(16).describe("Memory in GB"),
  disk: size("disk", largestNode.disk).default(50).describe("Disk in GB"),
  image: z
    .string()
    .regex(/^[\w.-]+(,[\w.-]+)?$/, "an image's name, e.g. default_ubuntu_22")
    .default("default_ubuntu_22")
    .describe("FABRIC's name of the disk image"),
  components: z.array(component).max(8).default([]).describe("Devices by FABlib's model names, e.g. GPU_A30"),
  userData: z
    .record(z.string(), z.json())
    .default({})
    .superRefine((data, ctx) => {
      for (const key of ["dynamos_fabric", "fablib_data"]) {
        if (Object.hasOwn(data, key)) {
          refuse(
            ctx,
            { code: "FAB-USER-DATA-KEY", message: `the key ${key} is taken`, remedy: "use another" },
            [key],
          );
        }
      }
      const length = JSON.stringify(data).length;
      if (length <= userDataRoom) return;
      refuse(ctx, {
        code: "FAB-USER-DATA-TOO-LARGE",
        message: `${length} characters of user data, there is room for ${userDataRoom}`,
        remedy: "FABRIC keeps 2048 with this library's mark; keep large data elsewhere",
      });
    })
    .describe("Kept with the node in FABRIC, as JSON"),
});

const nodeName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$/, "a node's name has 2 to 63 letters, digits, dots or dashes");

/** The nodes of a slice by name. */
export const nodesSpecSchema = z.record(nodeName, nodeSpecSchema).superRefine((nodes, ctx) => {
  if (Object.keys(nodes).length === 0)
    refuse(ctx, { code: "FAB-NO-NODES", message: "a slice needs at least one node", remedy: "add one" });
});

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

/** A whole slice. */
export const sliceSpecSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][\w.-]{2,99}$/, "a slice's name has 3 to 100 letters, digits, dots or dashes"),
  lease: leaseSchema.default("1d"),
  nodes: nodesSpecSchema,
});

/** A node as a person writes it, defaults left out. */
export type NodeSpecInput = z.input<typeof nodeSpecSchema>;
/** A node with its defaults. */
export type NodeSpec = z.output<typeof nodeSpecSchema>;
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

/** @throws InfraError with all problems at once. */
export function parseNodeSpec(value: unknown): NodeSpec {
  const parsed = nodeSpecSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new InfraError(problemsOfSchema(parsed.error));
}
