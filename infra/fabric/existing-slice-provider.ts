/** The code behind ExistingSlice; run in the engine's provider process (infra/dynamic.ts). It reads and does nothing else. */
import type { dynamic } from "@pulumi/pulumi";
import { endWithParent, plainErrors, stripUndefined } from "../dynamic.js";
import { InfraError } from "../problem.js";
import type { FabricSliceState } from "./api-answers.js";
import { openEndpoint } from "./endpoint.js";
import type { FabricEndpoint } from "./endpoint-schema.js";
import {
  type ExistingHost,
  type ExistingNetwork,
  existingHosts,
  existingNetworks,
} from "./existing-slice-view.js";
import { readGraphml } from "./graphml.js";
import { isGoneError } from "./provider-support.js";
import { isGone } from "./slice-states.js";
import { fromGraph } from "./slice-view.js";

endWithParent();

export interface ExistingSliceInputs {
  readonly endpoint: FabricEndpoint;
}

export interface ExistingSliceOutputs extends ExistingSliceInputs {
  readonly name: string;
  readonly sliceState: string;
  readonly leaseEnd: string;
  readonly owner: string;
  readonly hosts: readonly ExistingHost[];
  readonly networks: readonly ExistingNetwork[];
}

type Read = Partial<ExistingSliceOutputs> & ExistingSliceInputs;

export const provider = plainErrors<dynamic.ResourceProvider<Read, Read>>({
  async read(id, props) {
    // A refresh gives the old outputs; a program that asks for a slice has its inputs alone.
    const known = props?.sliceState !== undefined;
    const slice = await find(id, props?.endpoint ?? { kind: "fabric" });
    if (slice !== undefined) return { id, props: outputsOf(slice, props?.endpoint ?? { kind: "fabric" }) };
    if (known) return { id: "" };
    throw new InfraError({
      code: "FAB-NOT-FOUND",
      message: `no slice has the id ${id}, or it has ended`,
      remedy: "take the id from FABRIC's portal or FABlib's slice.get_slice_id()",
    });
  },

  async create() {
    throw new Error("a slice that is only read cannot be made"); // the engine never asks: it has an id from the start
  },

  async delete() {
    // It is not ours.
  },
});

async function find(id: string, endpoint: FabricEndpoint): Promise<FabricSliceState | undefined> {
  try {
    const slice = await (await openEndpoint(endpoint)).api.slice(id);
    return isGone(slice.state) ? undefined : slice;
  } catch (error) {
    if (isGoneError(error)) return undefined;
    throw error;
  }
}

function outputsOf(slice: FabricSliceState, endpoint: FabricEndpoint): ExistingSliceOutputs {
  const view = fromGraph(readGraphml(slice.model ?? ""));
  return stripUndefined({
    endpoint,
    name: slice.name,
    sliceState: slice.state,
    leaseEnd: slice.leaseEnd ?? "",
    owner: view.mark === undefined ? "" : `${view.mark.project}/${view.mark.stack}`,
    hosts: existingHosts(view),
    networks: existingNetworks(view),
  });
}
