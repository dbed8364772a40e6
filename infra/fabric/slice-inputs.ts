/** What a Slice resource holds, and what follows from it without asking anybody: check, diff, the outputs. Pure. */
import { z } from "zod";
import type { Problem } from "../problem.js";
import { problemsOfSchema } from "../problems-of-schema.js";
import { isNothing, planChange } from "./change.js";
import { specFromView } from "./drift.js";
import { endpointSchema, type FabricEndpoint, samePlace } from "./endpoint-schema.js";
import { fimJson } from "./fim.js";
import { isRenewalDue, leaseProblems, parseFabricTime } from "./lease.js";
import type { SliceMark } from "./mark.js";
import { refuseUnfitNetworks } from "./network-rules.js";
import type { KeptSlice } from "./slice-keeper.js";
import { type SliceSpec, sliceSpecShape } from "./spec.js";

const inputsShape = {
  ...sliceSpecShape,
  endpoint: endpointSchema,
  owner: z.strictObject({ project: z.string(), stack: z.string() }),
  state: z.string().min(1),
  adopt: z.string().min(1).optional(),
};

const inputsSchema = z.strictObject(inputsShape).superRefine(refuseUnfitNetworks);

/** A Slice's inputs with their defaults. */
export interface SliceInputs extends SliceSpec {
  readonly endpoint: FabricEndpoint;
  readonly owner: { readonly project: string; readonly stack: string };
  /** The stack's state folder, relative to the folder of Pulumi.yaml: the mark is kept there. */
  readonly state: string;
  /** Id of a slice to take over. */
  readonly adopt?: string;
}

/** One node in a Slice's outputs: what a hook that drains it needs of the old outputs. */
export interface SliceHost {
  readonly site: string;
  readonly managementIp?: string;
  /** On its site's network. */
  readonly address?: string;
}

export interface SliceOutputs extends SliceInputs {
  readonly mark: SliceMark;
  /** FABRIC's word, e.g. `StableOK`. */
  readonly sliceState: string;
  /** `2026-12-06 10:00:00 +0000` */
  readonly leaseEnd: string;
  readonly hosts: Readonly<Record<string, SliceHost>>;
}

/** The inputs with defaults filled in, or what is wrong with them. */
export function checkInputs(value: unknown): {
  readonly inputs?: SliceInputs;
  readonly problems: readonly Problem[];
} {
  const parsed = inputsSchema.safeParse(value);
  if (!parsed.success) return { problems: problemsOfSchema(parsed.error) };
  const problems = leaseProblems(parsed.data);
  if (problems.length > 0) return { problems };
  return { inputs: parsed.data as SliceInputs, problems: [] };
}

/**
 * What a preview must show. `replaces` names what a slice cannot change.
 *
 * @param olds with the lease's end as FABRIC last said it: a lease that is to be renewed is a change
 */
export function diffInputs(
  olds: SliceInputs & Partial<Pick<SliceOutputs, "leaseEnd">>,
  news: SliceInputs,
  now: Date = new Date(),
): { readonly changes: boolean; readonly replaces: readonly string[] } {
  const replaces: string[] = [];
  if (olds.name !== news.name) replaces.push("name");
  if (!samePlace(olds.endpoint, news.endpoint)) replaces.push("endpoint");
  const files = fimJson(olds.endpoint) !== fimJson(news.endpoint) || olds.state !== news.state;
  const lease =
    olds.renewWithin !== news.renewWithin || isRenewalDue(news, parseFabricTime(olds.leaseEnd ?? ""), now);
  return { changes: replaces.length > 0 || files || lease || !isNothing(planChange(olds, news)), replaces };
}

export function outputsOf(inputs: SliceInputs, mark: SliceMark, kept: KeptSlice): SliceOutputs {
  const hosts = kept.view.nodes.map((n): [string, SliceHost] => [
    n.name,
    {
      site: n.site,
      ...(n.managementIp === undefined ? {} : { managementIp: n.managementIp }),
      ...(n.dataAddress === undefined ? {} : { address: n.dataAddress }),
    },
  ]);
  return {
    ...inputs,
    mark,
    sliceState: kept.state,
    leaseEnd: kept.leaseEnd ?? "",
    hosts: Object.fromEntries(hosts),
  };
}

/** The inputs as the slice on the server would have them: see {@link specFromView}. */
export function inputsFromView(olds: SliceInputs, kept: KeptSlice, markId: string): SliceInputs {
  return { ...olds, ...specFromView(olds, kept.view, markId) };
}
