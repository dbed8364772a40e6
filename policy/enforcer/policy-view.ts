import type { Agreement, Archetype, DocumentKind, RequestType } from "../contract/documents.js";
import { KEY } from "../contract/names.js";
import { validateDocument } from "../contract/schemas.js";
import { compile, type Policy } from "../decision/index.js";
import type { Logger } from "../platform/log.js";
import type { Entry, Mirror, Store } from "../platform/store.js";

/** A policy and the store's revision up to which it knows all changes of agreements. */
export interface Snapshot {
  readonly policy: Policy;
  readonly revision: number;
}

/** The policy as the store holds it now: compiled anew after a change, when the next decision needs it. */
export class PolicyView {
  readonly #agreements: Mirror<Agreement>;
  readonly #archetypes: Mirror<Archetype>;
  readonly #requestTypes: Mirror<RequestType>;
  readonly #log: Logger;
  /** Documents are replaced, never changed in place: each object is checked once. */
  readonly #checked = new WeakMap<object, boolean>();
  #policy: Policy | undefined;

  private constructor(
    agreements: Mirror<Agreement>,
    archetypes: Mirror<Archetype>,
    requestTypes: Mirror<RequestType>,
    log: Logger,
  ) {
    this.#agreements = agreements;
    this.#archetypes = archetypes;
    this.#requestTypes = requestTypes;
    this.#log = log;
    const changed = () => {
      this.#policy = undefined;
    };
    for (const mirror of [agreements, archetypes, requestTypes]) mirror.onChange(changed);
  }

  static async open(store: Store, log: Logger): Promise<PolicyView> {
    const [agreements, archetypes, requestTypes] = await Promise.all([
      store.mirror<Agreement>(KEY.agreementPrefix),
      store.mirror<Archetype>(KEY.archetypePrefix),
      store.mirror<RequestType>(KEY.requestTypePrefix),
    ]);
    return new PolicyView(agreements, archetypes, requestTypes, log);
  }

  /** One policy for one decision. It does not change under the decision's hands. */
  now(): Snapshot {
    this.#policy ??= compile(
      this.#valid("agreement", KEY.agreementPrefix, this.#agreements),
      this.#valid("archetype", KEY.archetypePrefix, this.#archetypes).map((e) => e.value),
      this.#valid("requestType", KEY.requestTypePrefix, this.#requestTypes).map((e) => e.value),
    );
    return { policy: this.#policy, revision: this.#agreements.revision };
  }

  /** Waits until the agreements are known up to a revision. */
  seen(revision: number, milliseconds: number): Promise<void> {
    return this.#agreements.seen(revision, milliseconds);
  }

  async close(): Promise<void> {
    await Promise.all([this.#agreements.close(), this.#archetypes.close(), this.#requestTypes.close()]);
  }

  /** A document that is not what it should be gives no rights; it is told once, and the others go on. */
  #valid<T extends object>(kind: DocumentKind, prefix: string, mirror: Mirror<T>): Entry<T>[] {
    return mirror.all().filter(({ key, value }) => {
      if (typeof value !== "object" || value === null) return false;
      let right = this.#checked.get(value);
      if (right === undefined) {
        const problems = validateDocument(kind, key.slice(prefix.length), value);
        right = problems.length === 0;
        if (!right)
          this.#log.warn(
            { key, problems: problems.slice(0, 5) },
            `a stored ${kind} is not valid and counts as absent`,
          );
        this.#checked.set(value, right);
      }
      return right;
    });
  }
}
