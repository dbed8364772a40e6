import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { JobRecord, RoundRecord } from "../../../policy/contract/documents.js";
import type { JobEnd, RoundReport } from "../../../policy/contract/job.js";
import { KEY } from "../../../policy/contract/names.js";
import { deepIt } from "../../support/deep.js";
import { until } from "../../support/servers.js";
import {
  agreement,
  approval,
  events,
  type JsonBody,
  Market,
  PROVIDERS,
  request,
  sendPast,
  TOKEN,
  USER,
  WHATEVER,
} from "./market.js";
import type { ScriptedAgent } from "./scripted-agent.js";

const ALL = [...PROVIDERS, "hub"];
const OPERATOR = { authorization: `Bearer ${TOKEN}` };

let market: Market;
/** The orchestrator that the market began with. */
let first: { kill(): Promise<void> };
beforeAll(async () => {
  market = await Market.open();
  first = market.firstOrchestrator;
}, 60_000);
afterAll(() => market?.close(), 30_000);
afterEach(async () => {
  for (const agent of market.agents.values()) agent.script = (step) => ({ data: { by: agent.name, step } });
});

const stepsOf = (agent: ScriptedAgent, job: string) => agent.steps.filter((s) => s.job === job);

const send = (jobId: string, change: object, times?: number): Promise<JobEnd | undefined> =>
  sendPast(market, jobId, change, times);

/** Readers give numbers, the hub adds them up and gives each reader its share of the sum back. */
function scriptSum(): void {
  for (const name of PROVIDERS) {
    market.agent(name).script = () => ({
      data: { rows: 3 },
      parts: { numbers: Float64Array.of(1, 2, name === "one" ? 3 : 4) },
      computeMs: 0.1,
    });
  }
  market.agent("hub").script = (_step, message, parts) => {
    const sum = Object.values(parts).reduce(
      (total, part) => total + (part as Float64Array).reduce((a, b) => a + b),
      0,
    );
    return { data: { sum, from: Object.keys(parts).sort(), rows: message.data?.read }, computeMs: 0.2 };
  };
}

