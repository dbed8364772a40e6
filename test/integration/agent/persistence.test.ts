import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KEY } from "../../../policy/contract/names.js";
import { until } from "../../support/servers.js";
import type { Market, Report, RunningAgent } from "./market.js";
import { agreement, claimsOf, openProbeMarket, work } from "./probe.js";

const AGENT = "iota";
let market: Market;
let agent: RunningAgent;

beforeAll(async () => {
  market = await openProbeMarket();
  await market.store.put(KEY.agreement(AGENT), allowing({}));
  agent = await market.startAgent(AGENT);
}, 120_000);
afterAll(() => market?.close());

/** The agent's agreement in its form, with a change of ada's rule. */
function allowing(change: { readonly persistence?: string }): unknown {
  const { note: _not_in_its_form, relations, ...rest } = agreement(AGENT);
  const [[user, rule] = []] = Object.entries(relations);
  return { ...rest, relations: { [String(user)]: { ...rule, persistence: undefined, ...change } } };
}

/** A request type like `probe` with a name of its own, whether or not it asks for persistence. */
async function type(name: string, more: object): Promise<string> {
  const probe = (await market.store.get<object>(KEY.requestType("probe")))?.value;
  const { persistence: _of_probe, ...rest } = probe as { persistence: string };
  await market.store.put(KEY.requestType(name), { ...rest, name, ...more });
  return name;
}

/** Rounds of one job, one after the other. */
async function rounds(requestType: string, count: number): Promise<{ job: string; reports: Report[] }> {
  const job = await market.compose([AGENT], requestType);
  const reports: Report[] = [];
  for (let round = 1; round <= count; round += 1) {
    const opened = await market.openRound(job, round, { ...claimsOf(AGENT), requestType });
    reports.push(
      await market.ticket(AGENT, opened, {
        steps: [{ step: "work", service: "probe" }],
        requestType,
        request: { do: "keep" },
      }),
    );
  }
  return { job, reports };
}
const folderOf = (job: string): string => join(agent.workFolder, job);

describe("a microservice", () => {
  it("is ephemeral where nothing else is said: after the round its process, its files and its queue are gone", async () => {
    const { job, reports } = await rounds(await type("brief", {}), 3);
    expect(reports.map(({ problem, data }) => [problem, data?.worked, data?.round])).toEqual([
      [undefined, 1, 1],
      [undefined, 1, 2],
      [undefined, 1, 3],
    ]);
    await until("its working files are gone", () => !existsSync(folderOf(job)));
    await market.shutdown(AGENT, job);
  }, 60_000);

  it("lives on for its job where request type and agreement allow it, and not beyond", async () => {
    await market.store.put(KEY.agreement(AGENT), allowing({ persistence: "job" }));
    const { job, reports } = await rounds(await type("learning", { persistence: "job" }), 3);
    expect(reports.map(({ data }) => data?.worked)).toEqual([1, 2, 3]);
    expect(existsSync(join(folderOf(job), "probe", "kept.txt"))).toBe(true);
    await market.shutdown(AGENT, job);
    expect(existsSync(folderOf(job))).toBe(false);
    // The next job finds nothing of it.
    const next = await rounds("learning", 1);
    expect(next.reports[0]?.data).toMatchObject({ worked: 1 });
    await market.shutdown(AGENT, next.job);
    expect(
      readdirSync(agent.workFolder, { recursive: true }).filter((f) => String(f).includes("kept")),
    ).toEqual([]);
  }, 60_000);

  it("is refused persistence that the agreement does not give, before it is started", async () => {
    await market.store.put(KEY.agreement(AGENT), allowing({}));
    const { job, reports } = await rounds("learning", 1);
    expect(reports[0]?.problem).toMatchObject({
      code: "AGT-PERSISTENCE",
      path: expect.stringContaining(AGENT),
    });
    expect(existsSync(folderOf(job))).toBe(false);
  }, 60_000);
});

describe("an answer", () => {
  it("that is too large for the broker is told as such, and the next one is answered", async () => {
    const job = await market.compose([AGENT], "brief");
    const opened = async (round: number) =>
      await market.openRound(job, round, { ...claimsOf(AGENT), requestType: "brief" });
    const ask = async (round: number, bytes: number) =>
      await market.ticket(AGENT, await opened(round), {
        steps: [{ step: "work", service: "probe" }],
        requestType: "brief",
        request: { do: "large", bytes },
      });
    expect((await ask(1, 20_000_000)).problem).toMatchObject({ code: "AGT-RESULT-TOO-LARGE" });
    expect(String((await ask(2, 7_000_000)).data?.text)).toHaveLength(7_000_000);
  }, 60_000);

  it("that comes twice is taken once", async () => {
    await market.store.put(KEY.agreement(AGENT), allowing({ persistence: "job" }));
    const job = await market.compose([AGENT], "probe");
    const opened = await market.openRound(job, 1, claimsOf(AGENT));
    // The first one is empty: it is the step's answer. The other has nobody who waits for it.
    expect(await work(market, AGENT, opened, { do: "twice" })).toMatchObject({
      problem: undefined,
      data: undefined,
    });
    const next = await market.openRound(job, 2, claimsOf(AGENT));
    expect((await work(market, AGENT, next)).data).toMatchObject({ worked: 2, round: 2 });
  }, 60_000);
});
