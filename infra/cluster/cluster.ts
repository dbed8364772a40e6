/** What every cluster gives, wherever it comes from. */
import type * as pulumi from "@pulumi/pulumi";
import { loadKubernetes } from "./peer.js";

/** One of a cluster's machines, as Kubernetes knows it. */
export interface ClusterNode {
  /** Its name in Kubernetes. */
  readonly name: string;
  /** Labels set by this stack. */
  readonly labels: Readonly<Record<string, string>>;
}

export interface Cluster {
  /** For resources on the cluster: `{ provider: cluster.provider }`. Made when it is first asked for. */
  readonly provider: pulumi.ProviderResource;
  /** The administrator's kubeconfig; a secret. */
  readonly kubeconfig: pulumi.Output<string>;
  /** Sorted by name. */
  readonly nodes: pulumi.Output<readonly ClusterNode[]>;
}

/** A provider for the cluster's resources. @throws InfraError CLU-PEER-MISSING */
export function providerOf(
  cluster: pulumi.ComponentResource & { readonly kubeconfig: pulumi.Output<string> },
  name: string,
): pulumi.ProviderResource {
  // Its own name says which cluster it is: else a preview that does not know the kubeconfig yet would replace every object.
  const args = { kubeconfig: cluster.kubeconfig, clusterIdentifier: name };
  return new (loadKubernetes().Provider)(name, args, { parent: cluster });
}
