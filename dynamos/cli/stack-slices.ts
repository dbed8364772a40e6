import { endpointSchema, type FabricEndpoint } from "../../infra/fabric/endpoint-schema.js";
import type { LeaseTerms } from "../../infra/fabric/lease.js";
import { knownLeaseEnd } from "../../infra/fabric/lease-file.js";
import type { SliceMark } from "../../infra/fabric/mark.js";
import { knownMarks, submittedTo } from "../../infra/fabric/mark-file.js";
import { EMULATOR } from "../services.js";
import { stateFolderOf } from "../stack-folder.js";
import type { CommandContext } from "./context.js";
import { recordedResources } from "./recorded-resources.js";
import { isLocal, readMarketplace } from "./stack-config.js";

/** A slice of this stack, as far as this machine knows it without asking FABRIC. */
export interface StackSlice {
  readonly name: string;
  /** Absent where a run was killed before FABRIC's answer was recorded. */
  readonly id?: string;
  readonly mark: SliceMark;
  readonly endpoint: FabricEndpoint;
  /** Absent where neither the engine's state nor the configuration says. */
  readonly terms?: LeaseTerms;
  /** As the last run or renewal had it. */
  readonly leaseEnd?: Date;
}

type Where = Pick<CommandContext, "project" | "stack" | "state">;

/** The stack's slices: those of the engine's state, and those that only have a mark in the state folder. Runs no program and asks nobody. */
export function stackSlices(where: Where): StackSlice[] {
  const recorded = recordedResources(where)
    .filter((r) => r.type === "pulumi-nodejs:dynamic/fabric:Slice")
    .flatMap(({ id, outputs = {} }) => recordedSlice(where.state, id, outputs));
  const names = new Set(recorded.map((s) => s.name));
  const others = Object.entries(knownMarks(where.state)).filter(([name]) => !names.has(name));
  if (others.length === 0) return recorded;
  const terms = configuredTerms(where);
  return [
    ...recorded,
    ...others.map(([name, mark]) => {
      const endpoint = submittedTo(where.state, name) ?? configuredEndpoint(where);
      return { name, mark, endpoint, ...(terms === undefined ? {} : { terms }) };
    }),
  ];
}

/** Where the stack's slices are, or would be. */
export function stackEndpoints(where: Where): FabricEndpoint[] {
  const all = [...stackSlices(where).map((s) => s.endpoint), configuredEndpoint(where)];
  const own = all.length === 1 ? all : all.slice(0, -1);
  return [...new Map(own.map((e) => [JSON.stringify(e), e])).values()];
}

function configuredEndpoint({ project, stack }: Where): FabricEndpoint {
  return isLocal(readMarketplace(project, stack).config)
    ? { kind: "local", state: stateFolderOf(stack), service: EMULATOR }
    : { kind: "fabric" };
}

/** The lease of the configuration object, which may have other mistakes: they are not this command's business. */
function configuredTerms({ project, stack }: Where): LeaseTerms | undefined {
  const config = readMarketplace(project, stack).config as Readonly<Record<string, unknown>> | undefined;
  if (config === undefined || config === null) return undefined;
  const { lease = "14d", renewWithin } = config;
  return terms({ lease, renewWithin });
}

function recordedSlice(
  state: string,
  id: string | undefined,
  outputs: Readonly<Record<string, unknown>>,
): StackSlice[] {
  const { name, mark, leaseEnd } = outputs;
  const endpoint = endpointSchema.safeParse(outputs.endpoint);
  if (typeof name !== "string" || typeof mark !== "object" || mark === null || !endpoint.success) return [];
  const end = knownLeaseEnd(state, name, id, leaseEnd);
  const own = terms(outputs);
  return [
    {
      name,
      mark: mark as SliceMark,
      endpoint: endpoint.data as FabricEndpoint,
      ...(id === undefined ? {} : { id }),
      ...(own === undefined ? {} : { terms: own }),
      ...(end === undefined ? {} : { leaseEnd: end }),
    },
  ];
}

function terms({ lease, renewWithin }: Readonly<Record<string, unknown>>): LeaseTerms | undefined {
  if (typeof lease !== "string") return undefined;
  return typeof renewWithin === "string" ? { lease, renewWithin } : { lease };
}
