import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KEY } from "../../../policy/contract/names.js";
import { until } from "../../support/servers.js";
import type { Market, OpenRound, Report, RunningAgent } from "./market.js";
import { agreement, openProbeMarket, relayOf } from "./probe.js";

const AGENT = "iota";
let market: Market;
let agent: RunningAgent;

beforeAll(async () => {
  market = await openProbeMarket();
  await market.store.put(KEY.agreement(AGENT), agreement(AGENT));
  for (const name of ["python", "mute"])
    await market.store.put(KEY.microservice(name), {
      name,
      label: "dataProvider",
      allowedOutputs: ["python"],
      invalidArchetypes: [],
      entry: "microservices/probe.py",
    });
  await market.store.put(KEY.requestType("snake"), {
    name: "snake",
    persistence: "job",
    requiredServices: ["python", "mute"],
    workflow: {
      steps: [
        { name: "give", service: "python", role: "dataProvider" },
        { name: "pass", service: "python", role: "computeProvider", inputs: [{ step: "give" }] },
        { name: "silent", service: "mute", role: "dataProvider" },
      ],
      result: "pass",
    },
  });
  agent = await market.startAgent(AGENT, { STEP_SECONDS: "20" });
}, 120_000);
afterAll(() => market?.close());

async function open(round = 1, job?: string): Promise<OpenRound> {
  const claims = { ...relayOf([AGENT], AGENT), requestType: "snake" };
  return await market.openRound(job ?? (await market.compose([AGENT], "snake")), round, claims);
}
const ask = async (
  request: Record<string, unknown>,
  opened?: OpenRound,
  steps = ["give", "pass"],
): Promise<Report> =>
  await market.ticket(AGENT, opened ?? (await open()), {
    steps: steps.map((step) => ({ step, service: step === "silent" ? "mute" : "python" })),
    requestType: "snake",
    request,
  });
/** Processes that run the program at this moment. */
const running = (): string[] =>
  readdirSync("/proc").filter((pid) => {
    try {
      return (
        /^\d+$/.test(pid) &&
        /python3[^\0]*\0-u\0.*probe\.py/.test(readFileSync(`/proc/${pid}/cmdline`, "latin1"))
      );
    } catch {
      return false; // it ended just now
    }
  });

describe("a microservice in Python", () => {
  it("works step after step, keeps what it knows for its job, and ends with it", async () => {
    const opened = await open();
    expect((await ask({ n: 1 }, opened)).data).toMatchObject({
      worked: 2,
      role: "computeProvider",
      steward: AGENT,
      got: { give: { [AGENT]: { worked: 1, role: "dataProvider" } } },
    });
    expect((await ask({ n: 2 }, await open(2, opened.job))).data).toMatchObject({ worked: 4, round: 2 });
    expect(agent.log()).toContain("worked on pass");
    expect(running()).toHaveLength(1);
    await market.shutdown(AGENT, opened.job);
    await until("its process ended", () => running().length === 0);
  }, 60_000);

  it("gives and gets numbers, bytes and files as they are", async () => {
    const { data, problem } = await ask({ do: "all" });
    expect(problem).toBeUndefined();
    expect(data).toMatchObject({
      parts: {
        [`${AGENT}/numbers`]: ["array", [Math.PI, 2.5, 1e-308]],
        [`${AGENT}/raw`]: ["bytes", [0, 255]],
      },
      files: { [AGENT]: createHash("sha256").update("a row\n".repeat(100_000)).digest("hex") },
    });
  }, 60_000);

  it("fails in words and codes", async () => {
    const opened = await open();
    const failed = async (request: Record<string, unknown>, round: number) =>
      (await ask(request, round === 1 ? opened : await open(round, opened.job), ["give"])).problem;
    expect(await failed({ do: "throw" }, 1)).toMatchObject({
      code: "JOB-FAILED",
      message: "round 1: ValueError: the columns do not fit",
    });
    expect(await failed({ do: "code" }, 2)).toMatchObject({ code: "VFL-ROWS", remedy: "align them" });
    expect(await failed({ do: "nan" }, 3)).toMatchObject({ code: "JOB-FAILED" });
    expect(await failed({ do: "list" }, 4)).toMatchObject({ code: "JOB-FAILED" });
    expect(await failed({ do: "garbage" }, 5)).toMatchObject({ code: "JOB-GARBAGE" });
  }, 60_000);

  it("that ends is told by its last words, one that never says its steps too", async () => {
    expect(await ask({ do: "die" }, undefined, ["give"])).toMatchObject({
      problem: { code: "JOB-DIED", message: expect.stringContaining("nobody wants this any more") },
    });
    expect(await ask({}, undefined, ["silent"])).toMatchObject({
      problem: {
        code: "JOB-DIED",
        message: expect.stringContaining("the Python program ended (exit code 0)"),
      },
    });
  }, 60_000);

  it("is told nothing of broker and grants", async () => {
    const { data } = await ask({ do: "environment" }, undefined, ["give", "pass"]);
    expect(data?.names).toEqual(expect.arrayContaining(["DATA_FOLDER", "PYTHONPATH"]));
    expect((data?.names as string[] | undefined)?.filter((name) => /AMQP|GRANT|SECRET/.test(name))).toEqual(
      [],
    );
    expect(String(data?.cwd)).toContain(agent.workFolder);
  }, 60_000);

  it("that computes without end dies with its agent", async () => {
    const opened = await open();
    void ask({ do: "spin" }, opened, ["give"]).catch(() => {});
    await until("it spins", () => running().length > 0);
    await until("it works", () =>
      agent.log().includes(`"job":"${opened.job}","microservice":"python","pid":`),
    );
    await agent.kill9();
    await until("no process is left", () => running().length === 0);
  }, 60_000);
});
