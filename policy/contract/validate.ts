import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import addFormatsModule from "ajv-formats";
import { DOCUMENT_KINDS, type DocumentKind, type RequestType } from "./documents.js";
import {
  DOCUMENT_SCHEMAS,
  NAME_PATTERN,
  REQUEST_BODY_SCHEMA,
  TIME_PATTERN,
  USER_PATTERN,
} from "./json-schemas.js";
import { documentPath } from "./paths.js";
import type { Problem } from "./problem.js";
import { suggestion } from "./suggest.js";

const addFormats = addFormatsModule.default;

const ajv = new Ajv({ allErrors: true, strict: true, allowUnionTypes: true, verbose: true });
addFormats(ajv, ["date-time"]);
const DOCUMENT_VALIDATORS = Object.fromEntries(
  DOCUMENT_KINDS.map((kind) => [kind, ajv.compile(DOCUMENT_SCHEMAS[kind])]),
) as Record<DocumentKind, ValidateFunction>;
const validateBody = ajv.compile(REQUEST_BODY_SCHEMA);

/** One mistake repeated a thousand times is told this often at most. */
const MOST_PROBLEMS = 50;

/**
 * What is wrong with one document by itself: its shape (`DOC-SCHEMA`), a name that is not the one it is stored under (`DOC-NAME`),
 * a request type's schema that is no JSON Schema (`DOC-REQUEST-SCHEMA`). Empty: nothing. Pure.
 */
export function validateDocument(kind: DocumentKind, name: string, value: unknown): Problem[] {
  const problems = schemaProblems(DOCUMENT_VALIDATORS[kind], value, "DOC-SCHEMA");
  if (problems.length > 0) return problems;
  const document = value as { readonly name: string };
  if (document.name !== name) {
    problems.push({
      code: "DOC-NAME",
      path: "name",
      message: `is ${document.name}, but it is stored as ${name}`,
      remedy: "make the two the same",
    });
  }
  if (kind === "requestType") problems.push(...requestSchemaProblems(value as RequestType));
  return problems;
}

/** What is wrong with the body of `POST /api/v1/requestApproval` (`GW-REQUEST`). Empty: it is a {@link RequestBody}. Pure. */
export function validateRequestBody(value: unknown): Problem[] {
  const problems = schemaProblems(validateBody, value, "GW-REQUEST");
  if (problems.length > 0) return problems;
  const { type, data_request: data } = value as { type: string; data_request?: { type: string } };
  if (data !== undefined && data.type !== type) {
    problems.push({
      code: "GW-REQUEST",
      path: "data_request.type",
      message: `is ${data.type}, but the approval is for ${type}`,
      remedy: "make the two the same",
    });
  }
  return problems;
}

/**
 * Compiles a request type's schema for the `data` of requests; the result tells what is wrong with such data (`ORC-DATA`, paths begin with `data`).
 * A type without schema takes any object. Compile once, use often.
 */
export function dataValidator(requestType: RequestType): (data: unknown) => Problem[] {
  if (requestType.schema === undefined) return () => [];
  const validate = newRequestAjv().compile(requestType.schema);
  return (data) => schemaProblems(validate, data, "ORC-DATA", "data");
}

function newRequestAjv(): Ajv {
  // Not strict: a schema from outside may carry keywords that only its editor knows. Not shared: two types may use one $id.
  const own = new Ajv({ allErrors: true, strict: false });
  addFormats(own);
  return own;
}

function requestSchemaProblems({ schema }: RequestType): Problem[] {
  if (schema === undefined) return [];
  try {
    newRequestAjv().compile(schema);
    return [];
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return [
      {
        code: "DOC-REQUEST-SCHEMA",
        path: "schema",
        message: `is no JSON Schema (${text})`,
        remedy: "see json-schema.org, draft 7",
      },
    ];
  }
}

function schemaProblems(validate: ValidateFunction, value: unknown, code: string, root = ""): Problem[] {
  if (validate(value)) return [];
  const all = validate.errors ?? [];
  const isToldAlready = ({ keyword, instancePath, propertyName }: ErrorObject): boolean =>
    keyword === "if" ||
    (keyword === "pattern" && propertyName !== undefined) ||
    (keyword === "format" && all.some((e) => e.keyword === "pattern" && e.instancePath === instancePath));
  const errors = all.filter((error) => !isToldAlready(error));
  return errors.slice(0, MOST_PROBLEMS).map((error) => schemaProblem(error, value, code, root));
}

function schemaProblem(error: ErrorObject, value: unknown, code: string, root: string): Problem {
  const at = partsOf(error.instancePath, value);
  const { missingProperty, additionalProperty, propertyName, allowedValues } = error.params as Readonly<
    Record<string, unknown>
  >;
  const make = (path: readonly (string | number)[], message: string, remedy: string): Problem => ({
    code,
    path: documentPath(path, root),
    message,
    remedy,
  });
  switch (error.keyword) {
    case "required":
      return make([...at, String(missingProperty)], "is missing", "add it");
    case "additionalProperties":
      return make(
        [...at, String(additionalProperty)],
        "is no field here",
        suggestion(String(additionalProperty), fieldsOf(error)),
      );
    case "propertyNames":
      return make([...at, String(propertyName)], "is no name for this", nameRule(error));
    case "enum": {
      const values = (allowedValues as readonly unknown[]).map(String);
      return make(at, `must be ${values.join(" or ")}`, "use one of these");
    }
    case "format":
      return make(at, "is no date and time", TIME_RULE);
    case "pattern": {
      if (error.params.pattern === TIME_PATTERN) return make(at, "is no date and time", TIME_RULE);
      const rule = NAME_RULES[String(error.params.pattern)];
      return make(
        at,
        rule === undefined ? "has the wrong form" : "is no name",
        rule ?? `it must match ${String(error.params.pattern)}`,
      );
    }
    default:
      return make(at, error.message ?? "is wrong", "correct it");
  }
}

const NAME_RULES: Readonly<Record<string, string>> = {
  [NAME_PATTERN]:
    "use 1 to 63 letters, digits, dots, dashes and underscores, beginning with a letter or digit",
  [USER_PATTERN]: "use 1 to 254 characters without spaces and slashes",
};
const TIME_RULE = "write it with seconds and zone, e.g. 2026-12-31T23:59:59Z";

/** The rule that an object's field names broke. */
function nameRule({ parentSchema }: ErrorObject): string {
  const { pattern } = (parentSchema as { propertyNames?: { pattern?: string } }).propertyNames ?? {};
  return NAME_RULES[pattern ?? ""] ?? "choose another name";
}

/** A JSON pointer's parts; those that index an array as numbers. */
function partsOf(pointer: string, value: unknown): (string | number)[] {
  let here = value;
  return pointer
    .split("/")
    .slice(1)
    .map((escaped) => {
      const part = escaped.replaceAll("~1", "/").replaceAll("~0", "~");
      const key = Array.isArray(here) ? Number(part) : part;
      here = (here as Record<string | number, unknown> | undefined)?.[key];
      return key;
    });
}

function fieldsOf(error: ErrorObject): string[] {
  const properties = (error.parentSchema as { properties?: object } | undefined)?.properties;
  return Object.keys(properties ?? {});
}
