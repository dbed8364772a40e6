import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "amqplib";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { GatewayClient } from "../../../dynamos/client/gateway-client.js";
import type { JobEnd } from "../../../policy/contract/job.js";
import { KEY, ORCHESTRATOR_QUEUE } from "../../../policy/contract/names.js";
import { encode } from "../../../policy/contract/wire.js";
import { until } from "../../support/servers.js";
import { approval, Market, PROVIDERS, request, USER } from "./market.js";

const ALL = [...PROVIDERS, "hub"];
interface Requests {
  readonly sum: { readonly rounds: number; readonly note?: string };
}

let market: Market;
let client: GatewayClient<Requests>;
beforeAll(async () => {
  market = await Market.open();
  client = await clientOf("ada@uva.nl");
}, 60_000);
afterAll(() => market?.close(), 30_000);
afterEach(() => {
  for (const agent of market.agents.values()) agent.script = (step) => ({ data: { by: agent.name, step } });
});

async function clientOf(user: string, roles?: string[]): Promise<GatewayClient<Requests>> {
  const { authorization } = await market.as(user, roles);
  return new GatewayClient({ url: market.gatewayUrl, token: authorization.slice("Bearer ".length) });
}

/** A job that is at work on its first round and would be for long. */
async function longJob(): Promise<string> {
  for (const name of PROVIDERS) market.agent(name).script = () => ({ silent: true });
  const accepted = await client.submit({ type: "sum", dataProviders: PROVIDERS, data: { rounds: 1_000 } });
  if (accepted.status !== "accepted") throw new Error("refused");
  const begun = (name: string): boolean => market.agent(name).steps.some(({ job }) => job === accepted.jobId);
  await until("the job is at work", () => PROVIDERS.every(begun));
  return accepted.jobId;
}

const endedEverywhere = (jobId: string): Promise<void> =>
  until("all agents let it go", () => ALL.every((name) => market.agent(name).shutdowns.includes(jobId)));

const CANCELLED = { status: "failed", problem: { code: "ORC-CANCELLED" } };

describe("the client", () => {
  it("submits a typed request, tells each round, and has the end", async () => {
    const accepted = await client.submit({ type: "sum", dataProviders: PROVIDERS, data: { rounds: 3 } });
    expect(accepted).toMatchObject({
      status: "accepted",
      archetype: "throughOther",
      computeProviders: ["hub"],
    });
    if (accepted.status !== "accepted") return;
    const rounds: number[] = [];
    const end = await client.job(accepted.jobId).follow(({ round }) => rounds.push(round));
    expect([end.status, rounds]).toEqual(["completed", [1, 2, 3]]);
    expect(await client.job(accepted.jobId).snapshot()).toMatchObject({ status: "completed", round: 3 });
  });

  it("throws what is wrong with the data, each field by its path, before anything starts", async () => {
    const compositions = market.agent("hub").compositions.length;
    const data = { rounds: 0, other: 1 };
    await expect(client.submit({ type: "sum", dataProviders: PROVIDERS, data })).rejects.toMatchObject({
      problems: expect.arrayContaining([
        expect.objectContaining({ path: "data_request.data.rounds" }),
        expect.objectContaining({ path: "data_request.data.other" }),
      ]),
    });
    expect(market.agent("hub").compositions).toHaveLength(compositions);
  });

  it("has a refusal as an answer, not as an error", async () => {
    const stranger = await clientOf("nobody@uva.nl");
    expect(
      await stranger.submit({ type: "sum", dataProviders: PROVIDERS, data: { rounds: 1 } }),
    ).toMatchObject({
      status: "refused",
      reasons: expect.arrayContaining([expect.objectContaining({ code: "POL-NO-AGREEMENT" })]),
    });
  });
});

