/** A slice that somebody else keeps, read and never changed: what `FabricSlice.get` gives. */
import * as pulumi from "@pulumi/pulumi";
import { dynamicProvider } from "../dynamic.js";
import type { FabricEndpoint } from "./endpoint-schema.js";
import type { ExistingHost, ExistingNetwork } from "./existing-slice-view.js";

/** For ever (DESIGN 17). */
const existingSliceType = "pulumi-nodejs:dynamic/fabric:ExistingSlice";

export interface ExistingSliceArgs {
  /** Where FABRIC is. Default the testbed, with FABlib's fabric_rc. */
  readonly endpoint?: pulumi.Input<FabricEndpoint>;
}

/**
 * A slice by its id, read at each preview and `up`: made by FABlib, by the portal or by another stack. This stack does not own it: it is neither
 * changed nor deleted, also at `destroy`.
 *
 * An id of no slice fails the preview with FAB-NOT-FOUND. Once in the state, a slice that has ended meanwhile is taken out by a refresh.
 */
export class ExistingSlice extends pulumi.CustomResource {
  /** The slice's name in FABRIC. */
  declare readonly name: pulumi.Output<string>;
  /** FABRIC's word, e.g. `StableOK`. */
  declare readonly sliceState: pulumi.Output<string>;
  /** `2026-12-06 10:00:00 +0000`; empty when FABRIC does not say. */
  declare readonly leaseEnd: pulumi.Output<string>;
  /** `<project>/<stack>` of the stack that made or took it, by its mark; empty for a slice without one. */
  declare readonly owner: pulumi.Output<string>;
  /** Its virtual machines, sorted by name: what `FabricSlice.hosts` has, and size and state of each. */
  declare readonly hosts: pulumi.Output<ExistingHost[]>;
  /** Its networks, sorted by name. */
  declare readonly networks: pulumi.Output<ExistingNetwork[]>;

  /**
   * @param id the slice's id, a UUID
   * @throws at preview: FAB-NOT-FOUND, FAB-TOKEN-*, FAB-UNREACHABLE and the API's
   */
  constructor(
    name: string,
    id: pulumi.Input<pulumi.ID>,
    args: ExistingSliceArgs = {},
    options?: pulumi.CustomResourceOptions,
  ) {
    const outputs = {
      name: undefined,
      sliceState: undefined,
      leaseEnd: undefined,
      owner: undefined,
      hosts: undefined,
      networks: undefined,
    };
    const provider = dynamicProvider("infra/fabric/existing-slice-provider");
    super(
      existingSliceType,
      name,
      { endpoint: args.endpoint ?? { kind: "fabric" }, ...outputs, __provider: provider },
      { ...options, id },
    );
  }
}
