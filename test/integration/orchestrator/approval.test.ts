import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JobRecord } from "../../../policy/contract/documents.js";
import { KEY } from "../../../policy/contract/names.js";
import { encode } from "../../../policy/contract/wire.js";
import { until } from "../../support/servers.js";
import { agreement, approval, type JsonBody, Market, PROVIDERS, TYPES, WHATEVER } from "./market.js";

let market: Market;
beforeAll(async () => {
  market = await Market.open();
}, 60_000);
afterAll(() => market?.close(), 30_000);

describe("an approval", () => {
  it("composes the job that all parties allow, records it, and tells each agent its role", async () => {
    const { status, body } = await market.ask(approval());
    expect(status).toBe(200);
    expect(body).toMatchObject({
      archetype: "throughOther",
      computeProviders: ["hub"],
      authorizedProviders: { one: "one:8080", two: "two:8080", hub: "hub:8080" },
    });
    expect(body.jobId).toMatch(/^[0-9a-f]{32}$/);
    expect(body.revision).toBeGreaterThan(0);
    const record = (await market.store.get<JobRecord>(KEY.job(body.jobId)))?.value;
    expect(record).toMatchObject({
      user: "ada@uva.nl",
      requestType: "sum",
      archetype: "throughOther",
      dataProviders: ["one", "two"],
      computeProviders: ["hub"],
    });
    const compositionOf = (agent: string) =>
      market.agent(agent).compositions.find((c) => c.jobName === body.jobId);
    await until("compositions", () =>
      ["one", "two", "hub"].every((agent) => compositionOf(agent) !== undefined),
    );
    expect(compositionOf("hub")).toMatchObject({
      role: "computeProvider",
      archetypeId: "throughOther",
      dataProviders: ["one", "two"],
    });
    expect(compositionOf("one")).toMatchObject({ role: "dataProvider", destinationQueue: "one-in" });
  });

  it("is refused with the reason and the revision when a user has no relation", async () => {
    const { status, body, ms } = await market.ask(
      approval({ user: { id: "9", userName: "eve@uva.nl" } }),
      await market.as("eve@uva.nl"),
    );
    expect(status).toBe(403);
    expect(body.status).toBe("refused");
    expect(body.reasons.map((r: { code: string; party: string }) => [r.code, r.party])).toContainEqual([
      "POL-NO-AGREEMENT",
      "one",
    ]);
    expect(body.revision).toBeGreaterThan(0);
    expect(ms).toBeLessThan(1000);
  });

  it("says within a second that a provider or a request type is unknown", async () => {
    const provider = await market.ask(approval({ dataProviders: ["one", "nope"] }));
    expect(provider).toMatchObject({
      status: 403,
      body: { status: "refused", reasons: [{ code: "POL-PROVIDER-UNKNOWN", party: "nope" }] },
    });
    expect(provider.ms).toBeLessThan(1000);
    const type = await market.ask(approval({ type: "nope" }));
    expect(type).toMatchObject({
      status: 400,
      body: { status: "failed", code: "ORC-REQUEST-TYPE-UNKNOWN", path: "type" },
    });
    expect(type.ms).toBeLessThan(1000);
  });

  it("names the agent that is offline, and is given when it is back", async () => {
    await market.agent("hub").offline();
    await until("offline", () => market.orchestrator.catalogue.agent("hub") === undefined);
    const { status, body } = await market.ask(approval());
    expect({ status, body }).toMatchObject({
      status: 503,
      body: { status: "failed", code: "ORC-AGENT-OFFLINE", path: "computeProviders" },
    });
    expect(body.message).toContain("hub");
    await market.agent("hub").online(market.store);
    await until("online", () => market.orchestrator.catalogue.agent("hub") !== undefined);
    expect((await market.ask(approval())).status).toBe(200);
  });

  it("falls to the next archetype when the providers agree on nobody to compute", async () => {
    await market.api(
      "PUT",
      "policyEnforcer/agreements/two",
      agreement("two", { allowedComputeProviders: [] }),
      WHATEVER,
    );
    const { body } = await market.ask(approval());
    expect(body).toMatchObject({ archetype: "computeToData", computeProviders: ["one", "two"] });
    await market.api("PUT", "policyEnforcer/agreements/two", agreement("two"), WHATEVER);
  });

  it("gives each of 64 concurrent requests of one user its own answer", async () => {
    const asked = Array.from({ length: 64 }, (_, i) => {
      if (i % 4 === 0) return { body: approval({ dataProviders: ["one"] }), expected: ["one"] };
      if (i % 4 === 1) return { body: approval({ dataProviders: ["two"] }), expected: ["two"] };
      if (i % 4 === 2) return { body: approval({ dataProviders: ["nope"] }), expected: "refused" };
      return { body: approval(), expected: ["one", "two"] };
    });
    const answers = await Promise.all(asked.map(({ body }) => market.ask(body)));
    const jobs = new Set<string>();
    for (const [i, { status, body }] of answers.entries()) {
      const expected = asked[i]?.expected;
      if (expected === "refused") {
        expect(status).toBe(403);
        continue;
      }
      expect(status).toBe(200);
      jobs.add(body.jobId);
      expect((await market.store.get<JobRecord>(KEY.job(body.jobId)))?.value.dataProviders).toEqual(expected);
    }
    expect(jobs.size).toBe(48);
    expect(market.gateway.conversation.waiting).toBe(0);
  });

  it("makes one job of a request that is delivered twice", async () => {
    const before = (await market.store.list(KEY.jobPrefix)).entries.length;
    const correlationId = randomUUID();
    const body = encode.requestApproval({
      type: "sum",
      user: { id: "1", userName: "ada@uva.nl" },
      dataProviders: ["one"],
    });
    await Promise.all(
      [1, 2, 3].map(() => market.bus.publish("orchestrator-in", "requestApproval", body, { correlationId })),
    );
    const count = async () => (await market.store.list(KEY.jobPrefix)).entries.length - before;
    await until("a job", async () => (await count()) > 0);
    // Another whole approval passes through the same queue after the three.
    expect((await market.ask(approval())).status).toBe(200);
    expect(await count()).toBe(2);
  });

  it("is refused by the decision, before any agent hears of it, where an agreement gives no sensitive column or no persistence", async () => {
    const people = { name: "people", type: "csv", delimiter: ",", tables: ["people"] };
    await market.api("PUT", "datasets/people", { ...people, sensitive_columns: { people: ["income"] } });
    const [sum] = TYPES;
    const reads = { dataSets: ["people"], columns: { people: ["age", "income"] } };
    await market.api("PUT", "requestTypes/incomes", { ...sum, ...reads, name: "incomes" });
    await market.api("PUT", "requestTypes/learning", { ...sum, name: "learning", persistence: "job" });
    const rule = { requestTypes: ["incomes", "learning"] };
    const write = (party: string, more: object) =>
      market.api(
        "PUT",
        `policyEnforcer/agreements/${party}`,
        agreement(party, { ...rule, ...more }),
        WHATEVER,
      );
    const gives = { columns: reads.columns, persistence: "job" as const };
    await Promise.all(["one", "hub"].map((party) => write(party, gives)));
    const { revision } = (await write("two", {})).body;
    await until(
      "the enforcer knows",
      async () => (await market.ask(approval({ type: "incomes" }))).body.revision >= revision,
    );
    const composed = PROVIDERS.map((party) => market.agent(party).compositions.length);
    const refused = async (type: string) => {
      const { status, body } = await market.ask(approval({ type }));
      return [status, body.status, body.reasons?.map((r: JsonBody) => `${r.code} ${r.party} ${r.path}`)];
    };
    const at = 'relations["ada@uva.nl"]';
    expect(await refused("incomes")).toEqual([403, "refused", [`POL-SENSITIVE two ${at}.columns.people`]]);
    expect(await refused("learning")).toEqual([403, "refused", [`POL-PERSISTENCE two ${at}.persistence`]]);
    expect(PROVIDERS.map((party) => market.agent(party).compositions.length)).toEqual(composed);
    const given = (await write("two", gives)).body.revision;
    for (const type of ["incomes", "learning"])
      await until(`${type} is allowed`, async () => {
        const { status, body } = await market.ask(approval({ type }));
        return body.revision >= given && status === 200;
      });
    await Promise.all(
      ["one", "two", "hub"].map((party) =>
        market.api("PUT", `policyEnforcer/agreements/${party}`, agreement(party), WHATEVER),
      ),
    );
  });

  it("fails in 2 s when the enforcer is silent, and works again when it is back", async () => {
    await market.enforcer?.close();
    const { status, body, ms } = await market.ask(approval());
    expect({ status, body }).toMatchObject({ status: 504, body: { code: "ORC-ENFORCER-SILENT" } });
    expect(ms).toBeLessThan(3000);
    await market.startEnforcer();
    expect((await market.ask(approval())).status).toBe(200);
  });
});
