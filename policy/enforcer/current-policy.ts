import type { Agreement, Archetype, DocumentKind, RequestType } from "../contract/documents.js";
import type { Problem } from "../contract/problem.js";
import { validateDocument } from "../contract/schemas.js";
import {
  type CompiledAgreement,
  compileAgreement,
  compileArchetypes,
  compileRequestType,
  type Policy,
} from "../decision/index.js";

/** Documents that a decision depends on. */
export type PolicyKind = Extract<DocumentKind, "agreement" | "archetype" | "requestType">;

/**
 * The policy as the documents told so far make it. Each is checked and compiled when it is told, alone: a decision finds all ready, and a change
 * of one agreement among many costs what that one costs.
 */
export class CurrentPolicy {
  readonly #agreements = new Map<string, CompiledAgreement>();
  readonly #archetypes = new Map<string, Archetype>();
  readonly #requestTypes = new Map<string, ReturnType<typeof compileRequestType>>();
  #policy: Policy = this.#make();

  /** Changes with the next document that is told, so it is for one decision, which takes no longer than a turn of the event loop. */
  get policy(): Policy {
    return this.#policy;
  }

  /**
   * Takes a document in. One that is not what it should be gives no rights: it counts as absent, also in place of one that was right.
   *
   * @returns what is wrong with it
   */
  put(kind: PolicyKind, name: string, value: unknown, revision: number): readonly Problem[] {
    const problems = validateDocument(kind, name, value);
    if (problems.length > 0) this.remove(kind, name);
    else this.#take(kind, name, value, revision);
    return problems;
  }

  remove(kind: PolicyKind, name: string): void {
    const documents = {
      agreement: this.#agreements,
      archetype: this.#archetypes,
      requestType: this.#requestTypes,
    };
    documents[kind].delete(name);
    if (kind === "archetype") this.#policy = this.#make();
  }

  #take(kind: PolicyKind, name: string, value: unknown, revision: number): void {
    switch (kind) {
      case "agreement":
        this.#agreements.set(name, compileAgreement({ value: value as Agreement, revision }));
        return;
      case "archetype":
        this.#archetypes.set(name, value as Archetype);
        this.#policy = this.#make(); // in their order of preference
        return;
      case "requestType":
        this.#requestTypes.set(name, compileRequestType(value as RequestType));
    }
  }

  #make(): Policy {
    return {
      agreements: this.#agreements,
      archetypes: compileArchetypes(this.#archetypes.values()),
      requestTypes: this.#requestTypes,
    };
  }
}
