import type { Archetype, Microservice, RequestType } from "../contract/documents.js";
import { brokenFlows } from "../contract/flows.js";
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
  readonly #archetypes: Mirror<Archetype>;
  readonly #known = new WeakMap<RequestType, { readonly at: number; readonly plan: WorkflowPlan }>();

  constructor(
    requestTypes: Mirror<RequestType>,
    microservices: Mirror<Microservice>,
    archetypes: Mirror<Archetype>,
  ) {
    this.#archetypes = archetypes;
    this.#requestTypes = requestTypes;
    this.#microservices = microservices;
  }

  requestType(name: string): RequestType | undefined {
    return this.#requestTypes.get(KEY.requestType(name))?.value;
  }

  microservice(name: string): Microservice | undefined {
    return this.#microservices.get(KEY.microservice(name))?.value;
  }

  /** @throws CodedError `AGT-TYPE-UNKNOWN`, `AGT-ARCHETYPE`, `ORC-WORKFLOW-*` */
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
    this.#checkFlows(requestType, archetype);
    return {
      plan: this.#plan(requestType),
      composition: compositionOf(archetype, dataProviders, computeProviders),
    };
  }

  /** The orchestrator has looked at this too; an agent does not take its word for where its answers may go. */
  #checkFlows({ name, workflow }: RequestType, archetype: string): void {
    const document = this.#archetypes.get(KEY.archetype(archetype))?.value;
    const [broken] = document === undefined || workflow === undefined ? [] : brokenFlows(workflow, document);
    if (document !== undefined && broken === undefined) return;
    throw new CodedError({
      code: "AGT-ARCHETYPE",
      path: `archetypes/${archetype}`,
      message:
        broken === undefined
          ? `there is no archetype ${archetype}`
          : `${archetype} lets no answer go from ${broken.from} to ${broken.to}, as step ${broken.step} of ${name} needs`,
      remedy: "run orchestrator and agent with the same documents",
    });
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
