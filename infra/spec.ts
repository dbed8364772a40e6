/** What a person writes about infrastructure. Schemas and checks only: nothing here asks anybody. */
export { type ClusterSpec, clusterSchema, type HostRole, hostRoles } from "./cluster/spec.js";
export { componentModels } from "./fabric/components.js";
export { endpointSchema, type FabricEndpoint } from "./fabric/endpoint-schema.js";
export { graphProblems } from "./fabric/graph-rules.js";
export type { InterfaceSpec, NetworkSpec, NetworkSpecInput } from "./fabric/network-spec.js";
export { permissionProblems } from "./fabric/permissions.js";
export { nearestSite, otherSites, productionSites, sitesAsOf } from "./fabric/sites.js";
export {
  leaseSchema,
  type NodeSpec,
  type NodeSpecInput,
  nodeSpecSchema,
  nodesSpecSchema,
  parseSliceSpec,
  type SliceSpec,
  type SliceSpecInput,
  sliceProblems,
  sliceSpecSchema,
} from "./fabric/spec.js";
export { problemsOfSchema, refuse } from "./problems-of-schema.js";
