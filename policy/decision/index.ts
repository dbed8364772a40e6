export { allows } from "./allows.js";
export type { Option } from "./combine.js";
export { type Decision, decide } from "./decide.js";
export { type AllowedWork, ownPartAllowed } from "./own-part.js";
export {
  type CompiledAgreement,
  compile,
  compileAgreement,
  compileArchetypes,
  compileRequestType,
  type Policy,
  type Revised,
  sensitiveColumns,
} from "./policy.js";
export type { ProviderDecision } from "./provider.js";
export type { Reason, ReasonCode } from "./reasons.js";
export type { DecisionRequest } from "./request.js";
