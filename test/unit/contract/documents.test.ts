import { describe, expect, it } from "vitest";
import type { Agreement } from "../../../policy/contract/documents.js";
import {
  agreementProblems,
  checkDocuments,
  type Documents,
  dataValidator,
  validateDocument,
  validateRequestBody,
} from "../../../policy/contract/schemas.js";

const relation = (more: object = {}) => ({
  ID: "1",
  requestTypes: ["train"],
  allowedArchetypes: ["toData"],
  allowedComputeProviders: ["server"],
  ...more,
});
const agreement = (name: string, relations: object = { "ada@uva.nl": relation() }) => ({
  name,
  relations,
  computeProviders: ["server"],
  archetypes: ["toData"],
});
const requestType = (more: object = {}) => ({
  name: "train",
  requiredServices: ["client", "server"],
  workflow: {
    rounds: "rounds",
    result: "combine",
    steps: [
      { name: "embed", service: "client", role: "dataProvider" },
      { name: "combine", service: "server", role: "computeProvider", inputs: [{ step: "embed" }] },
    ],
  },
  ...more,
});
const service = (name: string, label: string) => ({
  name,
  label,
  allowedOutputs: ["client", "server"],
  invalidArchetypes: [],
});

function documents(more: Partial<Record<keyof Documents, object>> = {}): Documents {
  return {
    agreement: { one: agreement("one"), server: agreement("server") },
    archetype: {
      toData: { name: "toData", computeProvider: "other", resultRecipient: "requestor", weight: 1 },
    },
    requestType: { train: requestType() },
    microservice: { client: service("client", "dataProvider"), server: service("server", "computeProvider") },
    dataset: { people: { name: "people", type: "csv", delimiter: ",", tables: ["people"] } },
    ...more,
  } as Documents;
}

/** `document path code` of each problem. */
const found = (all: Documents, parties?: string[]) =>
  checkDocuments(all, parties).map((p) => `${p.name} ${p.path} ${p.code}`);

describe("validateDocument", () => {
  it("takes what is right", () => {
    for (const [kind, named] of Object.entries(documents())) {
      for (const [name, value] of Object.entries(named))
        expect(validateDocument(kind as keyof Documents, name, value)).toEqual([]);
    }
  });

  it("tells all that is wrong at once, with the path as a person writes it", () => {
    const wrong = {
      ...agreement("one", {
        "ada@uva.nl": relation({ requestTypes: "train", allowedArchetypes: ["ok", 3] }),
      }),
      archetype: [],
    };
    expect(validateDocument("agreement", "one", wrong)).toEqual([
      {
        code: "DOC-SCHEMA",
        path: "archetype",
        message: "is no field here",
        remedy: "did you mean archetypes?",
      },
      expect.objectContaining({
        code: "DOC-SCHEMA",
        path: 'relations["ada@uva.nl"].requestTypes',
        message: "must be array",
      }),
      expect.objectContaining({
        code: "DOC-SCHEMA",
        path: 'relations["ada@uva.nl"].allowedArchetypes[1]',
        message: "must be string",
      }),
    ]);
  });

  it.each([
    ["agreement", "one", "text", ""],
    ["agreement", "one", null, ""],
    ["agreement", "one", { ...agreement("one"), name: "a/b" }, "name"],
    ["agreement", "one", agreement("one", { "a b": relation() }), 'relations["a b"]'],
    ["agreement", "one", agreement("one", { "7": relation({ ID: "" }) }), 'relations["7"].ID'],
    ["agreement", "one", agreement("two"), "name"],
    ["agreement", "one", { ...agreement("one"), notAfter: "2026-02-30T00:00:00Z" }, "notAfter"],
    ["agreement", "one", { ...agreement("one"), notAfter: "2026-01-01" }, "notAfter"],
    ["agreement", "one", { ...agreement("one"), notBefore: "2026-01-01T23:59:60Z" }, "notBefore"],
    ["agreement", "one", { ...agreement("one"), notBefore: "2026-01-01T00:00:00" }, "notBefore"],
    [
      "agreement",
      "one",
      agreement("one", { ada: relation({ columns: { x: [] } }) }),
      "relations.ada.columns.x",
    ],
    [
      "agreement",
      "one",
      agreement("one", { ada: relation({ columns: { "a/b": ["c"] } }) }),
      'relations.ada.columns["a/b"]',
    ],
    ["requestType", "train", requestType({ requireAll: "yes" }), "requireAll"],
    [
      "archetype",
      "x",
      { name: "x", computeProvider: "nobody", resultRecipient: "requestor", weight: 1 },
      "computeProvider",
    ],
    ["microservice", "x", { ...service("x", "aggregate"), entry: "../../etc/passwd" }, "entry"],
    ["microservice", "x", { ...service("x", "aggregate"), entry: "/bin/sh" }, "entry"],
    ["requestType", "train", requestType({ schema: { type: "nothing" } }), "schema"],
    ["dataset", "x", { name: "x", type: "csv", delimiter: ",," }, "tables"],
  ] as const)("refuses a wrong %s %s %j at %s", (kind, name, value, path) => {
    expect(validateDocument(kind, name, value).map((p) => p.path)).toContain(path);
  });

  it("tells a mistake made many times a bounded number of times", () => {
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`u${i}`, {}]));
    expect(validateDocument("agreement", "one", agreement("one", many))).toHaveLength(50);
  });
});

