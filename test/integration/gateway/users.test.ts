import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KEY } from "../../../policy/contract/names.js";
import { issuerKey } from "../../support/test-issuer.js";
import {
  agreement,
  approval,
  events,
  type JsonBody,
  Market,
  request,
  TOKEN,
  USER,
} from "../orchestrator/market.js";

const EVE = "eve@uva.nl";
const ONE = "policyEnforcer/agreements/one";

let market: Market;
beforeAll(async () => {
  market = await Market.open();
}, 60_000);
afterAll(() => market?.close(), 30_000);

/** A call of the orchestrator's API with a user's token. */
async function api(
  roles: readonly string[],
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: JsonBody }> {
  return market.api(method, path, body, { ...(await market.as("sam@one.nl", roles)), ...headers });
}

/** All agreements as the store has them, revisions included. */
const agreements = async (): Promise<JsonBody> =>
  (await market.api("GET", "policyEnforcer/agreements")).body.documents;

describe("the gateway", () => {
  it("answers nobody without a token but who asks whether it is well", async () => {
    for (const [method, path] of [
      ["POST", "requestApproval"],
      ["GET", "getAvailableProviders"],
      ["GET", "jobs/1"],
      ["GET", "jobs/1/events"],
    ] as const) {
      const answer = await fetch(`${market.gatewayUrl}/api/v1/${path}`, { method });
      expect(answer.status).toBe(401);
      expect(answer.headers.get("www-authenticate")).toBe("Bearer");
      expect(await answer.json()).toMatchObject({
        status: "failed",
        code: "USR-TOKEN-MISSING",
        path: "authorization",
      });
    }
    expect((await fetch(`${market.gatewayUrl}/healthz`)).status).toBe(200);
  });

  it("takes the user from the token: a body without one is theirs, a body with another one is refused", async () => {
    const { user: _said, ...unsaid } = approval();
    expect((await market.ask(unsaid)).status).toBe(200);
    // Eve has no agreement; whatever her body says, she gets no further than her own name.
    const eve = await market.as(EVE);
    expect(await market.ask(unsaid, eve)).toMatchObject({
      status: 403,
      body: { status: "refused", reasons: [{ code: "POL-NO-AGREEMENT" }, { code: "POL-NO-AGREEMENT" }] },
    });
    expect(await market.ask(request(1), eve)).toMatchObject({
      status: 403,
      body: { status: "failed", code: "USR-NOT-YOU", path: "user.userName", remedy: expect.any(String) },
    });
    expect(await market.ask(approval({ user: { ...USER, userName: "ADA@uva.nl" } }))).toMatchObject({
      body: { code: "USR-NOT-YOU" },
    });
  });

  it("writes the issuer's name for the user into the request, never the body's", async () => {
    const { body } = await market.ask(request(1, { user: { id: "root", userName: USER.userName } }));
    expect(body).toMatchObject({ status: "completed" });
    expect(market.agent("one").compositions.at(-1)?.user).toEqual({
      id: USER.userName,
      userName: USER.userName,
    });
  });

  it("refuses a token without the requester's role, and one that is not the issuer's", async () => {
    for (const roles of [[], ["operator"], ["steward:one"], ["Requester"]])
      expect(await market.ask(approval(), await market.as(USER.userName, roles))).toMatchObject({
        status: 403,
        body: { status: "failed", code: "USR-ROLE" },
      });
    const forged = await market.issuer.token({}, {}, await issuerKey("key-0"));
    expect(await market.ask(approval(), { authorization: `Bearer ${forged}` })).toMatchObject({
      status: 401,
      body: { code: "USR-TOKEN-INVALID" },
    });
    expect(await market.ask(approval(), { authorization: `Bearer ${TOKEN}` })).toMatchObject({ status: 401 });
  });

  it("tells of a job to its user and to operators; to others it is not there", async () => {
    const { body } = await market.ask(request(2));
    const job = `${market.gatewayUrl}/api/v1/jobs/${body.jobId}`;
    const eve = await market.as(EVE);
    const operator = await market.as("op@uva.nl", ["operator"]);
    for (const url of [job, `${job}/events`]) {
      const answer = await fetch(url, { headers: eve });
      expect(answer.status).toBe(404);
      expect(await answer.json()).toMatchObject({ code: "GW-JOB-NOT-FOUND" });
    }
    for (const headers of [market.asUser, operator]) {
      expect(await (await fetch(job, { headers })).json()).toMatchObject({
        jobId: body.jobId,
        status: "completed",
      });
      const seen: string[] = [];
      for await (const { event } of events(`${job}/events`, headers)) seen.push(event);
      expect(seen).toEqual(["round", "round", "end"]);
    }
    // A gateway that does not remember the job finds its owner in the store.
    market.gateway.conversation.jobs.delete(body.jobId);
    expect((await fetch(job, { headers: eve })).status).toBe(404);
    expect(await (await fetch(job, { headers: market.asUser })).json()).toMatchObject({
      status: "completed",
    });
  });

  it("keeps users apart who ask at the same time", async () => {
    const one =
      (await market.store.get<ReturnType<typeof agreement>>(KEY.agreement("one")))?.value ?? agreement("one");
    const users = Array.from({ length: 8 }, (_, i) => `user${i}@uva.nl`);
    for (const name of ["one", "two", "hub"]) {
      const [rule] = Object.values(one.relations);
      if (rule === undefined) throw new Error("no rule");
      const relations = { ...agreement(name).relations, ...Object.fromEntries(users.map((u) => [u, rule])) };
      await market.store.put(KEY.agreement(name), { ...agreement(name), relations });
    }
    const { user: _said, ...unsaid } = request(1);
    const asks = users.flatMap((user) => [user, user, user]);
    const answers = await Promise.all(asks.map(async (user) => market.ask(unsaid, await market.as(user))));
    for (const [i, { status, body }] of answers.entries()) {
      expect(status, JSON.stringify(body)).toBe(200);
      expect((await market.store.get<{ user: string }>(KEY.job(body.jobId)))?.value.user).toBe(asks[i]);
    }
    for (const name of ["one", "two", "hub"]) await market.store.put(KEY.agreement(name), agreement(name));
  });
});

