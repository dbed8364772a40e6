import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KEY } from "../../../policy/contract/names.js";
import { agreement, Market, request, TYPES, WHATEVER } from "./market.js";

let market: Market;
beforeAll(async () => {
  market = await Market.open();
}, 60_000);
afterAll(() => market?.close(), 30_000);

describe("the operator's API", () => {
  it("takes nobody without the operator's token, but says that it is well", async () => {
    const get = (path: string, authorization?: string) =>
      fetch(`${market.apiUrl}${path}`, authorization === undefined ? {} : { headers: { authorization } });
    expect((await get("/healthz")).status).toBe(200);
    for (const authorization of [
      undefined,
      "Bearer",
      "Bearer wrong",
      "Basic b3BlcmF0b3I6",
      "bearer operator-token-of-the-tes",
    ]) {
      for (const path of ["/api/v1/archetypes", "/api/v1/nothing", "/api/v1/jobs/1/events"]) {
        const answer = await get(path, authorization);
        expect(answer.status).toBe(401);
        expect(await answer.json()).toMatchObject({
          status: "failed",
          code: "ORC-NOT-ALLOWED",
          remedy: expect.any(String),
        });
      }
    }
    const put = await fetch(`${market.apiUrl}/api/v1/policyEnforcer/agreements/one`, {
      method: "PUT",
      body: "{}",
      headers: { "content-type": "application/json" },
    });
    expect(put.status).toBe(401);
  });

  it.each(["archetypes", "requestTypes", "microservices", "policyEnforcer/agreements"])(
    "lists %s and gives each with its revision",
    async (path) => {
      const { status, body } = await market.api("GET", path);
      expect(status).toBe(200);
      expect(body.documents.length).toBeGreaterThanOrEqual(2);
      for (const { name, revision, document } of body.documents) {
        const one = await market.api("GET", `${path}/${name}`);
        expect(one.body).toEqual({ revision, document });
        expect(one.headers.get("etag")).toBe(`"${revision}"`);
      }
    },
  );

  it("writes, reads back and deletes a data set", async () => {
    const dataset = { name: "people", type: "csv", delimiter: ",", tables: ["people"] };
    const put = await market.api("PUT", "datasets/people", dataset);
    expect(put).toMatchObject({ status: 200, body: { document: dataset } });
    expect((await market.api("GET", "datasets/people")).body).toEqual({
      revision: put.body.revision,
      document: dataset,
    });
    const gone = await market.api("DELETE", "datasets/people");
    expect(gone.body.revision).toBeGreaterThan(put.body.revision);
    expect(await market.api("GET", "datasets/people")).toMatchObject({
      status: 404,
      body: { code: "ORC-DOCUMENT-NOT-FOUND", path: "people" },
    });
    expect((await market.api("DELETE", "datasets/people")).status).toBe(404);
  });

  it("writes only on the revision that If-Match names", async () => {
    const path = "policyEnforcer/agreements/one";
    const { revision } = (await market.api("GET", path)).body;
    const stale = await market.api("PUT", path, agreement("one"), { "if-match": `"${revision - 1}"` });
    expect(stale).toMatchObject({ status: 412, body: { status: "failed", code: "STO-CONFLICT" } });
    expect((await market.api("GET", path)).body.revision).toBe(revision);
    const fresh = await market.api("PUT", path, agreement("one"), { "if-match": `"${revision}"` });
    expect(fresh.status).toBe(200);
    expect(fresh.headers.get("etag")).toBe(`"${fresh.body.revision}"`);
    expect((await market.api("DELETE", path, undefined, { "if-match": `"${revision}"` })).status).toBe(412);
    expect((await market.api("PUT", path, agreement("one"), { "if-none-match": "*" })).status).toBe(412);
    expect((await market.api("PUT", path, agreement("one"), { "if-match": "abc" })).body).toMatchObject({
      code: "ORC-CONDITION",
    });
    expect(
      (await market.api("PUT", "policyEnforcer/agreements/new", agreement("new"), { "if-match": "*" }))
        .status,
    ).toBe(412);
    expect(
      (await market.api("PUT", "policyEnforcer/agreements/new", agreement("new"), { "if-none-match": "*" }))
        .status,
    ).toBe(200);
    await market.api("DELETE", "policyEnforcer/agreements/new");
  });

  it("replaces no agreement for one who does not say which revision of it he has seen", async () => {
    const path = "policyEnforcer/agreements/one";
    const { revision } = (await market.api("GET", path)).body;
    expect(await market.api("PUT", path, agreement("one"))).toMatchObject({
      status: 428,
      body: { code: "ORC-REVISION-MISSING" },
    });
    expect((await market.api("GET", path)).body.revision).toBe(revision);
    expect((await market.api("PUT", path, agreement("one"), WHATEVER)).status).toBe(200);
  });

  it("tells an agreement's history by revision, also what was taken away, and nobody else's", async () => {
    const path = "policyEnforcer/agreements/past";
    const first = (await market.api("PUT", path, agreement("past"))).body.revision;
    await market.api("PUT", "policyEnforcer/agreements/pastel", agreement("pastel"));
    const gone = (await market.api("DELETE", path)).body.revision;
    const garbage = await market.store.put(KEY.agreement("past"), 7);
    const { body } = await market.api("GET", `${path}/history`);
    expect(body).toEqual({
      name: "past",
      versions: [
        { revision: first, document: agreement("past") },
        { revision: gone, document: null },
        { revision: garbage, document: 7 },
      ],
    });
    await market.store.delete(KEY.agreement("past"));
    await market.api("DELETE", "policyEnforcer/agreements/pastel");
  });

  it("tells all that is wrong with a document, and writes none of it", async () => {
    const { revision } = (await market.api("GET", "policyEnforcer/agreements/one")).body;
    const wrong = { ...agreement("one"), archetypes: "all", computeProviders: [1] };
    const { status, body } = await market.api("PUT", "policyEnforcer/agreements/one", wrong);
    expect(status).toBe(400);
    expect(body.problems.map((p: { path: string }) => p.path)).toEqual(
      expect.arrayContaining(["archetypes", "computeProviders[0]"]),
    );
    expect(await market.api("PUT", "requestTypes/other", TYPES[0])).toMatchObject({
      status: 400,
      body: { code: "DOC-NAME" },
    });
    expect((await market.api("PUT", "policyEnforcer/agreements/a%2Fb", agreement("a/b"))).status).toBe(400);
    expect((await market.api("GET", "policyEnforcer/agreements/a%2Fb")).status).toBe(404);
    expect((await market.api("GET", "policyEnforcer/agreements/one")).body.revision).toBe(revision);
  });

  it("refuses a workflow that could not run when it is registered, and knows the archetypes for that", async () => {
    const workflow = {
      steps: [
        { name: "read", service: "reader", role: "dataProvider", inputs: [{ step: "add" }] },
        { name: "add", service: "adder", role: "computeProvider", inputs: [{ step: "read" }] },
      ],
      result: "add",
    };
    const round = { ...TYPES[0], name: "round", workflow };
    expect(await market.api("PUT", "requestTypes/round", round)).toMatchObject({
      status: 400,
      body: { problems: [{ code: "DOC-WORKFLOW-CYCLE", path: "workflow.steps" }] },
    });
    expect((await market.api("GET", "requestTypes/round")).status).toBe(404);
    const unknown = { ...round, workflow: { ...workflow, result: "sum" } };
    const { body } = await market.api("PUT", "requestTypes/round", unknown);
    expect(body.problems.map(({ code }: { code: string }) => code)).toContain("DOC-STEP-UNKNOWN");
  });

  it("refuses an agreement that contradicts itself or the other documents, with each place", async () => {
    const path = "policyEnforcer/agreements/one";
    const before = (await market.api("GET", path)).body;
    const [[user, relation] = ["", {}]] = Object.entries(agreement("one").relations);
    const wrong = (more: object, whole: object = {}) =>
      market.api("PUT", path, {
        ...agreement("one"),
        ...whole,
        relations: { [user]: { ...relation, ...more } },
      });
    const found = async (answer: ReturnType<typeof wrong>) => {
      const { status, body } = await answer;
      return [
        status,
        ...(body.problems ?? []).map((p: { code: string; path: string }) => `${p.code} ${p.path}`),
      ];
    };
    const at = (field: string) => `relations[${JSON.stringify(user)}].${field}`;
    const names = { requestTypes: ["smu"], dataSets: ["nothing"], columns: { nothing: ["a"] } };
    expect(await found(wrong(names, { archetypes: ["throughOther", "magic"] }))).toEqual([
      400,
      "DOC-ARCHETYPE-UNKNOWN archetypes[1]",
      `DOC-REQUEST-TYPE-UNKNOWN ${at("requestTypes[0]")}`,
      `DOC-DATASET-UNKNOWN ${at("dataSets[0]")}`,
      `DOC-NOT-OFFERED ${at("allowedArchetypes[1]")}`,
      `DOC-DATASET-UNKNOWN ${at("columns.nothing")}`,
    ]);
    expect(await found(wrong({ requestTypes: [] }))).toEqual([
      400,
      `POL-USER-NO-RIGHTS ${at("requestTypes")}`,
    ]);
    expect(await found(wrong({ allowedComputeProviders: ["stranger"] }))).toEqual([
      400,
      `DOC-NOT-OFFERED ${at("allowedComputeProviders[0]")}`,
    ]);
    const times = { notBefore: "2026-02-01T00:00:00Z", notAfter: "2026-01-01T00:00:00Z" };
    expect(await found(wrong(times))).toEqual([400, `DOC-VALIDITY ${at("notAfter")}`]);
    expect(await found(wrong({ notAfter: "tomorrow" }))).toEqual([400, `DOC-SCHEMA ${at("notAfter")}`]);
    expect((await market.api("GET", path)).body).toEqual(before);
    // Whoever takes everything back contradicts nothing.
    expect((await market.api("PUT", path, { ...agreement("one"), relations: {} }, WHATEVER)).status).toBe(
      200,
    );
    expect((await market.api("PUT", path, agreement("one"), WHATEVER)).status).toBe(200);
  });

  it("lists agents online, jobs, and says that a job is unknown", async () => {
    expect((await market.api("GET", "agents")).body.agents.map((a: { name: string }) => a.name)).toEqual([
      "hub",
      "one",
      "two",
    ]);
    const { body } = await market.ask(request(2));
    const { jobs } = (await market.api("GET", "jobs")).body;
    expect(jobs).toContainEqual(
      expect.objectContaining({ jobId: body.jobId, status: "completed", round: 2, user: "ada@uva.nl" }),
    );
    expect(await market.api("GET", "jobs/unknown")).toMatchObject({
      status: 404,
      body: { code: "ORC-JOB-NOT-FOUND" },
    });
  });

  it("says within a second that the store is away, and works again when it is back", async () => {
    await market.server.stop();
    const begin = performance.now();
    const put = await market.api("PUT", "policyEnforcer/agreements/one", agreement("one"), WHATEVER);
    expect(put).toMatchObject({ status: 503, body: { status: "failed", code: "STO-UNREACHABLE" } });
    const asked = await market.ask(request(1));
    expect(asked).toMatchObject({ status: 503, body: { status: "failed", code: "STO-UNREACHABLE" } });
    expect(performance.now() - begin).toBeLessThan(2_000);
    await market.server.restart();
    const again = async () =>
      (await market.api("PUT", "policyEnforcer/agreements/one", agreement("one"), WHATEVER)).status;
    await expect.poll(again, { timeout: 10_000 }).toBe(200);
  }, 30_000);
});
