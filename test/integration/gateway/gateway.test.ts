import { request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encode } from "../../../policy/contract/wire.js";
import { until } from "../../support/servers.js";
import { approval, events, Market, request } from "../orchestrator/market.js";

let market: Market;
beforeAll(async () => {
  market = await Market.open({ approvalDeadline: 3_000, limits: { idle: 3_000, hard: 6_000 } });
}, 60_000);
afterAll(() => market?.close(), 30_000);

describe("bad input", () => {
  it.each([
    ["malformed JSON", "{", 400, "GW-MALFORMED"],
    ["an empty body", "", 400, "GW-MALFORMED"],
    ["a poisoned prototype", '{"__proto__": {"type": "sum"}}', 400, "GW-MALFORMED"],
    ["a body of another kind", "[]", 400, "GW-INVALID"],
    ["2 MB", JSON.stringify({ type: "x".repeat(2_000_000) }), 413, "GW-BODY-TOO-LARGE"],
    ["20 MB", JSON.stringify({ type: "x".repeat(20_000_000) }), 413, "GW-BODY-TOO-LARGE"],
    ["a thousand levels", `${"[".repeat(1000)}${"]".repeat(1000)}`, 400, "GW-INVALID"],
  ])("%s", async (_what, body, status, code) => {
    const answer = await market.ask(body);
    expect(answer).toMatchObject({
      status,
      body: { status: "failed", code, message: expect.any(String), remedy: expect.any(String) },
    });
    expect(answer.ms).toBeLessThan(1000);
  });

  it("names each field that is wrong", async () => {
    const { status, body } = await market.ask({ type: "sum", user: { id: 1 }, dataProviders: [] });
    expect(status).toBe(400);
    expect(body.problems.map((p: { path: string }) => p.path).sort()).toEqual([
      "dataProviders",
      "user.id",
      "user.userName",
    ]);
  });

  it("names the field of the data that does not follow the request type's schema, before anything starts", async () => {
    const compositions = market.agent("hub").compositions.length;
    const { status, body } = await market.ask(
      request(3, { data_request: { type: "sum", data: { rounds: 0, other: true } } }),
    );
    expect(status).toBe(400);
    expect(body.code).toBe("GW-INVALID");
    expect(body.problems.map((p: { path: string }) => p.path).sort()).toEqual([
      "data_request.data.other",
      "data_request.data.rounds",
    ]);
    expect(market.agent("hub").compositions).toHaveLength(compositions);
  });

  it("answers unknown routes and methods with a code", async () => {
    const get = await fetch(`${market.gatewayUrl}/api/v1/requestApproval`);
    expect([get.status, await get.json()]).toMatchObject([404, { code: "GW-NOT-FOUND" }]);
    const text = await fetch(`${market.gatewayUrl}/api/v1/requestApproval`, {
      method: "POST",
      body: "x",
      headers: { "content-type": "application/xml", ...market.asUser },
    });
    expect([text.status, await text.json()]).toMatchObject([415, { code: "GW-MEDIA-TYPE" }]);
    const job = await fetch(`${market.gatewayUrl}/api/v1/jobs/nothing`, { headers: market.asUser });
    expect([job.status, await job.json()]).toMatchObject([404, { code: "GW-JOB-NOT-FOUND" }]);
  });
});

