import { KEY } from "../contract/names.js";
import type { Policy } from "../decision/index.js";
import type { Logger } from "../platform/log.js";
import type { Change, Mirror, Store } from "../platform/store.js";
import { CurrentPolicy, type PolicyKind } from "./current-policy.js";

/** A policy and the store's revision up to which it knows all changes of agreements. */
export interface Snapshot {
  readonly policy: Policy;
  readonly revision: number;
}

const PREFIXES = {
  agreement: KEY.agreementPrefix,
  archetype: KEY.archetypePrefix,
  requestType: KEY.requestTypePrefix,
  dataset: KEY.datasetPrefix,
} as const satisfies Record<PolicyKind, string>;

/** The policy as the store holds it now. What changes is compiled when the change arrives, not when the next decision is asked for. */
export class PolicyView {
  readonly #mirrors: { readonly [K in PolicyKind]: Mirror<unknown> };
  readonly #current = new CurrentPolicy();
  readonly #log: Logger;

  private constructor(mirrors: { readonly [K in PolicyKind]: Mirror<unknown> }, log: Logger) {
    this.#mirrors = mirrors;
    this.#log = log;
    for (const kind of Object.keys(PREFIXES) as PolicyKind[]) this.#follow(kind, mirrors[kind]);
  }

  static async open(store: Store, log: Logger): Promise<PolicyView> {
    const [agreement, archetype, requestType, dataset] = await Promise.all([
      store.mirror<unknown>(PREFIXES.agreement),
      store.mirror<unknown>(PREFIXES.archetype),
      store.mirror<unknown>(PREFIXES.requestType),
      store.mirror<unknown>(PREFIXES.dataset),
    ]);
    return new PolicyView({ agreement, archetype, requestType, dataset }, log);
  }

  /** For one decision: take it anew for the next. */
  now(): Snapshot {
    return { policy: this.#current.policy, revision: this.#mirrors.agreement.revision };
  }

  /** Waits until the agreements are known up to a revision. */
  seen(revision: number, milliseconds: number): Promise<void> {
    return this.#mirrors.agreement.seen(revision, milliseconds);
  }

  /** Tells of each change of an agreement, in the store's order. */
  onAgreement(listener: (steward: string, change: Change<unknown>) => void): void {
    this.#mirrors.agreement.onChange((change) =>
      listener(change.key.slice(PREFIXES.agreement.length), change),
    );
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#mirrors).map((mirror) => mirror.close()));
  }

  #follow(kind: PolicyKind, mirror: Mirror<unknown>): void {
    for (const { key, value, revision } of mirror.all()) this.#put(kind, key, value, revision);
    mirror.onChange(({ key }) => {
      // As the mirror holds it, which may know more by now than this change says.
      const entry = mirror.get(key);
      if (entry === undefined) this.#current.remove(kind, key.slice(PREFIXES[kind].length));
      else this.#put(kind, key, entry.value, entry.revision);
    });
  }

  #put(kind: PolicyKind, key: string, value: unknown, revision: number): void {
    const problems = this.#current.put(kind, key.slice(PREFIXES[kind].length), value, revision);
    if (problems.length > 0)
      this.#log.warn(
        { key, problems: problems.slice(0, 5) },
        `a stored ${kind} is not valid and counts as absent`,
      );
  }
}
