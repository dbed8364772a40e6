import * as pulumi from "@pulumi/pulumi";
import { adoptHook } from "./adopt-hook.js";
import { type ChangeableSlice, leavingNodes, planChange } from "./change.js";
import { consequences, type SliceBefore } from "./consequences.js";
import type { FabricEndpoint } from "./endpoint-schema.js";
import { ExistingSlice, type ExistingSliceArgs } from "./existing-slice.js";
import type { FabricHost } from "./host.js";
import { leaseLine, parseFabricTime } from "./lease.js";
import { makeMany } from "./make-many.js";
import { Network, Node, Slice } from "./provider.js";
import type { SliceHost } from "./slice-inputs.js";
import { checkTopology, type NetworkSpecInput, type NodeSpecInput } from "./spec.js";
import { planRoutes, planTopology, type Subnet, type Topology } from "./topology.js";

/** What a `beforeRemove` gets: the nodes that go, and how the slice was before. */
export interface Removal {
  /** Names of the nodes whose machines go, those that are replaced included. */
  readonly leaving: readonly string[];
  /** All nodes as the slice's old outputs have them. */
  readonly hosts: Readonly<Record<string, SliceHost>>;
}

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
        const {
          name: node,
          site,
          cores,
          ram,
          disk,
          image,
          components,
          host,
          bootScript,
          siteNetwork,
        } = planned;
        const own = {
          ...{ name: node, site, cores, ram, disk, image, components },
          ...(host === undefined ? {} : { host }),
          ...(bootScript === undefined ? {} : { bootScript }),
          ...(siteNetwork === undefined ? {} : { siteNetwork }),
        };
        return [node, new Node(`${name}-${node}`, { ...shared, ...own }, children)] as const;
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

/** Hooks on the slice's update: the message of a preview, and the drain where there is one. */
function updateHooks(
  name: string,
  slice: () => Slice,
  beforeRemove: FabricSliceArgs["beforeRemove"],
): pulumi.ResourceHook[] {
  const message = new pulumi.ResourceHook(
    `${name}-consequences`,
    async (hook) => {
      if (hook.oldInputs === undefined || hook.newInputs === undefined) return;
      const before: SliceBefore = { ...(hook.oldOutputs as Outputs), ...(hook.oldInputs as ChangeableSlice) };
      const text = consequences(before, hook.newInputs as ChangeableSlice, new Date());
      // Not awaited: the log waits for the slice's URN, which is known once its registration answers, and that waits for this hook.
      if (text !== undefined) void pulumi.log.info(text, slice());
    },
    { onDryRun: true },
  );
  if (beforeRemove === undefined) return [message];
  const drain = new pulumi.ResourceHook(`${name}-before-remove`, async (hook) => {
    const change = changeOf(hook);
    const leaving = change === undefined ? [] : leavingNodes(change);
    if (leaving.length > 0)
      await beforeRemove({ leaving, hosts: (hook.oldOutputs as { hosts?: Removal["hosts"] }).hosts ?? {} });
  });
  return [message, drain];
}

function changeOf(hook: pulumi.ResourceHookArgs) {
  if (hook.oldInputs === undefined || hook.newInputs === undefined) return undefined;
  return planChange(hook.oldInputs as ChangeableSlice, hook.newInputs as ChangeableSlice);
}

/** What of a slice's outputs the messages need. */
type Outputs = Pick<SliceBefore, "leaseEnd" | "sliceState"> | undefined;

/** A preview that changes nothing says how long the slice stays; when something changes the message of that does, and the end is not known here. */
function sayUntilWhen(slice: Slice): void {
  slice.leaseEnd.apply((text) => {
    const end = parseFabricTime(text);
    if (end !== undefined) void pulumi.log.info(leaseLine(end, new Date()), slice);
  });
}

function hostsOf(
  topology: Topology,
  nodes: Readonly<Record<string, Node>>,
  networks: Readonly<Record<string, Network>>,
): pulumi.Output<FabricHost[]> {
  const subnets = pulumi.all(
    Object.entries(networks).map(([site, n]) =>
      pulumi
        .all([n.subnet, n.gateway])
        .apply(([subnet, gateway]): [string, Subnet] => [site, { subnet, gateway }]),
    ),
  );
  const known = pulumi.all(
    Object.entries(nodes).map(([name, n]) =>
      pulumi
        .all([n.site, n.managementIp, n.addresses, n.mac])
        .apply(([site, managementIp, addresses, mac]) => ({
          name,
          site,
          managementIp,
          address: addresses[0] ?? "",
          mac,
        })),
    ),
  );
  return pulumi.all([subnets, known]).apply(([nets, hosts]) => {
    const routes = planRoutes(topology, Object.fromEntries(nets.filter(([, s]) => s.subnet !== "")));
    return hosts.map((h) => ({ ...h, routes: [...(routes[h.name] ?? [])] }));
  });
}