describe("the gateway", () => {
  it("tells who is there to work", async () => {
    const answer = await (
      await fetch(`${market.gatewayUrl}/api/v1/getAvailableProviders`, { headers: market.asUser })
    ).json();
    expect(Object.keys(answer as object).sort()).toEqual(["hub", "one", "two"]);
    expect(answer).toMatchObject({ one: { name: "one", routingKey: "one-in", dns: "one:8080" } });
  });

  it("answers each of 32 concurrent jobs of one user with its own result", async () => {
    market.agent("hub").script = (_step, message) => ({
      data: {
        note: (message.originalRequest?.value.length ?? 0) % 1000,
        job: message.requestMetadata?.jobId,
      },
    });
    const answers = await Promise.all(Array.from({ length: 32 }, (_, i) => market.ask(request(1 + (i % 3)))));
    for (const [i, { status, body }] of answers.entries()) {
      expect(status).toBe(200);
      expect(body.rounds).toBe(1 + (i % 3));
      expect(body.result.job).toBe(body.jobId);
    }
    expect(new Set(answers.map((a) => a.body.jobId)).size).toBe(32);
  });

  it("forgets a client that has gone, and serves the others", async () => {
    await market.enforcer?.close();
    const url = new URL(`${market.gatewayUrl}/api/v1/requestApproval`);
    const clients = Array.from({ length: 10 }, () => {
      const client = httpRequest(url, {
        method: "POST",
        headers: { "content-type": "application/json", ...market.asUser },
      });
      client.on("error", () => {}); // we hang up ourselves
      client.end(JSON.stringify(approval()));
      return client;
    });
    await until("10 wait", () => market.gateway.conversation.waiting === 10);
    for (const client of clients) client.destroy();
    await until("none waits", () => market.gateway.conversation.waiting === 0, 1);
    await market.startEnforcer();
    expect((await market.ask(approval())).status).toBe(200);
  });

  it("drops answers that come late, and answers to nobody", async () => {
    const late = encode.requestApprovalResponse({ type: "requestApprovalResponse", jobId: "x" });
    await market.bus.publish("api-gateway-in", "requestApprovalResponse", late, { correlationId: "nobody" });
    await market.bus.publish("api-gateway-in", "requestApprovalResponse", Buffer.from([255, 255, 255]), {
      correlationId: "nobody",
    });
    await market.bus.publish("api-gateway-in", "something", Buffer.from("x"), { correlationId: "nobody" });
    await market.bus.publish(
      "api-gateway-in",
      "microserviceCommunication",
      encode.microserviceCommunication({ metadata: { event: "end" } }),
      { correlationId: "nobody" },
    );
    expect((await market.ask(approval())).status).toBe(200);
  });

  it("stops waiting for a job that gives no sign of life, and says how to go on", async () => {
    market.agent("hub").script = () => ({ silent: true });
    const { status, body } = await market.ask(request(2));
    expect({ status, body }).toMatchObject({
      status: 504,
      body: { status: "failed", code: "GW-JOB-SILENT" },
    });
    const snapshot = (await (
      await fetch(`${market.gatewayUrl}/api/v1/jobs/${body.path}`, { headers: market.asUser })
    ).json()) as object;
    expect(snapshot).toMatchObject({ jobId: body.path, status: "running" });
    market.agent("hub").script = () => ({});
  });

  it("streams a job as it goes, to as many readers as ask", async () => {
    const { status, body } = await market.ask(request(3), { prefer: "respond-async" });
    expect(status).toBe(202);
    const read = async () => {
      const seen: string[] = [];
      for await (const { event } of events(
        `${market.gatewayUrl}/api/v1/jobs/${body.jobId}/events`,
        market.asUser,
      ))
        seen.push(event);
      return seen;
    };
    const all = await Promise.all(Array.from({ length: 5 }, read));
    for (const seen of all) expect(seen).toEqual(["round", "round", "round", "end"]);
    const snapshot = await (
      await fetch(`${market.gatewayUrl}/api/v1/jobs/${body.jobId}`, { headers: market.asUser })
    ).json();
    expect(snapshot).toMatchObject({ status: "completed", round: 3, end: { rounds: 3 } });
  });

  it("says within a second that the broker is away, also to those who wait, and works again when it is back", async () => {
    await market.enforcer?.close();
    const waiting = market.ask(approval());
    await until("one waits", () => market.gateway.conversation.waiting === 1);
    await market.broker.kill9();
    await until("the loss is seen", async () => (await fetch(`${market.gatewayUrl}/healthz`)).status === 503);
    const { status, body, ms } = await market.ask(approval());
    expect({ status, body }).toMatchObject({
      status: 503,
      body: { status: "failed", code: "GW-BROKER-DOWN" },
    });
    expect(ms).toBeLessThan(1000);
    expect(await waiting).toMatchObject({ status: 503, body: { code: "GW-BROKER-DOWN" } });
    await market.broker.restart();
    await market.startEnforcer();
    await until("healthy", async () => (await fetch(`${market.gatewayUrl}/healthz`)).status === 200);
    await expect.poll(async () => (await market.ask(approval())).status, { timeout: 20_000 }).toBe(200);
  }, 90_000);
});
