/** Clusters for a Pulumi program. */
export type { Cluster, ClusterNode } from "./cluster.js";
export { type DrainOptions, kubesprayDrain } from "./drain.js";
export { ExistingCluster, type ExistingClusterArgs } from "./existing.js";
export { type FabricHostsOptions, fabricHosts } from "./fabric-hosts.js";
export { type InventoryFiles, inventoryFiles } from "./inventory.js";
export { KubesprayCluster } from "./kubespray.js";
export type { ClusterHostArgs, KubesprayClusterArgs, LoginArgs } from "./kubespray-args.js";
export { NodeFiles, type NodeFilesArgs } from "./node-files.js";
export type { NodeFile, NodeFolder } from "./node-folder.js";
