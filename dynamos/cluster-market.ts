/** The marketplace on the cluster of a target. Loads `@pulumi/kubernetes` when it is asked for, and not before. */
import * as pulumi from "@pulumi/pulumi";
import type { ClusterHostArgs } from "../infra/cluster/kubespray-args.js";
import { loadKubernetes } from "../infra/cluster/peer.js";
import { type ClusterMarketInput, clusterOptionsOf, kubernetesOptionsOf } from "./cluster-plan.js";
import { goesWith } from "./goes-with.js";
import { allObjects, planKubernetes } from "./kubernetes/plan.js";
import { partyDataFolder } from "./kubernetes/volumes.js";
import { stewardFolders } from "./steward-data.js";

/** What `up` knows of the cluster. */
export interface ClusterPlace {
  readonly provider: pulumi.ProviderResource;
  /** Logins of its nodes, where there are such: for archives of images and for folders. */
  readonly hosts?: Readonly<Record<string, ClusterHostArgs>>;
  /** An address of the core's node, for `gatewayUrl`. */
  readonly address: pulumi.Input<string>;
  /** What must be there first. */
  readonly after: readonly pulumi.Resource[];
  /** What takes all that runs on the cluster with it when it goes. @default nothing */
  readonly goesWith?: pulumi.Resource | undefined;
}

/** Puts the marketplace on the cluster, after its nodes have what its pods need. Returns where the gateway is. */
export async function marketplaceOnCluster(
  name: string,
  input: ClusterMarketInput,
  { provider, hosts, address, after, goesWith: holder }: ClusterPlace,
): Promise<pulumi.Output<string>> {
  loadKubernetes();
  const { Marketplace, NodeNeeds } = await import("./kubernetes/index.js");
  const { spec, placement, experiment } = input;
  const plain = kubernetesOptionsOf(input);
  // The registry's, a .dockerconfigjson: `pulumi config set --secret dynamos-fabric:registry`.
  const registry = new pulumi.Config("dynamos-fabric").getSecret("registry");
  const options =
    registry === undefined ? plain : { ...plain, images: { ...plain.images, pullSecret: true } };
  const { address: given, images } = clusterOptionsOf(spec);
  const ready = [...after];
  if (hosts !== undefined) {
    const objects = allObjects(planKubernetes({ placement, options, documents: experiment.documents }));
    const { ctr, socket } = images;
    const containerd = { ctr, ...(socket === undefined ? {} : { socket }) };
    const folderOf = (party: string): string => partyDataFolder(party, options.namespacePrefix);
    const all = await stewardFolders({ experiment: experiment.folder, agents: placement.agents, folderOf });
    // A storage class makes the others' volumes, and nobody can know where.
    const data = all.filter(({ files }) => files === undefined || options.storageClass === undefined);
    const needs = new NodeNeeds(name, { hosts, objects, images: options.images, data, containerd, after });
    ready.push(...needs.ready);
  }
  const nodesOf = (role: string): Record<string, string> =>
    Object.fromEntries(
      placement.agents.filter((a) => a.role === role).map(({ party, node }) => [party, node]),
    );
  const market = new Marketplace(
    name,
    {
      ...options,
      core: placement.core,
      agents: nodesOf("agent"),
      thirdParties: nodesOf("thirdParty"),
      experiment: spec.experiment,
      address: given ?? address,
      ...(registry === undefined ? {} : { secrets: { registry } }),
      after: ready,
    },
    { provider, ...(holder === undefined ? {} : { transformations: [goesWith(holder)] }) },
  );
  return market.gatewayUrl;
}
