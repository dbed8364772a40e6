/**
 * Query parameters as the orchestrator's front checks them (connexion 2.14 with its openapi.json): names, kinds and limits, and the words of
 * its refusals (the first line of them: the real ones go on with the schema).
 */
import { FrontError } from "./api-error.js";
import { sliceStates } from "./states.js";

interface Rule {
  readonly kind: "string" | "integer" | "boolean" | "list";
  readonly required?: boolean;
  readonly minLength?: number;
  readonly min?: number;
  readonly max?: number;
  readonly oneOf?: readonly string[];
}

type Rules = Readonly<Record<string, Rule>>;

type ValueOf<R extends Rule> = R["kind"] extends "integer"
  ? number
  : R["kind"] extends "boolean"
    ? boolean
    : R["kind"] extends "list"
      ? readonly string[]
      : string;

export type QueryOf<R extends Rules> = {
  readonly [K in keyof R]: ValueOf<R[K]> | (R[K]["required"] extends true ? never : undefined);
};

const graphFormat = {
  kind: "string",
  required: true,
  oneOf: ["GRAPHML", "JSON_NODELINK", "CYTOSCAPE", "NONE"],
} as const;
const text = { kind: "string" } as const;
const page = { limit: { kind: "integer", min: 1, max: 200 }, offset: { kind: "integer", min: 0 } } as const;
const window = { start_date: text, end_date: text, includes: text, excludes: text } as const;

/** Parameters of each call. */
export const queries = {
  slices: {
    name: { kind: "string", minLength: 3 },
    search: text,
    exact_match: { kind: "boolean" },
    as_self: { kind: "boolean" },
    states: { kind: "list", oneOf: [...sliceStates, "All"] },
    ...page,
  },
  slice: { as_self: { kind: "boolean" }, graph_format: graphFormat },
  create: {
    name: { kind: "string", required: true, minLength: 3 },
    lifetime: { kind: "integer" },
    lease_start_time: text,
    lease_end_time: text,
  },
  renew: { lease_end_time: { kind: "string", required: true } },
  slivers: { slice_id: { kind: "string", required: true }, as_self: { kind: "boolean" } },
  resources: {
    level: { kind: "integer", required: true },
    force_refresh: { kind: "boolean", required: true },
    ...window,
  },
  portalResources: {
    graph_format: graphFormat,
    level: { kind: "integer" },
    force_refresh: { kind: "boolean" },
    ...window,
  },
  summary: { level: { kind: "integer" }, force_refresh: { kind: "boolean" }, ...window, type: text },
  poas: {
    sliver_id: { kind: "string", minLength: 3 },
    states: {
      kind: "list",
      oneOf: ["Nascent", "SentToAuthority", "Performing", "AwaitingCompletion", "Success", "Failed"],
    },
    ...page,
  },
} as const satisfies Readonly<Record<string, Rules>>;

/** @throws FrontError 400 */
export function readQuery<R extends Rules>(rules: R, query: unknown): QueryOf<R> {
  const given = (query ?? {}) as Readonly<Record<string, string | readonly string[] | undefined>>;
  const read = Object.entries(rules).map(([name, rule]) => [name, readOne(name, rule, given[name])]);
  return Object.fromEntries(read) as QueryOf<R>;
}

function readOne(name: string, rule: Rule, value: string | readonly string[] | undefined): unknown {
  if (value === undefined) {
    if (rule.required) throw bad(`Missing query parameter '${name}'`);
    return undefined;
  }
  if (rule.kind === "list") {
    const items = (typeof value === "string" ? [value] : value).flatMap((v) => v.split(","));
    for (const item of items) checkText(rule, item);
    return items;
  }
  const one = typeof value === "string" ? value : (value.at(-1) ?? "");
  if (rule.kind === "integer") return readInteger(name, rule, one);
  if (rule.kind === "boolean") {
    const word = one.toLowerCase();
    if (word !== "true" && word !== "false") throw wrongType("boolean", name);
    return word === "true";
  }
  checkText(rule, one);
  return one;
}

function readInteger(name: string, rule: Rule, value: string): number {
  if (!/^[+-]?\d{1,15}$/.test(value.trim())) throw wrongType("integer", name);
  const n = Number(value);
  if (rule.max !== undefined && n > rule.max) throw bad(`${n} is greater than the maximum of ${rule.max}`);
  if (rule.min !== undefined && n < rule.min) throw bad(`${n} is less than the minimum of ${rule.min}`);
  return n;
}

function checkText(rule: Rule, value: string): void {
  if (rule.minLength !== undefined && value.length < rule.minLength) throw bad(`'${value}' is too short`);
  if (rule.oneOf !== undefined && !rule.oneOf.includes(value)) throw bad(notOneOf(value, rule.oneOf));
}

/** As Python's jsonschema says it. */
export function notOneOf(value: string, allowed: readonly string[]): string {
  return `'${value}' is not one of [${allowed.map((a) => `'${a}'`).join(", ")}]`;
}

function wrongType(kind: string, name: string): FrontError {
  return bad(`Wrong type, expected '${kind}' for query parameter '${name}'`);
}

export function bad(detail: string): FrontError {
  return new FrontError(400, "Bad Request", detail);
}