describe("a job", () => {
  it("runs a workflow of two steps in 20 rounds, each with its own token, and lets the agents go", async () => {
    scriptSum();
    const { status, body } = await market.ask(request(20));
    expect({ status, body }).toMatchObject({
      status: 200,
      body: {
        status: "completed",
        rounds: 20,
        archetype: "throughOther",
        result: { sum: 13, from: ["one", "two"], rows: { one: { rows: 3 }, two: { rows: 3 } } },
      },
    });
    const { jobId } = body;
    for (const name of ALL)
      expect(stepsOf(market.agent(name), jobId).map((s) => s.round)).toEqual(
        Array.from({ length: 20 }, (_, i) => i + 1),
      );
    const rounds = (await market.store.list<RoundRecord>(KEY.roundPrefix(jobId))).entries;
    expect(rounds.map((e) => e.value.round)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    const tokens = stepsOf(market.agent("hub"), jobId).map((s) => s.token);
    expect(tokens).toEqual(rounds.map((e) => e.revision));
    expect(Object.keys(rounds[0]?.value.agreements ?? {}).sort()).toEqual(["hub", "one", "two"]);
    await until("shutdowns", () => ALL.every((name) => market.agent(name).shutdowns.includes(jobId)));
    await until(
      "the end in the store",
      async () => (await market.store.get<JobEnd>(KEY.jobEnd(jobId))) !== undefined,
    );
    expect((await market.store.get<JobEnd>(KEY.jobEnd(jobId)))?.value).toEqual({
      status: "completed",
      rounds: 20,
    });
  });

  it("sends each agent one small message a round: data go from agent to agent", async () => {
    const numbers = Float64Array.from({ length: 20_000 }, (_, i) => i / 3);
    for (const name of PROVIDERS) market.agent(name).script = () => ({ data: { name }, parts: { numbers } });
    let got = 0;
    market.agent("hub").script = (_step, _message, parts) => {
      for (const part of Object.values(parts)) got += (part as Float64Array).byteLength;
      return { data: { done: true } };
    };
    for (const agent of market.agents.values()) agent.received.length = 0;
    const { body } = await market.ask(request(4));
    expect(body).toMatchObject({ status: "completed", rounds: 4 });
    expect(got).toBe(4 * PROVIDERS.length * numbers.byteLength);
    for (const agent of market.agents.values()) {
      await until("the shutdown", () => agent.shutdowns.includes(body.jobId));
      // A composition, four tickets, a shutdown.
      expect(agent.received).toHaveLength(6);
      for (const message of agent.received) expect(message.byteLength).toBeLessThan(4_096);
    }
  });

  it("reports durations that add up to the round's within 10 %", async () => {
    for (const name of PROVIDERS)
      market.agent(name).script = async () => {
        await sleep(15);
        return { computeMs: 12 };
      };
    market.agent("hub").script = async () => {
      await sleep(30);
      return { data: { done: true }, computeMs: 8, startMs: 1 };
    };
    const { body } = await market.ask(request(10));
    const { reports } = (await market.api("GET", `jobs/${body.jobId}`)).body as { reports: RoundReport[] };
    expect(reports).toHaveLength(10);
    for (const { durations } of reports) {
      const steps = Object.values(durations.steps);
      expect(Object.keys(durations.steps)).toEqual(["read", "add"]);
      for (const step of steps) expect(step.start + step.compute + step.transfer).toBeCloseTo(step.total, 6);
      const sum =
        durations.validate + durations.open + durations.report + steps.reduce((a, s) => a + s.total, 0);
      expect(Math.abs(sum - durations.total)).toBeLessThanOrEqual(0.1 * durations.total);
    }
    // Less than was said where a step took less: each agent counts from its own ticket's coming.
    const said = (step: string, span: "start" | "compute") =>
      Math.max(...reports.map(({ durations }) => durations.steps[step]?.[span] ?? -1));
    expect([said("read", "start"), said("read", "compute")]).toEqual([0, 12]);
    expect([said("add", "start"), said("add", "compute")]).toEqual([1, 8]);
  });

  it("runs a request type without workflow as a chain of its services, once", async () => {
    const { body } = await market.ask(
      request(1, { type: "chain", data_request: { type: "chain", data: {} } }),
    );
    expect(body).toMatchObject({ status: "completed", rounds: 1, result: { by: "hub", step: "adder" } });
  });

  it("keeps data at home where the data providers compute: each gets its own answers only", async () => {
    await market.api(
      "PUT",
      "policyEnforcer/agreements/two",
      agreement("two", { allowedArchetypes: ["computeToData"] }),
      WHATEVER,
    );
    for (const name of PROVIDERS) {
      market.agent(name).script = (step, _message, parts) =>
        step === "read" ? { parts: { secret: Float64Array.of(1) } } : { data: { got: Object.keys(parts) } };
    }
    const { body } = await market.ask(request(2));
    expect(body).toMatchObject({
      status: "completed",
      archetype: "computeToData",
      result: { one: { got: ["one"] }, two: { got: ["two"] } },
    });
    expect(stepsOf(market.agent("hub"), body.jobId)).toEqual([]);
    await market.api("PUT", "policyEnforcer/agreements/two", agreement("two"), WHATEVER);
  });

  it("refuses the next round, and no other, when an agreement changes inside a round", async () => {
    let job = "";
    let change = 0;
    market.agent("hub").script = async (_step, message) => {
      job = message.requestMetadata?.jobId ?? "";
      if (message.metadata.round !== "7") return { data: {} };
      const { body } = await market.api(
        "PUT",
        "policyEnforcer/agreements/two",
        {
          ...agreement("two"),
          relations: {},
        },
        WHATEVER,
      );
      change = body.revision;
      return { data: { round: 7 } };
    };
    const { status, body } = await market.ask(request(20));
    expect(status).toBe(403);
    expect(body).toMatchObject({ status: "refused", jobId: job, rounds: 7 });
    expect(body.reasons[0]).toMatchObject({ code: "POL-NO-AGREEMENT", party: "two" });
    expect(body.revision).toBeGreaterThanOrEqual(change);
    expect(change).toBeGreaterThan(0);
    for (const name of ALL) expect(Math.max(...stepsOf(market.agent(name), job).map((s) => s.round))).toBe(7);
    const rounds = (await market.store.list<RoundRecord>(KEY.roundPrefix(job))).entries;
    expect(rounds.filter((e) => e.revision > change)).toEqual([]);
    const { reports } = (await market.api("GET", `jobs/${job}`)).body as { reports: RoundReport[] };
    expect(reports.map((r) => r.status)).toEqual([
      ...Array.from({ length: 7 }, () => "completed"),
      "refused",
    ]);
    expect(reports.at(-1)?.revision).toBe(body.revision);
    await market.api("PUT", "policyEnforcer/agreements/two", agreement("two"), WHATEVER);
  });

  it("decides again when an agreement changes between decision and opening, and goes on if it still allows", async () => {
    // Changes that grant the same, all the time: some fall between the two.
    let going = true;
    const changes = (async () => {
      for (let i = 0; going; i += 1)
        await market.store.put(KEY.agreement("one"), agreement("one", { ID: String(i) }));
    })();
    const { body } = await market.ask(request(10));
    going = false;
    await changes;
    await market.store.put(KEY.agreement("one"), agreement("one"));
    // With changes in one stream after the other three attempts may fail; then it says so. It never opens on an old revision.
    if (body.status === "failed") expect(body.code).toBe("ORC-ROUND-CONFLICT");
    else expect(body).toMatchObject({ status: "completed", rounds: 10 });
    const history = await market.store.history<unknown>(KEY.agreement("one"), 1);
    for (const { value, revision } of (await market.store.list<RoundRecord>(KEY.roundPrefix(body.jobId)))
      .entries) {
      const current = history.findLast((c) => c.key === KEY.agreement("one") && c.revision < revision);
      expect(value.agreements.one).toBe(current?.revision);
    }
  }, 30_000);

  it("fails with the agent's problem, and stops there", async () => {
    market.agent("two").script = (_step, message) =>
      message.metadata.round === "3"
        ? { problem: { code: "JOB-DIED", message: "exit code 1", remedy: "look at its log" } }
        : {};
    const { status, body } = await market.ask(request(5));
    expect({ status, body }).toMatchObject({
      status: 502,
      body: { status: "failed", code: "JOB-DIED", path: "two/read", rounds: 2, remedy: "look at its log" },
    });
    expect(stepsOf(market.agent("hub"), body.jobId).map((s) => s.round)).toEqual([1, 2]);
  });

  it("fails within seconds when an agent goes in the middle of a step", async () => {
    market.agent("hub").script = async () => {
      void market.agent("hub").offline();
      return { silent: true };
    };
    const { status, body } = await market.ask(request(5));
    expect({ status, body }).toMatchObject({
      status: 503,
      body: { status: "failed", code: "ORC-AGENT-GONE", path: "agents/hub", rounds: 0 },
    });
    await market.agent("hub").online(market.store);
    await until("online", () => market.orchestrator.catalogue.agent("hub") !== undefined);
  });

  it("fails at once when an agent went between the approval and the job", async () => {
    const { body } = await market.ask(approval());
    await market.agent("two").offline();
    await until("offline", () => market.orchestrator.catalogue.agent("two") === undefined);
    const begin = performance.now();
    expect(await send(body.jobId, {})).toMatchObject({
      status: "failed",
      problem: { code: "ORC-AGENT-OFFLINE", path: "agents/two" },
    });
    expect(performance.now() - begin).toBeLessThan(1000);
    await market.agent("two").online(market.store);
    await until("online", () => market.orchestrator.catalogue.agent("two") !== undefined);
  });

  it("runs a job id once, for the user and type it was approved for", async () => {
    const { body } = await market.ask(request(2));
    expect((await send(body.jobId, {}))?.problem).toMatchObject({ code: "ORC-JOB-EXISTS" });
    expect((await send(body.jobId, { user: { id: "2", userName: "eve@uva.nl" } }))?.problem).toMatchObject({
      code: "ORC-JOB-NOT-YOURS",
    });
    expect((await send(body.jobId, { type: "chain" }))?.problem).toMatchObject({ code: "ORC-TYPE-MISMATCH" });
    expect((await send("0".repeat(32), {}))?.problem).toMatchObject({ code: "ORC-JOB-UNKNOWN" });
    expect((await send("x/rounds/000001", {}))?.problem).toMatchObject({ code: "ORC-JOB-UNKNOWN" });
    expect((await market.api("GET", `jobs/${body.jobId}`)).body).toMatchObject({ status: "completed" });
  });

  it("leaves the job as it was when the data is wrong, and says where it is wrong", async () => {
    const { body } = await market.ask(approval());
    const wrong = await send(body.jobId, { data: { rounds: "many" } });
    expect(wrong?.problem).toMatchObject({ code: "ORC-DATA", path: "data_request.data.rounds" });
    expect(await send(body.jobId, { data: { rounds: 2 } })).toMatchObject({ status: "completed", rounds: 2 });
  });

  it("runs once when its data request is delivered twice", async () => {
    const { body } = await market.ask(approval());
    expect(await send(body.jobId, {}, 3)).toMatchObject({ status: "completed" });
    expect(stepsOf(market.agent("hub"), body.jobId).map((s) => s.round)).toEqual([1, 2]);
  });

  it("tells of its rounds as they open and end, and from where a reader left off", async () => {
    const { status, body, headers } = await market.ask(request(3), { prefer: "respond-async" });
    expect(status).toBe(202);
    expect(headers.get("location")).toBe(`/api/v1/jobs/${body.jobId}`);
    const seen: { id: number; event: string; data: JsonBody }[] = [];
    for await (const event of events(`${market.apiUrl}/api/v1/jobs/${body.jobId}/events`, OPERATOR))
      seen.push(event);
    expect(seen.map((e) => e.event)).toEqual([
      "round-open",
      "round",
      "round-open",
      "round",
      "round-open",
      "round",
      "end",
    ]);
    expect(seen[0]?.data).toMatchObject({
      round: 1,
      agreements: { one: expect.any(Number) },
      openedAt: expect.any(String),
    });
    expect(seen[0]?.data.token).toBeGreaterThan(seen[0]?.data.revision);
    const rest: string[] = [];
    for await (const event of events(`${market.apiUrl}/api/v1/jobs/${body.jobId}/events`, {
      ...OPERATOR,
      "last-event-id": "5",
    }))
      rest.push(event.event);
    expect(rest).toEqual(["round", "end"]);
    const atGateway: string[] = [];
    for await (const event of events(`${market.gatewayUrl}/api/v1/jobs/${body.jobId}/events`, market.asUser))
      atGateway.push(event.event);
    expect(atGateway).toEqual(["round", "round", "round", "end"]);
  });

  it("ends as ORC-RESTARTED when the orchestrator that ran it is no more", async () => {
    const job = randomBytes(16).toString("hex");
    const record: JobRecord = {
      job,
      user: USER.userName,
      requestType: "sum",
      archetype: "throughOther",
      dataProviders: PROVIDERS,
      computeProviders: ["hub"],
      createdAt: "2026-01-01T00:00:00Z",
    };
    await market.store.put(KEY.job(job), record);
    expect((await market.api("GET", `jobs/${job}`)).body).toMatchObject({ status: "approved" });
    const other = randomBytes(16).toString("hex");
    await market.store.put(KEY.job(other), { ...record, job: other });
    await market.store.put(KEY.round(other, 1), { job: other, round: 1, agreements: {}, openedAt: "" });
    await market.store.put(KEY.round(other, 2), { job: other, round: 2, agreements: {}, openedAt: "" });
    expect((await market.api("GET", `jobs/${other}`)).body).toMatchObject({
      status: "failed",
      end: { rounds: 1, problem: { code: "ORC-RESTARTED" } },
    });
    await until(
      "the end in the store",
      async () => (await market.store.get(KEY.jobEnd(other))) !== undefined,
    );
    await until("shutdowns", () => market.agent("hub").shutdowns.includes(other));
  });

  deepIt(
    "lives through a restart of the broker in the middle of a round",
    async () => {
      let restart: Promise<void> | undefined;
      market.agent("hub").script = async (_step, message) => {
        if (message.metadata.round === "2") restart ??= market.broker.restart();
        return { data: { round: Number(message.metadata.round) } };
      };
      const asked = market.ask(request(4));
      await until("the restart begins", () => restart !== undefined);
      await restart;
      expect(await asked).toMatchObject({
        status: 200,
        body: { status: "completed", rounds: 4, result: { round: 4 } },
      });
      expect((await market.ask(approval())).status).toBe(200);
    },
    90_000,
  );
});

describe("an orchestrator that comes back", () => {
  let last: { kill(): Promise<void> };
  it("ends what ran before, and tells the one who waits", async () => {
    const killable = await market.startOrchestrator();
    await first.kill();
    market.agent("hub").script = (_step, message) => (message.metadata.round === "3" ? { silent: true } : {});
    const before = market.agent("hub").steps.length;
    const asked = market.ask(request(5));
    const working = () => market.agent("hub").steps.slice(before).at(-1);
    await until("round 3", () => working()?.round === 3);
    const job = working()?.job ?? "";
    await killable.kill();
    last = await market.startOrchestrator();
    expect(await asked).toMatchObject({
      status: 503,
      body: { status: "failed", code: "ORC-RESTARTED", rounds: 2, jobId: job },
    });
    await until("shutdowns", () => ALL.every((name) => market.agent(name).shutdowns.includes(job)));
    market.agent("hub").script = () => ({});
    expect((await market.ask(request(2))).body).toMatchObject({ status: "completed" });
  }, 30_000);

  it("waits for each agent as long as its steps may take, and names the one that is silent", async () => {
    await last.kill();
    await market.startOrchestrator(1_500);
    market.agent("hub").script = () => ({ silent: true });
    const { status, body } = await market.ask(request(1));
    expect({ status, body }).toMatchObject({
      status: 504,
      body: { status: "failed", code: "ORC-AGENT-SILENT", path: "agents/hub", rounds: 0 },
    });
    expect(body.message).toContain("(add) within 4.5 s");
  }, 30_000);
});
