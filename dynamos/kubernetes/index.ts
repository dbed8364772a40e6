/**
 * A marketplace on a Kubernetes cluster, for programs: `import { Marketplace } from "dynamos-fabric/kubernetes"`. Apart from the rest, because it
 * needs `@pulumi/kubernetes`. Importing deploys nothing and reads no environment.
 */

export { lockedImages } from "../images/lock.js";
export { Agent, type AgentArgs, TrustedThirdParty } from "./agent.js";
export { Broker, type BrokerArgs } from "./broker.js";
export { Core, type CoreArgs } from "./core.js";
export { Documents, type DocumentsArgs } from "./documents.js";
export { Marketplace, type MarketplaceArgs } from "./marketplace.js";
export { NodeNeeds, type NodeNeedsArgs } from "./node-needs.js";
export type { KubeObject } from "./objects.js";
export type { Images, KubernetesOptions } from "./options.js";
export type { PartArgs } from "./parts.js";
export {
  allObjects,
  foldersByNode,
  imagesByNode,
  type KubernetesInput,
  type KubernetesPlan,
  planKubernetes,
} from "./plan.js";
export { generatedSecrets, givenSecrets, type Secrets } from "./secrets.js";
export { Store, type StoreArgs } from "./store.js";
