export { type Decision, type DecisionRequest, decide, type Option, type ProviderDecision } from "./decide.js";
export { CompiledAgreement, compile, type Policy, type Revised } from "./policy.js";
export type { Reason, ReasonCode } from "./reasons.js";
