/** The marketplace, for programs: `import { Marketplace, check } from "dynamos-fabric/dynamos"`. Importing deploys nothing and reads no environment. */
export { Agent, type AgentArgs } from "./agent.js";
export { Agreement, type AgreementArgs } from "./agreement.js";
export { BrokerUser, type BrokerUserArgs } from "./broker-user.js";
export { type DeployOutputs, deploy } from "./deploy.js";
export { Document, type DocumentArgs, type PlainDocumentKind } from "./document.js";
export { type Experiment, type ExperimentDocument, readExperiment } from "./experiment.js";
export { Marketplace, type MarketplaceArgs } from "./marketplace.js";
export { type AgentPlace, type NodeRole, type Placement, placementOf, ROLES } from "./placement.js";
export { type CheckInput, check, type Preflight, preflight } from "./preflight.js";
export { problemTable } from "./problem-table.js";
export { marketplaceServices, type ServicesInput } from "./services.js";
export {
  type MarketplaceInput,
  type MarketplaceSpec,
  marketplaceSchema,
  type NodeSpec,
  resolveSpec,
  TARGETS,
  type Target,
} from "./spec.js";
