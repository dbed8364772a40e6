import type { FastifyInstance } from "fastify";
import { AUDIT_KEY, type AuditKey, type Checkpoint } from "../contract/audit.js";
import type { Store } from "../platform/store.js";

/** What the store knows of the enforcers' audits: signed checkpoints and the public keys that verify them. Reads only. */
export function auditRoutes(app: FastifyInstance, store: Store): void {
  app.get("/api/v1/audit/checkpoints", async () => {
    const { entries, revision } = await store.list<unknown>(AUDIT_KEY.prefix, { patience: 0 });
    const below = (part: string) =>
      entries.filter((e) => e.key.slice(AUDIT_KEY.prefix.length).split("/")[1] === part).map((e) => e.value);
    return {
      revision,
      checkpoints: below("checkpoints") as Checkpoint[],
      keys: below("keys") as AuditKey[],
    };
  });
}