describe("a cancelled job", () => {
  it("ends at once and everywhere, and its end says so in the events, in the answer and in the store", async () => {
    const jobId = await longJob();
    const followed = client.job(jobId).follow();
    const begin = performance.now();
    await client.job(jobId).cancel();
    expect(await followed).toMatchObject(CANCELLED);
    expect(performance.now() - begin).toBeLessThan(5_000);
    await endedEverywhere(jobId);
    await until(
      "the end is written",
      async () => (await market.store.get<JobEnd>(KEY.jobEnd(jobId))) !== undefined,
    );
    expect((await market.store.get<JobEnd>(KEY.jobEnd(jobId)))?.value).toMatchObject(CANCELLED);
    const rounds = (await market.store.list(KEY.roundPrefix(jobId))).entries.length;
    await sleep(200);
    expect((await market.store.list(KEY.roundPrefix(jobId))).entries).toHaveLength(rounds);
  });

  it("answers the one who waits for it with HTTP 409", async () => {
    for (const name of PROVIDERS) market.agent(name).script = () => ({ silent: true });
    const waiting = market.ask(request(5));
    await until("a round is open", () =>
      market.orchestrator.jobs.all().some(({ log }) => log.status === "running"),
    );
    const running = market.orchestrator.jobs.all().find(({ log }) => log.status === "running");
    await client.job(running?.record.job ?? "").cancel();
    expect(await waiting).toMatchObject({ status: 409, body: { status: "failed", code: "ORC-CANCELLED" } });
  });

  it("never begins where it was only approved", async () => {
    const { body } = await market.ask(approval());
    await client.job(body.jobId).cancel();
    await endedEverywhere(body.jobId);
    expect(await client.job(body.jobId).snapshot()).toMatchObject({ status: "failed" });
    expect((await market.store.list(KEY.roundPrefix(body.jobId))).entries).toEqual([]);
  });

  it("is cancelled by its own user or an operator, by nobody else", async () => {
    const jobId = await longJob();
    const other = await clientOf("bob@uva.nl");
    await expect(other.job(jobId).cancel()).rejects.toMatchObject({
      problems: [{ code: "GW-JOB-NOT-FOUND" }],
    });
    expect(await client.job(jobId).snapshot()).toMatchObject({ status: "running" });
    await (await clientOf("olga", ["operator"])).job(jobId).cancel();
    expect(await client.job(jobId).follow()).toMatchObject(CANCELLED);
    const second = await longJob();
    expect((await market.api("DELETE", `jobs/${second}`)).status).toBe(202);
    expect(await client.job(second).follow()).toMatchObject(CANCELLED);
    expect((await market.api("DELETE", `jobs/${"0".repeat(32)}`)).status).toBe(404);
  });

  it("that has ended stays as it is", async () => {
    const { body } = await market.ask(request(2));
    await client.job(body.jobId).cancel();
    await market.api("DELETE", `jobs/${body.jobId}`);
    expect(await client.job(body.jobId).snapshot()).toMatchObject({ status: "completed", round: 2 });
  });
});

describe("a job's end", () => {
  // Found by a schedule of revocations: killed between the two, an orchestrator left its user waiting, for the next one saw a job that had ended.
  it("is with the broker before it is in the store", async () => {
    const connection = await connect({ hostname: market.broker.host, port: market.broker.port });
    const channel = await connection.createChannel();
    const told: number[] = [];
    for (let job = 1; job <= 10; job += 1) {
      const returnAddress = `nobody-${job}`;
      await market.bus.declareQueue(returnAddress);
      const { jobId } = (await market.ask(approval())).body;
      const ends = await market.store.mirrorKey<JobEnd>(KEY.jobEnd(jobId));
      const written = new Promise<void>((done) => ends.onChange(() => done()));
      const requestMetadata = { jobId, returnAddress };
      const body = encode.request({ type: "sum", data: { rounds: 1 }, user: USER, requestMetadata });
      await market.bus.publish(ORCHESTRATOR_QUEUE, "Request", body, { correlationId: `of-${job}` });
      await written;
      told.push((await channel.checkQueue(returnAddress)).messageCount);
      await ends.close();
    }
    await connection.close();
    expect(told, "a round's report and the end").toEqual(told.map(() => 2));
  }, 60_000);
});
