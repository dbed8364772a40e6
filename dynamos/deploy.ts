import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { kubesprayDrain } from "../infra/cluster/drain.js";
import { ExistingCluster } from "../infra/cluster/existing.js";
import { fabricHosts } from "../infra/cluster/fabric-hosts.js";
import { KubesprayCluster } from "../infra/cluster/kubespray.js";
import { withoutStack } from "../infra/dynamic.js";
import { FabricSlice } from "../infra/fabric/slice.js";
import { connect, LocalProcess, statusOf } from "../infra/local/index.js";
import { findProject } from "../infra/local/package-folder.js";
import { InfraError, problemLine } from "../infra/problem.js";
import { machinesOf, rolesOf } from "./cluster.js";
import { tellChanges } from "./cluster-changes.js";
import { marketplaceOnCluster } from "./cluster-market.js";
import { type ClusterMarketInput, clusterOptionsOf, textOf, usersOf } from "./cluster-plan.js";
import { goesWith } from "./goes-with.js";
import { Marketplace } from "./marketplace.js";
import { preflightOrThrow } from "./preflight.js";
import { problemTable } from "./problem-table.js";
import { EMULATOR, emulatorService } from "./services.js";
import type { MarketplaceSpec, Target } from "./spec.js";
import { stateFolderOf } from "./stack-folder.js";

/** What `pulumi stack output` shows. */
export interface DeployOutputs {
  /** Site and addresses by node. */
  readonly nodes: pulumi.Output<
    Readonly<
      Record<string, { readonly site: string; readonly address: string; readonly managementIp: string }>
    >
  >;
  /** Of the API gateway: `http://127.0.0.1:PORT` on this machine, else a port of the core's node or an Ingress. */
  readonly gatewayUrl: pulumi.Output<string>;
  /** The administrator's kubeconfig, a secret; where a cluster is made. */
  readonly kubeconfig?: pulumi.Output<string>;
  /** The stack's state folder, relative to Pulumi.yaml. */
  readonly stateFolder: string;
}

/**
 * The program that `pulumi up` runs: checks the configuration object `dynamos-fabric:marketplace`, then makes the slice, where
 * the target has one, the cluster, where it has one, and the marketplace on it.
 *
 * Throws pulumi.RunError with all problems, printed without a stack trace, before any resource is registered.
 */
export async function deploy(): Promise<DeployOutputs> {
  const stack = pulumi.getStack();
  const config = new pulumi.Config("dynamos-fabric").getObject<unknown>("marketplace");
  let checked: Awaited<ReturnType<typeof preflightOrThrow>>;
  try {
    checked = await preflightOrThrow({ config, stack, project: pulumi.getProject() });
  } catch (error) {
    // The engine's SDK formats the stack that it does not show, with a function of Node 22.23 that takes half a minute for such paths.
    if (error instanceof InfraError) throw withoutStack(new pulumi.RunError(problemTable(error.problems)));
    throw error;
  }
  const { spec, placement, experiment, notes } = checked;
  for (const note of notes) await pulumi.log.info(problemLine(note));
  const state = stateFolderOf(stack);
  if (pulumi.runtime.isDryRun()) await tellWhatIsDown(state);
  const onCluster = ON_CLUSTER[spec.target];
  if (onCluster !== undefined) {
    const project = findProject();
    const input = { spec, placement, experiment, project };
    const outputs = await onCluster(stack, state, input);
    if (pulumi.runtime.isDryRun()) tellChanges(input, outputs.kubeconfig);
    return outputs;
  }

  const users = usersOf(spec, findProject());
  const emulator = new LocalProcess(`${stack}-${EMULATOR}`, { state, spec: emulatorService() });
  const slice = new FabricSlice(
    stack,
    {
      endpoint: { kind: "local", state, service: EMULATOR },
      lease: spec.lease,
      ...(spec.renewWithin === undefined ? {} : { renewWithin: spec.renewWithin }),
      nodes: sliceNodes(spec),
      state,
      beforeRemove: stopServices(state),
    },
    { dependsOn: emulator, transformations: [goesWith(emulator)] },
  );
  const market = new Marketplace(stack, {
    core: placement.core,
    agents: nodesOf(placement.agents, "agent"),
    thirdParties: nodesOf(placement.agents, "thirdParty"),
    data: Object.fromEntries(
      placement.agents.flatMap(({ party, data }) => (data === undefined ? [] : [[party, data]])),
    ),
    experiment: spec.experiment,
    ...(spec.ports === undefined ? {} : { ports: spec.ports }),
    ...(users === undefined ? {} : { users }),
    state,
    nodes: slice.nodes,
  });
  return { gatewayUrl: market.gatewayUrl, nodes: hostsByName(slice), stateFolder: state };
}

