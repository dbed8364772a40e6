import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Scenario } from "./scenario.js";
import type { Store } from "./store.js";
import type { Identity } from "./token.js";

/** What the routes work with. */
export interface RouteContext {
  readonly app: FastifyInstance;
  /** The one in force at this moment. */
  readonly scenario: Scenario;
  readonly store: Store;
  readonly now: () => number;
  readonly newId: () => string;
  /** @throws ApiError 500 for a token that is not valid */
  readonly who: (request: FastifyRequest) => Identity;
}
