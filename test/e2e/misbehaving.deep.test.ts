// Microservices and requests as none should be, on a whole stack: each has a coded answer in time, and nothing is left of its job.
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GatewayClient } from "../../dynamos/client/gateway-client.js";
import { requesterToken } from "../../dynamos/runs/user-token.js";
import type { JobEnd } from "../../policy/contract/job.js";
import { paperConfig, TestMarket, until } from "./market.js";

const ADA = "ada@uva.nl";
const PARTIES = ["alpha", "beta"];

const program = `
import { serve } from "dynamos-fabric/microservice";
let correlationId = "";
let worked = 0;
process.on("message", (message) => { correlationId = message.correlationId; });
serve({
  async work({ request, steward }) {
    worked += 1;
    if (steward !== "beta") return { data: { worked } };
    switch (request.do) {
      case "hang": for (;;) Math.sqrt(2);
      case "crash": process.exit(7);
      case "garbage": process.send({ correlationId, body: new Uint8Array([255, 255, 255]) }); await new Promise(() => {});
      case "twice": process.send({ correlationId, body: new Uint8Array(0) }); break;
      case "large": return { data: { text: "x".repeat(20_000_000) } };
    }
    return { data: { worked } };
  },
});
`;

describe("what misbehaves", { timeout: 120_000 }, () => {
  let market: TestMarket;
  let client: GatewayClient;

  beforeAll(async () => {
    market = new TestMarket();
    const folder = join(market.engine.folder, "bad");
    const write = (file: string, value: unknown): void => {
      mkdirSync(join(folder, file, ".."), { recursive: true });
      writeFileSync(join(folder, file), typeof value === "string" ? value : JSON.stringify(value));
    };
    const rule = { ID: "ada", requestTypes: ["bad"], allowedArchetypes: ["computeToData"], allowedComputeProviders: [] }; // biome-ignore format: one line
    for (const name of PARTIES)
      write(`agreements/${name}.json`, { name, relations: { [ADA]: rule }, computeProviders: [], archetypes: ["computeToData"] }); // biome-ignore format: one line
    write("archetypes/computeToData.json", { name: "computeToData", computeProvider: "dataProvider", resultRecipient: "requestor", weight: 100 }); // biome-ignore format: one line
    write("microservices/bad.json", { name: "bad", label: "dataProvider", allowedOutputs: [], invalidArchetypes: [], entry: "microservices/bad.mts" }); // biome-ignore format: one line
    write("microservices/bad.mts", program);
    const steps = [{ name: "work", service: "bad", role: "dataProvider", seconds: 3 }];
    write("requestTypes/bad.json", { name: "bad", requiredServices: ["bad"], workflow: { steps, result: "work" } }); // biome-ignore format: one line
    const { nodes } = paperConfig();
    const place = { role: "agent", site: "AMST" };
    market.configure({
      target: "local",
      experiment: "bad",
      nodes: { control: nodes.control ?? {}, core: nodes.core ?? {}, alpha: place, beta: place },
    });
    const up = await market.run(["up"]);
    expect(up.code, up.stdout + up.stderr).toBe(0);
    client = new GatewayClient({ url: market.access().gateway, token: await requesterToken(market.state, ADA) }); // biome-ignore format: one line
  }, 240_000);
  afterAll(() => market.end(), 120_000);

  const ask = async (what: string): Promise<JobEnd> => {
    const accepted = await client.submit({ type: "bad", dataProviders: PARTIES, data: { do: what } });
    if (accepted.status !== "accepted") throw new Error(JSON.stringify(accepted));
    return await client.job(accepted.jobId).follow();
  };
  /** Working folders of jobs, and programs of microservices. */
  const left = (): string[] => [
    ...PARTIES.flatMap(
      (party) =>
      readdirSync(join(market.state, "nodes", party, `agent-${party}`, "work")).filter((name) => name !== "grant-keys.json"), // biome-ignore format: one line
    ),
    ...market.processes().flatMap(({ what }) => (what.includes("--experimental-strip-types") ? [what] : [])),
  ];

  it.each([
    ["hangs", "hang", "JOB-TIMEOUT"],
    ["crashes", "crash", "JOB-DIED"],
    ["answers garbage", "garbage", "JOB-GARBAGE"],
    ["answers with 20 MB", "large", "AGT-RESULT-TOO-LARGE"],
  ])("a microservice that %s ends its job with a code, in time, everywhere", async (_what, what, code) => {
    const from = performance.now();
    const end = await ask(what);
    expect(end).toMatchObject({ status: "failed", problem: { code } });
    expect(JSON.stringify(end.problem), "it says whose microservice").toContain("beta");
    expect(performance.now() - from).toBeLessThan(15_000);
    await until(left, (found) => found.length === 0, "nothing left of the job", 10);
  });

  it("a microservice that answers twice is heard once, and the next job is answered for itself", async () => {
    expect(await ask("twice")).toMatchObject({ status: "completed", rounds: 1 });
    expect(await ask("count")).toMatchObject({ status: "completed", rounds: 1 });
    await until(left, (found) => found.length === 0, "nothing left of the job", 10);
  });

  it("a request of 20 MB and a graph of 10,000 steps are refused by a code, and nothing is begun", async () => {
    const { gateway, operator } = market.access();
    const headers = { "content-type": "application/json", ...(await market.as(ADA)) };
    const large = await fetch(`${gateway}/api/v1/requestApproval`, {
      method: "POST",
      headers,
      body: JSON.stringify({ type: "bad", dataProviders: PARTIES, data_request: { type: "bad", data: { do: "x".repeat(20_000_000) } } }), // biome-ignore format: one line
    });
    expect([large.status, await large.json()]).toMatchObject([413, { code: "GW-BODY-TOO-LARGE" }]);
    const steps = Array.from({ length: 10_000 }, (_, i) => ({ name: `s${i}`, service: "bad", role: "dataProvider", ...(i === 0 ? {} : { inputs: [{ step: `s${i - 1}` }] }) })); // biome-ignore format: one line
    const graph = await fetch(`${operator.url}/api/v1/requestTypes/endless`, {
      method: "PUT",
      headers: { "content-type": "application/json", authorization: `Bearer ${operator.token}` },
      body: JSON.stringify({ name: "endless", requiredServices: ["bad"], workflow: { steps, result: "s0" } }),
    });
    expect(graph.status).toBe(400);
    expect(JSON.stringify(await graph.json())).toContain("DOC-SCHEMA");
    expect(left()).toEqual([]);
    expect(await ask("count")).toMatchObject({ status: "completed" });
  });

  it("no job is left over: all have ended in the orchestrator's own account", async () => {
    const { operator } = market.access();
    const jobs = (await (
      await fetch(`${operator.url}/api/v1/jobs`, { headers: { authorization: `Bearer ${operator.token}` } })
    ).json()) as unknown;
    expect(JSON.stringify(jobs)).not.toMatch(/"status":"(running|approved|open)"/);
  });
});
