import type { RequestType } from "../contract/documents.js";
import type { Problem } from "../contract/problem.js";
import { dataValidator } from "../contract/schemas.js";
import type { Entry } from "../platform/mirror.js";

type Validator = (data: unknown) => readonly Problem[];

/** Checks requests' data against their types' JSON Schemas, each compiled once per revision of its document. */
export class RequestDataChecker {
  readonly #compiled = new Map<string, { readonly revision: number; readonly validate: Validator }>();

  /** All that is wrong with a request's data (`ORC-DATA`, paths begin with `data_request.data`); empty: nothing. */
  check(type: Entry<RequestType>, data: unknown): readonly Problem[] {
    return this.#validator(type)(data).map((problem) => ({
      ...problem,
      path: `data_request.${problem.path ?? "data"}`,
    }));
  }

  #validator({ value, revision }: Entry<RequestType>): Validator {
    const known = this.#compiled.get(value.name);
    if (known?.revision === revision) return known.validate;
    const validate = compiled(value);
    this.#compiled.set(value.name, { revision, validate });
    return validate;
  }
}

/** A schema that is none lets nothing through: what it was meant to forbid is not known. */
function compiled(type: RequestType): Validator {
  try {
    return dataValidator(type);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const problem: Problem = {
      code: "ORC-DATA",
      path: "data",
      message: `cannot be checked: the schema of request type ${type.name} is no JSON Schema (${text})`,
      remedy: "correct the request type's document",
    };
    return () => [problem];
  }
}