describe("a steward", () => {
  const mine = ["steward:one"];

  it("reads their own agreement and changes it by put, with the revision", async () => {
    const read = await api(mine, "GET", ONE);
    expect(read).toMatchObject({ status: 200, body: { document: { name: "one" } } });
    const put = await api(mine, "PUT", ONE, read.body.document, { "if-match": `"${read.body.revision}"` });
    expect(put.status).toBe(200);
    expect(put.body.revision).toBeGreaterThan(read.body.revision);
    const stale = await api(
      mine,
      "PUT",
      ONE,
      { ...agreement("one"), relations: {} },
      { "if-match": `"${read.body.revision}"` },
    );
    expect(stale).toMatchObject({ status: 412, body: { code: "STO-CONFLICT" } });
    expect((await api(mine, "GET", ONE)).body).toEqual(put.body);
  });

  it("takes one user out by patch, and the next request is refused", async () => {
    const before = (await api(mine, "GET", ONE)).body;
    const patch = { relations: { [USER.userName]: null } };
    const headers = { "content-type": "application/merge-patch+json", "if-match": String(before.revision) };
    const done = await api(mine, "PATCH", ONE, patch, headers);
    expect(done).toMatchObject({ status: 200, body: { document: { name: "one", relations: {} } } });
    const refused = await market.ask(approval());
    expect(refused).toMatchObject({
      status: 403,
      body: { reasons: [{ code: "POL-NO-AGREEMENT", party: "one" }] },
    });
    // The same patch again is a write on what is no more.
    expect(await api(mine, "PATCH", ONE, patch, headers)).toMatchObject({
      status: 412,
      body: { code: "STO-CONFLICT" },
    });
    const ahead = { ...headers, "if-match": String(done.body.revision + 1000) };
    expect((await api(mine, "PATCH", ONE, patch, ahead)).status).toBe(412);
    const wrong = await api(
      mine,
      "PATCH",
      ONE,
      { archetypes: ["magic"] },
      { ...headers, "if-match": String(done.body.revision) },
    );
    expect(wrong).toMatchObject({ status: 400, body: { code: "DOC-ARCHETYPE-UNKNOWN", problems: [{}] } });
    const forged = await api(mine, "PATCH", ONE, JSON.parse('{"__proto__":{"relations":{}}}'), {
      ...headers,
      "if-match": String(done.body.revision),
    });
    expect(forged.status).toBe(400);
    await market.api("PUT", ONE, before.document);
  });

  it("must say which revision a write replaces", async () => {
    const before = await agreements();
    for (const method of ["PUT", "PATCH"])
      for (const headers of [{}, { "if-match": "*" }])
        expect(await api(mine, method, ONE, agreement("one"), headers)).toMatchObject({
          status: 428,
          body: { status: "failed", code: "ORC-REVISION-MISSING", remedy: expect.any(String) },
        });
    expect((await market.api("PATCH", ONE, {})).status).toBe(428);
    expect(await agreements()).toEqual(before);
  });

  it("neither reads nor changes another's agreement, by any way, and nothing changes", async () => {
    const before = await agreements();
    const revision = before.find((d: { name: string }) => d.name === "two").revision;
    const bound = { "if-match": String(revision) };
    for (const [method, body] of [
      ["GET", undefined],
      ["PUT", { ...agreement("two"), relations: {} }],
      ["PATCH", { relations: {} }],
      ["DELETE", undefined],
    ] as const) {
      for (const name of ["two", "%74wo", "One", "one%00", "new"]) {
        const { status, body: answer } = await api(
          mine,
          method,
          `policyEnforcer/agreements/${name}`,
          body,
          bound,
        );
        expect([status, answer.code], `${method} ${name}`).toEqual([
          403,
          method === "DELETE" ? "USR-ROLE" : "USR-NOT-YOURS",
        ]);
      }
    }
    expect((await api(mine, "DELETE", ONE, undefined, bound)).status).toBe(403);
    // The document of another party under one's own name.
    const own = before.find((d: { name: string }) => d.name === "one").revision;
    expect(await api(mine, "PUT", ONE, agreement("two"), { "if-match": String(own) })).toMatchObject({
      status: 400,
      body: { code: "DOC-NAME" },
    });
    expect(await agreements()).toEqual(before);
  });

  it("gets at nothing else of the API, and a requester at nothing at all", async () => {
    const paths = [
      "policyEnforcer/agreements",
      "archetypes",
      "requestTypes/sum",
      "jobs",
      "jobs/1/events",
      "agents",
      "audit/checkpoints",
      "nothing",
    ];
    for (const path of paths)
      expect((await api([...mine, "requester"], "GET", path)).body, path).toMatchObject({ code: "USR-ROLE" });
    expect((await api(["requester"], "GET", ONE)).body).toMatchObject({ code: "USR-NOT-YOURS" });
    expect((await api(mine, "PUT", "archetypes/computeToData", {}, { "if-match": "1" })).status).toBe(403);
  });
});

describe("an operator", () => {
  it("does by an access token what the operator's own token does", async () => {
    expect(await api(["operator"], "GET", "jobs")).toMatchObject({ status: 200 });
    expect(await api(["operator"], "PUT", ONE, agreement("one"), { "if-match": "*" })).toMatchObject({
      status: 200,
    });
    const dataset = { name: "people", type: "csv", delimiter: ",", tables: ["people"] };
    expect((await api(["operator"], "PUT", "datasets/people", dataset)).status).toBe(200);
    expect((await api(["operator"], "DELETE", "datasets/people")).status).toBe(200);
  });

  it("is told what is wrong with a token, and that there is none", async () => {
    const expired = await market.issuer.token({ roles: ["operator"], exp: 1 });
    const answer = await fetch(`${market.apiUrl}/api/v1/jobs`, {
      headers: { authorization: `Bearer ${expired}` },
    });
    expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([
      401,
      'Bearer error="invalid_token"',
    ]);
    expect(await answer.json()).toMatchObject({ code: "USR-TOKEN-EXPIRED" });
    expect((await market.api("GET", "jobs", undefined, { authorization: "" })).body).toMatchObject({
      code: "ORC-NOT-ALLOWED",
    });
  });
});
