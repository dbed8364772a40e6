import * as pulumi from "@pulumi/pulumi";
import { adoptHook } from "./adopt-hook.js";
import type { FabricEndpoint } from "./endpoint-schema.js";
import { ExistingSlice, type ExistingSliceArgs } from "./existing-slice.js";
import type { FabricHost } from "./host.js";
import { leaseLine, parseFabricTime } from "./lease.js";
import { makeMany } from "./make-many.js";
import { Network, Node, Slice } from "./provider.js";
import { type Removal, updateHooks } from "./slice-hooks.js";
import { hostsOf } from "./slice-hosts.js";
import { checkTopology, type NetworkSpecInput, type NodeSpecInput } from "./spec.js";
import { nodeArgs, planTopology, type Topology } from "./topology.js";

export type { Removal };

export interface FabricSliceArgs {
  /** The slice's name in FABRIC. Default `<project>-<stack>`. */
  readonly sliceName?: string;
  /** How long the slice lives, e.g. `14d` or `36h`. Default `1d`. A longer one extends the lease; FABRIC cannot shorten it. */
  readonly lease?: string;
  /**
   * `up` and `dynamos-fabric renew` renew the lease when less than this is left, e.g. `3d` or `12h`; shorter than the lease. Default 3 days, or half
   * of a lease that is shorter than 6.
   */
  readonly renewWithin?: string;
  /** Nodes by name; 4 cores, 16 GB and a disk of 50 GB unless said. Plain, since they decide which resources exist. */
  readonly nodes: Readonly<Record<string, NodeSpecInput>>;
  /** Networks by name, beside the FABNetv4 that each site has. */
  readonly networks?: Readonly<Record<string, NetworkSpecInput>>;
  /** Where FABRIC is. Default the testbed, with FABlib's fabric_rc. */
  readonly endpoint?: FabricEndpoint;
  /** The stack's state folder, relative to the folder of Pulumi.yaml. Default `.state/<stack>`. */
  readonly state?: string;
  /**
   * Called before machines go, to drain them; it may take its time, must be idempotent, and stops the change by throwing. Not called at destroy. It
   * must not wait for an output of this program (DESIGN 5).
   */
  readonly beforeRemove?: (removal: Removal) => void | Promise<void>;
  /** The id of a slice of this name that bears no mark of this stack and is to be taken over. */
  readonly adopt?: string;
}

/**
 * Virtual machines on FABRIC with one FABNetv4 network a site, and routes between the sites.
 *
 * @example
 * ```ts
 * const slice = new FabricSlice("vfl", { lease: "14d", nodes: { control: { site: "AMST", cores: 2, ram: 8 }, losa: { site: "LOSA" } } });
 * export const hosts = slice.hosts;
 * ```
 */
export class FabricSlice extends pulumi.ComponentResource {
  readonly sliceId: pulumi.Output<string>;
  /** When the lease ends, as FABRIC says it: `2026-12-06 10:00:00 +0000`. */
  readonly leaseEnd: pulumi.Output<string>;
  /** All nodes, sorted by name. */
  readonly hosts: pulumi.Output<FabricHost[]>;
  /** The resources by node name, to depend on. */
  readonly nodes: Readonly<Record<string, Node>>;
  /** The resources by site. */
  readonly networks: Readonly<Record<string, Network>>;
  /** Where FABRIC is. */
  readonly endpoint: FabricEndpoint;
  /** What was asked for, planned: plain, for those who build on the slice. */
  readonly plan: Topology;

  /**
   * A slice that is there already, read and never changed or deleted by this stack: its hosts, networks and states as outputs.
   *
   * @param id the slice's id in FABRIC
   * @example
   * ```ts
   * const course = FabricSlice.get("course", "6f0b2f0e-8a3c-4f6c-9a55-0d3f1d4c7a11");
   * export const hosts = course.hosts;
   * ```
   */
  static get(
    name: string,
    id: pulumi.Input<pulumi.ID>,
    args?: ExistingSliceArgs,
    options?: pulumi.CustomResourceOptions,
  ): ExistingSlice {
    return new ExistingSlice(name, id, args, options);
  }

  /** @throws InfraError with all problems of `nodes` and `networks` at once */
  constructor(name: string, args: FabricSliceArgs, options?: pulumi.ComponentResourceOptions) {
    // Before anything is registered: an error here leaves no half a component behind.
    const wanted = checkTopology(args);
    super("dynamos-fabric:fabric:FabricSlice", name, {}, options);
    const owner = { project: pulumi.getProject(), stack: pulumi.getStack() };
    const topology = planTopology({
      name: args.sliceName ?? `${owner.project}-${owner.stack}`,
      ...wanted,
    });
    const endpoint = args.endpoint ?? { kind: "fabric" };

    const slice: Slice = new Slice(
      name,
      {
        name: topology.name,
        lease: args.lease ?? "1d",
        ...(args.renewWithin === undefined ? {} : { renewWithin: args.renewWithin }),
        ...wanted,
        endpoint,
        owner,
        state: args.state ?? `.state/${owner.stack}`,
        ...(args.adopt === undefined ? {} : { adopt: args.adopt }),
      },
      {
        parent: this,
        hooks: {
          beforeUpdate: updateHooks(name, () => slice, args.beforeRemove),
          ...(args.adopt === undefined ? {} : { beforeCreate: [adoptHook(name, () => slice, args.adopt)] }),
        },
      },
    );
    const shared = { slice: slice.id, endpoint };
    const children = { parent: this };
    const networks = makeMany(() =>
      topology.networks.map(
        (n) =>
          [
            n.site,
            new Network(`${name}-${n.site.toLowerCase()}`, { ...shared, site: n.site }, children),
          ] as const,
      ),
    );
    const members = makeMany(() =>
      topology.nodes.map((planned) => {
        const own = nodeArgs(planned);
        return [own.name, new Node(`${name}-${own.name}`, { ...shared, ...own }, children)] as const;
      }),
    );
    this.sliceId = slice.id;
    this.leaseEnd = slice.leaseEnd;
    if (pulumi.runtime.isDryRun()) sayUntilWhen(slice);
    this.endpoint = endpoint;
    this.plan = topology;
    this.networks = Object.fromEntries(networks);
    this.nodes = Object.fromEntries(members);
    this.hosts = hostsOf(topology, this.nodes, this.networks);
    // Not the hosts: with many nodes the SDK takes a noticeable time to write their routes down, and the nodes' own outputs have the rest.
    this.registerOutputs({ sliceId: this.sliceId });
  }
}

/** A preview that changes nothing says how long the slice stays; when something changes the message of that does, and the end is not known here. */
function sayUntilWhen(slice: Slice): void {
  slice.leaseEnd.apply((text) => {
    const end = parseFabricTime(text);
    if (end !== undefined) void pulumi.log.info(leaseLine(end, new Date()), slice);
  });
}
