import type { Microservice, RequestType } from "../contract/documents.js";
import type { GrantClaims } from "../contract/grants.js";
import { KEY } from "../contract/names.js";
import { CodedError } from "../contract/problem.js";
import type { Mirror } from "../platform/store.js";
import { type Composition, compositionOf } from "../rounds/composition.js";
import { planWorkflow, type WorkflowPlan } from "../rounds/plan.js";

/** Who does what in a round, worked out from the enforcer's grant and the store's documents: not from what a coordinator says. */
export class Plans {
  readonly #requestTypes: Mirror<RequestType>;
  readonly #microservices: Mirror<Microservice>;
  readonly #known = new WeakMap<RequestType, { readonly at: number; readonly plan: WorkflowPlan }>();

  constructor(requestTypes: Mirror<RequestType>, microservices: Mirror<Microservice>) {
    this.#requestTypes = requestTypes;
    this.#microservices = microservices;
  }

  requestType(name: string): RequestType | undefined {
    return this.#requestTypes.get(KEY.requestType(name))?.value;
  }

  microservice(name: string): Microservice | undefined {
    return this.#microservices.get(KEY.microservice(name))?.value;
  }

  /** @throws CodedError `AGT-TYPE-UNKNOWN`, `ORC-WORKFLOW-*` */
  of(claims: GrantClaims): { readonly plan: WorkflowPlan; readonly composition: Composition } {
    const { requestType: name, archetype, dataProviders, computeProviders } = claims;
    const requestType = this.requestType(name);
    if (requestType === undefined)
      throw new CodedError({
        code: "AGT-TYPE-UNKNOWN",
        path: `requestTypes/${name}`,
        message: `there is no request type ${name}`,
        remedy: "add its document to the experiment",
      });
    return {
      plan: this.#plan(requestType),
      composition: compositionOf(archetype, dataProviders, computeProviders),
    };
  }

  #plan(requestType: RequestType): WorkflowPlan {
    const at = this.#microservices.revision;
    const known = this.#known.get(requestType);
    if (known?.at === at) return known.plan;
    const services = new Map([...this.#microservices.all()].map(({ value }) => [value.name, value]));
    const plan = planWorkflow(requestType, services);
    this.#known.set(requestType, { at, plan });
    return plan;
  }
}
