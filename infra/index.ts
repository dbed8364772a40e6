/** Machines, networks and processes for a Pulumi program. Importing deploys nothing and reads no environment. */
export * from "./cluster/index.js";
export { describeChange, isNothing, leavingNodes, planChange, type SliceChange } from "./fabric/change.js";
export { ExistingSlice, type ExistingSliceArgs } from "./fabric/existing-slice.js";
export type { ExistingHost, ExistingNetwork } from "./fabric/existing-slice-view.js";
export type { FabricHost } from "./fabric/host.js";
export {
  Network,
  type NetworkArgs,
  Node,
  type NodeArgs,
  Slice,
  type SliceArgs,
} from "./fabric/provider.js";
export { FabricSlice, type FabricSliceArgs, type Removal } from "./fabric/slice.js";
export type { SliceHost } from "./fabric/slice-inputs.js";
export {
  loginOf,
  type SshBastion,
  type SshHost,
  type SshKeys,
  sshConfig,
  writeSshConfig,
} from "./fabric/ssh-config.js";
export { planRoutes, planTopology, type Route, type Subnet, type Topology } from "./fabric/topology.js";
export * from "./local/index.js";
export { InfraError, type Problem, problemLine } from "./problem.js";
export * from "./spec.js";
