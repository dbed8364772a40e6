import type { AuditKey, Checkpoint } from "../../../policy/contract/audit.js";
import type { Witness } from "../../../policy/contract/audit-verify.js";
import type { AuditStore } from "../../../policy/enforcer/audit-checkpoints.js";

/** The two calls of the store that an audit makes, in memory. The real store is in test/integration/enforcer/audit.test.ts. */
export class MemoryStore {
  away = false;
  readonly #values = new Map<string, unknown>();

  get store(): AuditStore {
    return {
      put: async (key: string, value: unknown) => {
        if (this.away) throw new Error("the store is away");
        this.#values.set(key, value);
        return this.#values.size;
      },
      list: async <T>(prefix: string) => ({
        entries: this.#below(prefix).map(([key, value]) => ({ key, value: value as T, revision: 1 })),
        revision: 1,
      }),
    };
  }

  get witness(): Witness {
    return {
      checkpoints: this.#below("").flatMap(([k, v]) =>
        k.includes("/checkpoints/") ? [v as Checkpoint] : [],
      ),
      keys: this.#below("").flatMap(([k, v]) => (k.includes("/keys/") ? [v as AuditKey] : [])),
    };
  }

  #below(prefix: string): [string, unknown][] {
    return [...this.#values].filter(([key]) => key.startsWith(prefix));
  }
}
