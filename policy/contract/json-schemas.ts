/** JSON Schemas (draft-07) of the documents and of the gateway's request body. `validate.ts` compiles them. */
import type { DocumentKind } from "./documents.js";

/** Party, archetype, request type, microservice, data set, step: they become queue names, keys and paths. */
export const NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$";
/** User names (often mail addresses) become parts of keys. */
export const USER_PATTERN = "^[^/\\s\\u0000-\\u001f\\u007f]{1,254}$";
/** RFC 3339 with seconds and zone. That the day exists is the format's to check. */
export const TIME_PATTERN =
  "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:[0-5]\\d(\\.\\d{1,9})?(Z|[+-]\\d{2}:\\d{2})$";

const name = { type: "string", pattern: NAME_PATTERN } as const;
const names = { type: "array", items: name, uniqueItems: true, maxItems: 1_024 } as const;
const text = { type: "string", minLength: 1, maxLength: 256 } as const;
const time = { type: "string", pattern: TIME_PATTERN, format: "date-time" } as const;
const columns = {
  type: "object",
  maxProperties: 1_024,
  propertyNames: { pattern: NAME_PATTERN },
  additionalProperties: { type: "array", items: text, uniqueItems: true, minItems: 1, maxItems: 10_000 },
} as const;

function object(required: readonly string[], properties: Record<string, unknown>) {
  return { type: "object", required, properties, additionalProperties: false } as const;
}

const persistence = { enum: ["job"] } as const;

const relation = object(["ID", "requestTypes", "allowedArchetypes", "allowedComputeProviders"], {
  ID: text,
  requestTypes: names,
  dataSets: names,
  columns,
  persistence,
  allowedArchetypes: names,
  allowedComputeProviders: names,
  notBefore: time,
  notAfter: time,
});

const role = { enum: ["dataProvider", "computeProvider"] } as const;

const workflow = object(["steps", "result"], {
  rounds: text,
  result: name,
  steps: {
    type: "array",
    minItems: 1,
    maxItems: 256,
    items: object(["name", "service", "role"], {
      name,
      service: name,
      role,
      retries: { type: "integer", minimum: 0, maximum: 5 },
      seconds: { type: "number", exclusiveMinimum: 0, maximum: 3_600 },
      inputs: {
        type: "array",
        maxItems: 256,
        items: object(["step"], { step: name, scatter: { type: "boolean" }, own: { type: "boolean" } }),
      },
    }),
  },
});

export const DOCUMENT_SCHEMAS: Readonly<Record<DocumentKind, object>> = {
  agreement: object(["name", "relations", "computeProviders", "archetypes"], {
    name,
    relations: {
      type: "object",
      maxProperties: 10_000,
      propertyNames: { pattern: USER_PATTERN },
      additionalProperties: relation,
    },
    computeProviders: names,
    archetypes: names,
    onRevocation: { enum: ["endRound", "stop"] },
    notBefore: time,
    notAfter: time,
  }),
  archetype: object(["name", "computeProvider", "resultRecipient", "weight"], {
    name,
    computeProvider: { enum: ["dataProvider", "other", "thirdParty"] },
    flows: { type: "array", maxItems: 4, items: object(["from", "to"], { from: role, to: role }) },
    resultRecipient: { enum: ["requestor"] },
    weight: { type: "number" },
  }),
  requestType: object(["name", "requiredServices"], {
    name,
    requiredServices: names,
    optionalServices: names,
    dataSets: names,
    columns,
    requireAll: { type: "boolean" },
    persistence,
    schema: { type: "object" },
    workflow,
  }),
  microservice: object(["name", "label", "allowedOutputs", "invalidArchetypes"], {
    name,
    label: { enum: ["dataProvider", "computeProvider", "aggregate"] },
    allowedOutputs: names,
    invalidArchetypes: names,
    // Below the experiment's folder: neither absolute nor upwards.
    entry: { type: "string", pattern: "^(?!/)(?!(.*/)?\\.\\.(/|$)).{1,255}$" },
  }),
  dataset: object(["name", "type", "delimiter", "tables"], {
    name,
    type: { enum: ["csv"] },
    delimiter: { type: "string", minLength: 1, maxLength: 1 },
    tables: { type: "array", items: text, uniqueItems: true, maxItems: 1_024 },
    sensitive_columns: {
      type: "object",
      maxProperties: 1_024,
      additionalProperties: { type: "array", items: text, maxItems: 10_000 },
    },
  }),
};

/** Body of the gateway's `POST /api/v1/requestApproval`. */
export const REQUEST_BODY_SCHEMA = object(["type", "dataProviders"], {
  type: name,
  user: object(["id", "userName"], {
    id: { type: "string", maxLength: 256 },
    userName: { type: "string", pattern: USER_PATTERN },
  }),
  dataProviders: { ...names, minItems: 1, maxItems: 256 },
  options: { type: "object", maxProperties: 64, additionalProperties: { type: "boolean" } },
  data_request: object(["type"], {
    type: name,
    // Its own schema is the request type's.
    data: { type: "object" },
    requestMetadata: { type: "object" },
    options: { type: "object", maxProperties: 64, additionalProperties: { type: "boolean" } },
  }),
});

/** {@link REQUEST_BODY_SCHEMA} as a type. */
export interface RequestBody {
  readonly type: string;
  /** Who asks is said by the token; a body may repeat it. */
  readonly user?: { readonly id: string; readonly userName: string };
  readonly dataProviders: readonly string[];
  readonly options?: Readonly<Record<string, boolean>>;
  readonly data_request?: {
    readonly type: string;
    readonly data?: Readonly<Record<string, unknown>>;
    readonly requestMetadata?: Readonly<Record<string, unknown>>;
    readonly options?: Readonly<Record<string, boolean>>;
  };
}
