import { z } from "zod";
import type { Problem } from "../infra/problem.js";
import { pathText } from "../infra/problems-of-schema.js";
import { closest } from "../policy/contract/suggest.js";

type Issue = z.core.$ZodIssue;

/** What zod found, as problems a person can mend. A wrong name of a node that differs from another only by case is left to the placement. */
export function specIssues(error: z.ZodError, raw: unknown, schema: z.ZodType): Problem[] {
  return error.issues.flatMap((issue) => problemsOf(issue as Issue, raw, schema));
}

function problemsOf(issue: Issue, raw: unknown, schema: z.ZodType): Problem[] {
  const path = pathText(issue.path);
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => unknownKey(path, key, keysAt(schema, issue.path)));
  if (issue.code === "invalid_key") return [nameProblem(path, issue)];
  const found = valueAt(raw, issue.path);
  if (found === undefined) {
    const whole = path === "";
    return [
      {
        code: "SPEC-MISSING",
        path: whole ? "dynamos-fabric:marketplace" : path,
        message: whole ? "no marketplace is described" : "missing",
        remedy: whole
          ? "write it under config in the stack's file; README.md shows one"
          : `add ${lastOf(path)}: ${expectedText(issue)}`,
      },
    ];
  }
  return [valueProblem(path, issue, found)];
}

function valueProblem(path: string, issue: Issue, found: unknown): Problem {
  const key = lastOf(path);
  if (issue.code === "invalid_value") {
    const values = issue.values.map(String);
    const code =
      key === "role" ? "SPEC-ROLE-UNKNOWN" : key === "target" ? "SPEC-TARGET-UNKNOWN" : "SPEC-VALUE";
    return {
      code,
      path,
      message: `no ${key} ${shown(found)}${didYouMean(String(found), values)}`,
      remedy: `use one of ${values.join(", ")}`,
    };
  }
  if (issue.code === "invalid_type") {
    return {
      code: key === "lease" || key === "renewWithin" ? "SPEC-LEASE" : "SPEC-TYPE",
      path,
      message: `${shown(found)} is not ${expectedText(issue)}`,
      remedy: `write ${expectedText(issue)}`,
    };
  }
  if (key === "lease" || key === "renewWithin")
    return { code: "SPEC-LEASE", path, message: `${shown(found)} is not a lease`, remedy: issue.message };
  if (key === "party")
    return {
      code: "SPEC-NAME",
      path,
      message: `${shown(found)} is not a name of a party`,
      remedy: issue.message,
    };
  return {
    code: "SPEC-VALUE",
    path,
    message: `${shown(found)} is not allowed: ${issue.message}`,
    remedy: "docs/marketplace.schema.json says what is",
  };
}

/** The settings that there are at a path. */
function keysAt(schema: z.ZodType, [first, ...rest]: readonly PropertyKey[]): readonly string[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)
    return keysAt(schema.unwrap() as z.ZodType, first === undefined ? [] : [first, ...rest]);
  if (schema instanceof z.ZodRecord) return keysAt(schema.valueType as z.ZodType, rest);
  if (!(schema instanceof z.ZodObject)) return [];
  if (first === undefined) return Object.keys(schema.shape);
  const next = schema.shape[String(first)] as z.ZodType | undefined;
  return next === undefined ? [] : keysAt(next, rest);
}

function unknownKey(path: string, key: string, known: readonly string[]): Problem {
  return {
    code: "SPEC-KEY-UNKNOWN",
    path: path === "" ? key : `${path}.${key}`,
    message: `no setting ${shown(key)}${didYouMean(key, known)}`,
    remedy: `there are ${known.join(", ")}`,
  };
}

function nameProblem(path: string, issue: Issue): Problem {
  const inner = "issues" in issue ? (issue.issues as readonly Issue[])[0]?.message : undefined;
  return {
    code: "SPEC-NAME",
    path,
    message: `${shown(lastOf(path))} is not a name of a node`,
    remedy: inner ?? "lower case letters, digits and -",
  };
}

function expectedText(issue: Issue): string {
  if (issue.code === "invalid_value") return `one of ${issue.values.map(String).join(", ")}`;
  if (issue.code !== "invalid_type") return "a value";
  switch (issue.expected) {
    case "int":
      return "a whole number";
    case "object":
    case "record":
      return "a group of settings";
    case "array":
      return "a list";
    case "string":
      return "a text";
    default:
      return `a ${issue.expected}`;
  }
}

function valueAt(raw: unknown, path: readonly PropertyKey[]): unknown {
  let value = raw;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

const lastOf = (path: string): string => path.slice(path.lastIndexOf(".") + 1);
const shown = (value: unknown): string =>
  typeof value === "string" ? JSON.stringify(value) : (JSON.stringify(value) ?? String(value)).slice(0, 80);

/** `; did you mean "LOSA"?`, or nothing where no name is near. */
function didYouMean(written: string, known: readonly string[]): string {
  const near = closest(written, known);
  return near === undefined ? "" : `; did you mean ${near}?`;
}