describe("checkDocuments", () => {
  it("finds nothing wrong with what is right", () => {
    expect(checkDocuments(documents())).toEqual([]);
    expect(checkDocuments(documents(), ["one", "server"])).toEqual([]);
  });

  it("tells a user without rights, as promised to users", () => {
    const all = documents({
      agreement: {
        one: agreement("one", { "ada@uva.nl": relation({ requestTypes: [] }) }),
        server: agreement("server"),
      },
    });
    expect(checkDocuments(all)).toEqual([
      {
        kind: "agreement",
        name: "one",
        code: "POL-USER-NO-RIGHTS",
        path: 'relations["ada@uva.nl"].requestTypes',
        message: "empty",
        remedy: "name a request type or remove the user",
      },
    ]);
  });

  it("tells names that nothing bears, with the one that was probably meant", () => {
    const user = {
      "ada@uva.nl": relation({
        requestTypes: ["trian"],
        dataSets: ["poeple"],
        allowedComputeProviders: [],
        allowedArchetypes: ["other"],
      }),
    };
    const wrong = { ...agreement("one", user), computeProviders: ["sever"], archetypes: ["toDta"] };
    const all = documents({ agreement: { one: wrong, server: agreement("server") } });
    expect(checkDocuments(all).map((p) => [p.path, p.code, p.remedy])).toEqual([
      ["archetypes[0]", "DOC-ARCHETYPE-UNKNOWN", "did you mean toData?"],
      ["computeProviders[0]", "DOC-PARTY-UNKNOWN", "did you mean server?"],
      ['relations["ada@uva.nl"].requestTypes[0]', "DOC-REQUEST-TYPE-UNKNOWN", "did you mean train?"],
      ['relations["ada@uva.nl"].dataSets[0]', "DOC-DATASET-UNKNOWN", "did you mean people?"],
      [
        'relations["ada@uva.nl"].allowedArchetypes[0]',
        "DOC-NOT-OFFERED",
        "add it to archetypes, or remove it here",
      ],
    ]);
  });

  it.each([
    [
      "a time that ends before it begins",
      { notBefore: "2026-02-01T00:00:00Z", notAfter: "2026-01-31T23:59:59Z" },
      {},
      ["notAfter DOC-VALIDITY"],
    ],
    [
      "the same in another zone",
      { notBefore: "2026-01-01T00:00:00Z", notAfter: "2026-01-01T00:30:00+01:00" },
      {},
      ["notAfter DOC-VALIDITY"],
    ],
    [
      "a user's time that ends before the agreement's begins",
      { notAfter: "2025-12-31T00:00:00Z" },
      { notBefore: "2026-01-01T00:00:00Z" },
      ["notAfter DOC-VALIDITY"],
    ],
    [
      "a user's time that begins after the agreement's ends",
      { notBefore: "2027-01-01T00:00:00Z" },
      { notAfter: "2026-12-31T00:00:00Z" },
      ["notBefore DOC-VALIDITY"],
    ],
    [
      "times that meet in one moment",
      { notBefore: "2026-12-31T00:00:00Z" },
      { notAfter: "2026-12-31T00:00:00Z" },
      [],
    ],
    [
      "columns of a data set that is not listed",
      { dataSets: [], columns: { people: ["age"] } },
      {},
      ["columns.people DOC-COLUMNS"],
    ],
    [
      "columns of a data set that nothing bears",
      { columns: { poeple: ["age"] } },
      {},
      ["columns.poeple DOC-DATASET-UNKNOWN"],
    ],
    ["columns of a listed one", { dataSets: ["people"], columns: { people: ["age"] } }, {}, []],
    [
      "a compute provider that the agreement lacks",
      { allowedComputeProviders: ["one"] },
      {},
      ["allowedComputeProviders[0] DOC-NOT-OFFERED"],
    ],
  ])("tells %s", (_, more, whole, problems) => {
    const one = { ...agreement("one", { "ada@uva.nl": relation(more) }), ...whole };
    expect(found(documents({ agreement: { one, server: agreement("server") } }))).toEqual(
      problems.map((problem) => `one relations["ada@uva.nl"].${problem}`),
    );
  });

  it("tells an agreement's own time that ends before it begins, once, and not again at each user", () => {
    const one = { ...agreement("one"), notBefore: "2026-02-01T00:00:00Z", notAfter: "2026-01-01T00:00:00Z" };
    expect(found(documents({ agreement: { one, server: agreement("server") } }))).toEqual([
      "one notAfter DOC-VALIDITY",
    ]);
  });

  it("tells a request type's columns of a data set that it does not read", () => {
    const train = requestType({ columns: { people: ["age"] } });
    expect(found(documents({ requestType: { train } }))).toEqual(["train columns.people DOC-COLUMNS"]);
    const reads = requestType({ dataSets: ["people"], columns: { people: ["age"] } });
    expect(found(documents({ requestType: { train: reads } }))).toEqual([]);
  });

  it("says nothing of parties where nobody knows who they are", () => {
    const known = {
      archetypes: new Set(["toData"]),
      requestTypes: new Set(["train"]),
      dataSets: new Set<string>(),
    };
    expect(agreementProblems(agreement("one") as Agreement, known)).toEqual([]);
    const parties = new Set(["two"]);
    expect(
      agreementProblems(agreement("one") as Agreement, { ...known, parties }).map((p) => p.path),
    ).toEqual(["name", "computeProviders[0]"]);
    expect(agreementProblems(agreement("one", {}) as Agreement, known)).toEqual([]);
  });

  it("tells an agreement of nobody, and one that names nobody", () => {
    const all = documents({
      agreement: { one: agreement("one", {}), server: agreement("server"), ghost: agreement("ghost") },
    });
    expect(found(all, ["one", "server"])).toEqual([
      "one relations DOC-AGREEMENT-NOBODY",
      "ghost name DOC-PARTY-UNKNOWN",
    ]);
  });

  it.each([
    [
      "a service that nothing bears",
      { steps: [{ name: "embed", service: "clint", role: "dataProvider" }], result: "embed" },
      ["workflow.steps[0].service DOC-SERVICE-UNKNOWN"],
    ],
    [
      "a step that nothing bears",
      {
        steps: [{ name: "embed", service: "client", role: "dataProvider", inputs: [{ step: "x" }] }],
        result: "y",
      },
      ["workflow.steps[0].inputs[0].step DOC-STEP-UNKNOWN", "workflow.result DOC-STEP-UNKNOWN"],
    ],
    [
      "a role that the service is not made for",
      { steps: [{ name: "embed", service: "client", role: "computeProvider" }], result: "embed" },
      ["workflow.steps[0].role DOC-STEP-ROLE"],
    ],
    [
      "two steps of one name",
      {
        steps: [
          { name: "a", service: "client", role: "dataProvider" },
          { name: "a", service: "client", role: "dataProvider" },
        ],
        result: "a",
      },
      ["workflow.steps[1].name DOC-STEP-TWICE"],
    ],
    [
      "a circle",
      {
        steps: [
          { name: "a", service: "client", role: "dataProvider", inputs: [{ step: "b" }] },
          { name: "b", service: "client", role: "dataProvider", inputs: [{ step: "a" }] },
        ],
        result: "a",
      },
      ["workflow.steps DOC-WORKFLOW-CYCLE"],
    ],
    [
      "a step that waits for itself",
      {
        steps: [{ name: "a", service: "client", role: "dataProvider", inputs: [{ step: "a" }] }],
        result: "a",
      },
      ["workflow.steps DOC-WORKFLOW-CYCLE"],
    ],
    [
      "an own answer to a step of the other role",
      {
        steps: [
          { name: "a", service: "client", role: "dataProvider" },
          { name: "b", service: "server", role: "computeProvider", inputs: [{ step: "a", own: true }] },
        ],
        result: "b",
      },
      ["workflow.steps[1].inputs[0].own DOC-STEP-OWN"],
    ],
    [
      "10,000 steps",
      {
        steps: Array.from({ length: 10_000 }, (_, i) => ({
          name: `s${i}`,
          service: "client",
          role: "dataProvider",
        })),
        result: "s0",
      },
      ["workflow.steps DOC-SCHEMA"],
    ],
  ])("refuses a workflow with %s", (_what, workflow, expected) => {
    expect(found(documents({ requestType: { train: requestType({ workflow }) } }))).toEqual(
      expected.map((e) => `train ${e}`),
    );
  });

  it("refuses an output that a microservice may not give, and answers that no archetype lets go", () => {
    const steps = [
      { name: "a", service: "client", role: "dataProvider" },
      { name: "b", service: "client", role: "dataProvider", inputs: [{ step: "a" }] },
    ];
    const requestTypes = { train: requestType({ workflow: { steps, result: "b" } }) };
    const silent = { ...service("client", "dataProvider"), allowedOutputs: [] };
    expect(
      found(
        documents({
          requestType: requestTypes,
          microservice: { client: silent, server: service("server", "computeProvider") },
        }),
      ),
    ).toContain("train workflow.steps[1].inputs[0].step DOC-STEP-OUTPUT");
    const through = { name: "toData", computeProvider: "other", resultRecipient: "requestor", weight: 1 };
    const broken = "train workflow.steps[1].inputs[0] DOC-WORKFLOW-ARCHETYPE";
    expect(found(documents({ requestType: requestTypes, archetype: { toData: through } }))).toContain(broken);
    const open = { ...through, flows: [{ from: "dataProvider", to: "dataProvider" }] };
    expect(found(documents({ requestType: requestTypes, archetype: { toData: open } }))).not.toContain(
      broken,
    );
  });

  it("refuses rounds that no request can say, and a service that is not listed", () => {
    const schema = { type: "object", properties: { round: { type: "integer" } } };
    expect(found(documents({ requestType: { train: requestType({ schema }) } }))).toEqual([
      "train workflow.rounds DOC-ROUNDS-UNKNOWN",
    ]);
    expect(
      found(documents({ requestType: { train: requestType({ requiredServices: ["server"] }) } })),
    ).toEqual(["train workflow.steps[0].service DOC-SERVICE-UNLISTED"]);
  });

  it("does not call unknown what is there but wrong in itself", () => {
    const all = documents({ archetype: { toData: { name: "toData" } } });
    expect(new Set(checkDocuments(all).map((p) => `${p.kind} ${p.code}`))).toEqual(
      new Set(["archetype DOC-SCHEMA"]),
    );
  });
});

