import type { Agreement, Archetype, Dataset, DocumentKind, RequestType } from "../contract/documents.js";
import type { Problem } from "../contract/problem.js";
import { validateDocument } from "../contract/schemas.js";
import {
  type CompiledAgreement,
  compileAgreement,
  compileArchetypes,
  compileRequestType,
  type Policy,
  sensitiveColumns,
} from "../decision/index.js";

/** Documents that a decision depends on. */
export type PolicyKind = Extract<DocumentKind, "agreement" | "archetype" | "requestType" | "dataset">;

/**
 * The policy as the documents told so far make it. Each is checked and compiled when it is told, alone: a decision finds all ready, and a change
 * of one agreement among many costs what that one costs.
 */
export class CurrentPolicy {
  readonly #agreements = new Map<string, CompiledAgreement>();
  readonly #archetypes = new Map<string, Archetype>();
  readonly #requestTypes = new Map<string, RequestType>();
  readonly #dataSets = new Map<string, Dataset>();
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
      dataset: this.#dataSets,
    };
    documents[kind].delete(name);
    if (kind !== "agreement") this.#policy = this.#make();
  }

  #take(kind: PolicyKind, name: string, value: unknown, revision: number): void {
    if (kind === "agreement") {
      this.#agreements.set(name, compileAgreement({ value: value as Agreement, revision }));
      return;
    }
    if (kind === "archetype") this.#archetypes.set(name, value as Archetype);
    if (kind === "requestType") this.#requestTypes.set(name, value as RequestType);
    if (kind === "dataset") this.#dataSets.set(name, value as Dataset);
    this.#policy = this.#make();
  }

  /** All but the agreements anew: they are few, and hang on each other. */
  #make(): Policy {
    const sensitive = sensitiveColumns(this.#dataSets.values());
    return {
      agreements: this.#agreements,
      archetypes: compileArchetypes(this.#archetypes.values()),
      requestTypes: new Map(
        Array.from(this.#requestTypes, ([name, type]) => [name, compileRequestType(type, sensitive)]),
      ),
    };
  }
}
