import { readdirSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jobQueue, KEY } from "../../../policy/contract/names.js";
import { until } from "../../support/servers.js";
import { CLIENTS, TITANIC, trainAlone } from "../../unit/titanic/training.js";
import { Market, type RunningAgent } from "../agent/market.js";

const PARTIES = [...CLIENTS, "server"];
const CLAIMS = {
  requestType: "vflTrainRequest",
  dataProviders: CLIENTS,
  computeProviders: ["server"],
  dataSets: ["titanic"],
};

let market: Market;
let agents: RunningAgent[];

beforeAll(async () => {
  market = await Market.open(TITANIC);
  await market.store.put(
    KEY.requestType("vflTrainRequest"),
    market.document("requestTypes/vflTrainRequest.json"),
  );
  await market.store.put(KEY.dataset("titanic"), market.document("datasets/titanic.json"));
  for (const name of ["vflClient", "vflServer"])
    await market.store.put(KEY.microservice(name), market.document(`microservices/${name}.json`));
  for (const party of PARTIES)
    await market.store.put(KEY.agreement(party), market.document(`agreements/${party}.json`));
  agents = await Promise.all(PARTIES.map((party) => market.startAgent(party)));
}, 120_000);

afterAll(() => market?.close());

interface Round {
  readonly data: Record<string, unknown> | undefined;
  readonly total: number;
  readonly compute: number;
}

const STEPS = {
  client: [
    { step: "embed", service: "vflClient" },
    { step: "update", service: "vflClient" },
  ],
  server: [{ step: "train", service: "vflServer" }],
};

/** One round as a coordinator does it: a ticket to each agent; throws what an agent reports. */
async function round(job: string, number: number, request: Record<string, unknown>): Promise<Round> {
  const start = performance.now();
  const open = await market.openRound(job, number, CLAIMS);
  const reports = await Promise.all(
    PARTIES.map((party) =>
      market.ticket(party, open, { steps: party === "server" ? STEPS.server : STEPS.client, request }),
    ),
  );
  for (const [i, { problem, step }] of reports.entries())
    if (problem !== undefined) throw new Error(`${PARTIES[i]}/${step} ${problem.code}: ${problem.message}`);
  const spans = reports.flatMap((report) => report.spans);
  const slowest = (step: string): number =>
    Math.max(...spans.filter((span) => span.step === step).map(({ computeMs }) => computeMs));
  return {
    data: reports.at(-1)?.data,
    total: performance.now() - start,
    compute: slowest("embed") + slowest("train") + slowest("update"),
  };
}

describe("a federated training over real agents and microservices", () => {
  it("arrives at the very numbers of the same training in one process, and leaves nothing behind", async () => {
    const rounds = 60;
    const request = { rounds, seed: 7, learningRate: { client: 0.2, server: 0.2 } };
    const job = await market.compose(PARTIES, "vflTrainRequest");
    const done: Round[] = [];
    for (let number = 1; number <= rounds; number += 1) done.push(await round(job, number, request));

    const alone = trainAlone({ rounds, seed: 7, client: 0.2, server: 0.2 });
    expect(done.map(({ data }) => [data?.accuracy, data?.loss])).toEqual(
      alone.map(({ accuracy, loss }) => [accuracy, loss]),
    );

    const steady = done.slice(10);
    const middle = (values: number[]): number =>
      values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
    console.log(
      `first round ${done[0]?.total.toFixed(0)} ms; then p50 ${middle(steady.map((r) => r.total)).toFixed(1)} ms a round, ` +
        `computation ${middle(steady.map((r) => r.compute)).toFixed(1)} ms, overhead ${middle(steady.map((r) => r.total - r.compute)).toFixed(1)} ms`,
    );

    for (const party of PARTIES) await market.shutdown(party, job);
    for (const agent of agents) {
      expect(agent.log()).toContain("microservice ended");
      expect(readdirSync(agent.workFolder)).toEqual(["grant-keys.json"]);
    }
    await expect(
      market.bus.publish(jobQueue(job, "server"), "microserviceCommunication", new Uint8Array()),
    ).rejects.toMatchObject({ code: "BUS-UNROUTABLE" });
  }, 60_000);

  it("ends a job when its coordinator records the end in the store", async () => {
    const job = await market.compose(PARTIES, "vflTrainRequest");
    await round(job, 1, { rounds: 1, seed: 1, learningRate: { client: 0.2, server: 0.2 } });
    await market.store.put(KEY.ended(job), {});
    for (const party of PARTIES)
      await until(
        `${party} ended`,
        async () => (await market.store.get(KEY.agentJob(party, "ada@uva.nl", job))) === undefined,
      );
    for (const agent of agents) expect(readdirSync(agent.workFolder)).toEqual(["grant-keys.json"]);
  }, 30_000);
});
