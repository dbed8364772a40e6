import type { Microservice, RequestType, Role, WorkflowStep } from "../contract/documents.js";
import type { GrantClaims } from "../contract/grants.js";
import type { Problem } from "../contract/problem.js";

/** What a coordinator asks for. */
export interface StepClaim {
  readonly agent: string;
  readonly step: string;
  readonly service: string;
}

/** A step this agent may do, and how. */
export interface Permit {
  readonly role: Role;
  readonly service: string;
  /** The microservice's program, relative to the experiment's folder. */
  readonly entry: string;
}

/**
 * Which microservice a step means, by the store's own documents: not by what the coordinator says of it.
 * The step must be in the request type's workflow, its role one the grant gives this agent, its microservice one the archetype allows.
 */
export function permitStep(
  claim: StepClaim,
  grant: GrantClaims,
  requestType: RequestType | undefined,
  microservice: Microservice | undefined,
): Permit | Problem {
  const step = stepOf(claim, requestType, microservice);
  const path = `requestTypes/${grant.requestType}.workflow`;
  if (step === undefined || step.service !== claim.service)
    return {
      code: "AGT-STEP-UNKNOWN",
      path,
      message: `${grant.requestType} has no step ${claim.step} done by ${claim.service}`,
    };
  const holders = step.role === "dataProvider" ? grant.dataProviders : grant.computeProviders;
  if (!holders.includes(claim.agent))
    return {
      code: "AGT-GRANT-ROLE",
      path,
      message: `step ${step.name} is for a ${step.role}; the grant does not name ${claim.agent} as one`,
    };
  if (microservice === undefined)
    return {
      code: "AGT-SERVICE-UNKNOWN",
      path: `microservices/${step.service}`,
      message: `there is no microservice ${step.service}`,
      remedy: "add its document to the experiment",
    };
  if (microservice.invalidArchetypes.includes(grant.archetype))
    return {
      code: "AGT-SERVICE-ARCHETYPE",
      path: `microservices/${step.service}.invalidArchetypes`,
      message: `${step.service} must not be used with archetype ${grant.archetype}`,
    };
  if (microservice.entry === undefined)
    return {
      code: "AGT-SERVICE-ENTRY",
      path: `microservices/${step.service}.entry`,
      message: `${step.service} names no program`,
      remedy: "set entry to a file of the experiment's folder",
    };
  return { role: step.role, service: step.service, entry: microservice.entry };
}

/** A request type without a workflow is a chain of its services: each is a step of its own name, done where its label says. */
function stepOf(
  claim: StepClaim,
  requestType: RequestType | undefined,
  microservice: Microservice | undefined,
): WorkflowStep | undefined {
  if (requestType?.workflow !== undefined)
    return requestType.workflow.steps.find(({ name }) => name === claim.step);
  if (requestType?.requiredServices.includes(claim.step) !== true) return undefined;
  const role = microservice?.label === "dataProvider" ? "dataProvider" : "computeProvider";
  return { name: claim.step, service: claim.step, role };
}

export const isProblem = (outcome: Permit | Problem): outcome is Problem => "code" in outcome;