describe("the gateway's body", () => {
  const body = (more: object = {}) => ({
    type: "train",
    user: { id: "1", userName: "ada@uva.nl" },
    dataProviders: ["one"],
    data_request: { type: "train", data: { learning_rate: 0.05 }, requestMetadata: {} },
    ...more,
  });

  it("is what DYNAMOS's clients send", () => {
    expect(validateRequestBody(body())).toEqual([]);
    expect(
      validateRequestBody({ type: "train", user: { id: "", userName: "u" }, dataProviders: ["one"] }),
    ).toEqual([]);
  });

  it("need not say who asks, which the token does", () => {
    expect(validateRequestBody(body({ user: undefined }))).toEqual([]);
    expect(validateRequestBody({ type: "train", dataProviders: ["one"] })).toEqual([]);
  });

  it.each([
    [undefined, ""],
    [[], ""],
    [body({ dataProviders: [] }), "dataProviders"],
    [body({ dataProviders: ["a/b"] }), "dataProviders[0]"],
    [body({ data_requst: {} }), "data_requst"],
    [body({ data_request: { type: "other" } }), "data_request.type"],
    [body({ data_request: { type: "train", data: [] } }), "data_request.data"],
  ])("is refused: %j at %s", (value, path) => {
    expect(validateRequestBody(value)).toContainEqual(expect.objectContaining({ code: "GW-REQUEST", path }));
  });
});

describe("a request's data", () => {
  it("is checked by its type's schema", () => {
    const schema = {
      type: "object",
      required: ["rounds"],
      properties: { rounds: { type: "integer", minimum: 1 } },
    };
    const check = dataValidator({ name: "train", requiredServices: [], schema });
    expect(check({ rounds: 3 })).toEqual([]);
    expect(check({})).toEqual([
      { code: "ORC-DATA", path: "data.rounds", message: "is missing", remedy: "add it" },
    ]);
    expect(check({ rounds: 0 })).toMatchObject([
      { code: "ORC-DATA", path: "data.rounds", message: "must be >= 1" },
    ]);
    expect(dataValidator({ name: "free", requiredServices: [] })("anything")).toEqual([]);
  });
});
