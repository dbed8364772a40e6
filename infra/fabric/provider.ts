/** FABRIC's three resources. Slice owns the topology; Node and Network own nothing and give each their line in a preview (DESIGN 1). */
import * as pulumi from "@pulumi/pulumi";
import { dynamicProvider } from "../dynamic.js";
import type { FabricEndpoint } from "./endpoint-schema.js";
import type { SliceHost } from "./slice-inputs.js";
import type { NetworkSpecInput, NodeSpecInput } from "./spec.js";

/** The type tokens; for ever (DESIGN 17). */
export const fabricTypes = {
  slice: "pulumi-nodejs:dynamic/fabric:Slice",
  node: "pulumi-nodejs:dynamic/fabric:Node",
  network: "pulumi-nodejs:dynamic/fabric:Network",
} as const;

export interface SliceArgs {
  /** The slice's name in FABRIC, 3 to 100 characters, unique among a project's living slices of a user. Another name is another slice. */
  readonly name: pulumi.Input<string>;
  /** How long it lives from now, e.g. `14d` or `36h`. A longer one extends the lease; FABRIC cannot shorten it. Default `1d`. */
  readonly lease?: pulumi.Input<string>;
  /** Time before the lease's end from which on `up` renews it, e.g. `3d`. Default 3 days, or half of a lease shorter than 6. */
  readonly renewWithin?: pulumi.Input<string>;
  /** Nodes by name. */
  readonly nodes: pulumi.Input<Readonly<Record<string, pulumi.Input<NodeSpecInput>>>>;
  /** Networks by name, beside the FABNetv4 that each site has. */
  readonly networks?: pulumi.Input<Readonly<Record<string, pulumi.Input<NetworkSpecInput>>>>;
  /** Where FABRIC is. */
  readonly endpoint: pulumi.Input<FabricEndpoint>;
  /** Whose the slice is; written into it. */
  readonly owner: pulumi.Input<{ readonly project: string; readonly stack: string }>;
  /** The stack's state folder, relative to the folder of Pulumi.yaml, e.g. `.state/dev`. The slice's mark is kept there. */
  readonly state: pulumi.Input<string>;
  /** The id of a slice of this name that bears no mark of ours and is to be taken over. */
  readonly adopt?: pulumi.Input<string>;
}

/** A slice: the whole topology, changed in one modify. */
export class Slice extends pulumi.CustomResource {
  declare readonly name: pulumi.Output<string>;
  /** FABRIC's word, e.g. `StableOK`. */
  declare readonly sliceState: pulumi.Output<string>;
  /** `2026-12-06 10:00:00 +0000` */
  declare readonly leaseEnd: pulumi.Output<string>;
  /** For hooks that drain a node; programs take addresses from the nodes. */
  declare readonly hosts: pulumi.Output<Readonly<Record<string, SliceHost>>>;

  constructor(name: string, args: SliceArgs, options?: pulumi.CustomResourceOptions) {
    const outputs = { mark: undefined, sliceState: undefined, leaseEnd: undefined, hosts: undefined };
    super(
      fabricTypes.slice,
      name,
      { ...args, ...outputs, __provider: dynamicProvider("infra/fabric/slice-provider") },
      options,
    );
  }
}

export interface NodeArgs {
  /** The slice's id; nothing else of the slice, or each of its updates would show here. */
  readonly slice: pulumi.Input<string>;
  readonly endpoint: pulumi.Input<FabricEndpoint>;
  readonly name: pulumi.Input<string>;
  readonly site: pulumi.Input<string>;
  readonly cores: pulumi.Input<number>;
  /** GB */
  readonly ram: pulumi.Input<number>;
  /** GB */
  readonly disk: pulumi.Input<number>;
  readonly image: pulumi.Input<string>;
  readonly components: pulumi.Input<readonly string[]>;
  /** It is on no FABNetv4 network of its site. */
  readonly siteNetwork?: pulumi.Input<false>;
  /** The worker that it is pinned to. */
  readonly host?: pulumi.Input<string>;
  readonly bootScript?: pulumi.Input<string>;
}

/** One virtual machine of a slice, seen once it is up. A change of size, image or site shows as its replacement. */
export class Node extends pulumi.CustomResource {
  declare readonly name: pulumi.Output<string>;
  declare readonly site: pulumi.Output<string>;
  /** FABRIC's NodeID in the slice's graph. */
  declare readonly nodeId: pulumi.Output<string>;
  declare readonly sliverId: pulumi.Output<string>;
  /** Where it is reached for management. */
  declare readonly managementIp: pulumi.Output<string>;
  /** Its address on its site's network; none where it is not on it. */
  declare readonly addresses: pulumi.Output<readonly string[]>;
  /** The hardware address of its card there; empty without. */
  declare readonly mac: pulumi.Output<string>;

  constructor(name: string, args: NodeArgs, options?: pulumi.CustomResourceOptions) {
    const outputs = {
      nodeId: undefined,
      sliverId: undefined,
      sliverState: undefined,
      managementIp: undefined,
      addresses: undefined,
      mac: undefined,
      network: undefined,
    };
    super(
      fabricTypes.node,
      name,
      { ...args, ...outputs, __provider: dynamicProvider("infra/fabric/node-provider") },
      options,
    );
  }
}

export interface NetworkArgs {
  /** The slice's id. */
  readonly slice: pulumi.Input<string>;
  readonly endpoint: pulumi.Input<FabricEndpoint>;
  readonly site: pulumi.Input<string>;
}

/** One site's FABNetv4 network, seen once it is up. */
export class Network extends pulumi.CustomResource {
  declare readonly site: pulumi.Output<string>;
  /** e.g. `10.128.3.0/24` */
  declare readonly subnet: pulumi.Output<string>;
  /** e.g. `10.128.3.1` */
  declare readonly gateway: pulumi.Output<string>;

  constructor(name: string, args: NetworkArgs, options?: pulumi.CustomResourceOptions) {
    const outputs = {
      nodeId: undefined,
      sliverId: undefined,
      sliverState: undefined,
      subnet: undefined,
      gateway: undefined,
    };
    super(
      fabricTypes.network,
      name,
      { ...args, ...outputs, __provider: dynamicProvider("infra/fabric/network-provider") },
      options,
    );
  }
}