/** The slice, then the cluster of its nodes, then the marketplace on it. */
async function clusterOnSlice(
  stack: string,
  state: string,
  input: ClusterMarketInput,
): Promise<DeployOutputs> {
  const { spec, placement } = input;
  const slice = new FabricSlice(stack, {
    endpoint: { kind: "fabric" },
    lease: spec.lease,
    ...(spec.renewWithin === undefined ? {} : { renewWithin: spec.renewWithin }),
    nodes: sliceNodes(spec),
    state,
    beforeRemove: kubesprayDrain({ state }),
  });
  const roles = Object.entries(rolesOf(spec.nodes));
  const control = roles.filter(([, { role }]) => role === "control").map(([name]) => name);
  const hosts = fabricHosts(slice, { control });
  const cluster = new KubesprayCluster(stack, { ...spec.cluster, hosts });
  const gatewayUrl = await marketplaceOnCluster(stack, input, {
    provider: cluster.provider,
    hosts,
    // As the other nodes of the slice reach it.
    address: hosts[placement.core]?.dataAddress ?? placement.core,
    after: Object.values(cluster.steps),
    goesWith: cluster.steps.apply,
  });
  return { gatewayUrl, nodes: hostsByName(slice), kubeconfig: cluster.kubeconfig, stateFolder: state };
}

/** The cluster of machines that are there, then the marketplace on it. */
async function clusterOnMachines(
  stack: string,
  state: string,
  input: ClusterMarketInput,
): Promise<DeployOutputs> {
  const { spec, placement, project } = input;
  const hosts = machinesOf(spec, project);
  const cluster = new KubesprayCluster(stack, { ...spec.cluster, hosts });
  const gatewayUrl = await marketplaceOnCluster(stack, input, {
    provider: cluster.provider,
    hosts,
    address: spec.nodes[placement.core]?.host ?? placement.core,
    after: Object.values(cluster.steps),
    goesWith: cluster.steps.apply,
  });
  return { gatewayUrl, nodes: nodesByHost(spec), kubeconfig: cluster.kubeconfig, stateFolder: state };
}

/** The marketplace on a cluster that is there. */
async function onExistingCluster(
  stack: string,
  state: string,
  input: ClusterMarketInput,
): Promise<DeployOutputs> {
  const { spec, placement, project } = input;
  const { context, kubeconfig } = clusterOptionsOf(spec);
  const cluster = new ExistingCluster(stack, {
    ...(context === undefined ? {} : { context }),
    ...(kubeconfig === undefined ? {} : { kubeconfig: textOf("kubernetes.kubeconfig", kubeconfig, project) }),
  });
  const gatewayUrl = await marketplaceOnCluster(stack, input, {
    provider: cluster.provider,
    address: spec.nodes[placement.core]?.host ?? placement.core,
    after: [],
  });
  return { gatewayUrl, nodes: nodesByHost(spec), stateFolder: state };
}

function nodesByHost(spec: MarketplaceSpec): DeployOutputs["nodes"] {
  const places = Object.entries(spec.nodes).map(
    ([name, { host: address = "" }]) => [name, { site: "", address, managementIp: address }] as const,
  );
  const nodes: Record<string, (typeof places)[number][1]> = Object.fromEntries(places);
  return pulumi.output(nodes);
}

const ON_CLUSTER: Partial<
  Record<Target, (stack: string, state: string, input: ClusterMarketInput) => Promise<DeployOutputs>>
> = { fabric: clusterOnSlice, hosts: clusterOnMachines, kubernetes: onExistingCluster };

function hostsByName(slice: FabricSlice): DeployOutputs["nodes"] {
  return slice.hosts.apply((hosts) =>
    Object.fromEntries(
      hosts.map(({ name, site, address, managementIp }) => [name, { site, address, managementIp }]),
    ),
  );
}

/** The nodes as a slice sees them: it knows no roles. */
function sliceNodes({ nodes }: MarketplaceSpec): ConstructorParameters<typeof FabricSlice>[1]["nodes"] {
  return Object.fromEntries(
    Object.entries(nodes).map(([name, { site = "", cores, ram, disk, image, components, siteNetwork }]) => [
      name,
      {
        site,
        cores,
        ram,
        disk,
        ...(image === undefined ? {} : { image }),
        ...(components === undefined ? {} : { components }),
        ...(siteNetwork === undefined ? {} : { siteNetwork }),
      },
    ]),
  );
}

function nodesOf(
  agents: readonly { readonly party: string; readonly node: string; readonly role: string }[],
  role: string,
): Record<string, string> {
  return Object.fromEntries(agents.filter((a) => a.role === role).map(({ party, node }) => [party, node]));
}

/** Before a node's machine goes, what runs on it ends in good order: an agent lets its jobs finish and goes offline. */
function stopServices(
  state: string,
): NonNullable<ConstructorParameters<typeof FabricSlice>[1]["beforeRemove"]> {
  return async ({ leaving }) => {
    const folder = join(findProject(), state);
    const busy = new Set(statusOf(folder).services.map((s) => s.node));
    for (const node of leaving.filter((name) => busy.has(name))) await connect(folder)?.stopNode(node);
  };
}

/** One line at a preview after a reboot or a kill, beside the engine's own about each process. */
async function tellWhatIsDown(state: string): Promise<void> {
  const { services, supervisor } = statusOf(join(findProject(), state));
  const down = services.filter((s) => s.state !== "ready").map((s) => s.name);
  if (down.length === 0) {
    if (supervisor || services.length === 0) return;
    await pulumi.log.warn(
      `${services.length} services run, but their supervisor is not running; up starts one that takes them over`,
    );
    return;
  }
  const why = supervisor ? "" : " (their supervisor is not running)";
  const count = down.length === 1 ? "1 service is" : `${down.length} services are`;
  await pulumi.log.warn(
    `${count} down${why}: ${down.join(", ")}; up starts ${down.length === 1 ? "it" : "them"}`,
  );
}
