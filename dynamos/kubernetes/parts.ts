import type * as pulumi from "@pulumi/pulumi";
import type { KubernetesOptions } from "./options.js";
import type { Secrets } from "./secrets.js";

/** What every part of a marketplace on a cluster is told. The cluster is the provider of its resource options. */
export interface PartArgs {
  /** The node it runs on: the name of one of the cluster's, or of ours where `options.hosts` says which that is. */
  readonly node: string;
  /** The same for all parts of one marketplace. */
  readonly options: KubernetesOptions;
  /** The same for all parts of one marketplace: they know each other by it. */
  readonly secrets: Secrets;
  /** What must be there first. @default nothing */
  readonly after?: readonly pulumi.Resource[];
}
