import type { FastifyInstance } from "fastify";
import { KEY } from "../contract/names.js";
import type { Store } from "../platform/store.js";

/** One state of an agreement: from `revision` on, until the next one. */
interface AgreementVersion {
  readonly revision: number;
  /** `null`: it was taken away, or what was written is no JSON. */
  readonly document: unknown;
}

/** An agreement's versions, oldest first, from the store's own history. Nobody can write one; it reaches back as far as the store keeps it. */
export function historyRoutes(app: FastifyInstance, store: Store): void {
  app.get<{ Params: { name: string } }>(
    "/api/v1/policyEnforcer/agreements/:name/history",
    async ({ params: { name } }) => {
      const key = KEY.agreement(name);
      // Below a prefix: another party's name may begin with this one.
      const changes = (await store.history<unknown>(key, 1)).filter((change) => change.key === key);
      return {
        name,
        versions: changes.map(
          ({ revision, value }): AgreementVersion => ({ revision, document: value ?? null }),
        ),
      };
    },
  );
}
