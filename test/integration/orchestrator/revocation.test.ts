import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Agreement, RoundRecord } from "../../../policy/contract/documents.js";
import { KEY } from "../../../policy/contract/names.js";
import { until } from "../../support/servers.js";
import { agreement, type JsonBody, Market, PROVIDERS, request } from "./market.js";

let market: Market;
beforeAll(async () => {
  market = await Market.open();
}, 60_000);
afterAll(() => market?.close(), 30_000);
afterEach(async () => {
  for (const agent of market.agents.values()) agent.script = (step) => ({ data: { by: agent.name, step } });
  for (const party of [...PROVIDERS, "hub"]) await write(agreement(party));
});

/** Writes an agreement through the API, whatever was there. */
async function write(document: Agreement): Promise<number> {
  const path = `policyEnforcer/agreements/${document.name}`;
  const live = await market.api("GET", path);
  const match = live.status === 404 ? { "if-none-match": "*" } : { "if-match": `"${live.body.revision}"` };
  const { status, body } = await market.api("PUT", path, document, match);
  expect(status).toBe(200);
  return body.revision as number;
}

/** The hub's step of this round does not come to its end before `release`. */
function hold(round: number): { readonly reached: Promise<string>; readonly release: () => void } {
  const { promise: reached, resolve } = Promise.withResolvers<string>();
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  market.agent("hub").script = async (_step, message) => {
    if (message.metadata.round === String(round)) {
      resolve(message.requestMetadata?.jobId ?? "");
      await released;
    }
    return { data: { round: message.metadata.round } };
  };
  return { reached, release };
}

interface Told {
  readonly name: string;
  readonly data: JsonBody;
}

/** What the gateway's stream tells of a job, in order, as it comes. */
function listen(job: string): { readonly told: Told[]; readonly done: Promise<void> } {
  const told: Told[] = [];
  const read = async (): Promise<void> => {
    const response = await fetch(`${market.gatewayUrl}/api/v1/jobs/${job}/events`, {
      headers: market.asUser,
    });
    let text = "";
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString();
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const [, name] = /^event: (.+)$/m.exec(block) ?? [];
        const [, data] = /^data: (.+)$/m.exec(block) ?? [];
        if (name !== undefined && data !== undefined) told.push({ name, data: JSON.parse(data) });
      }
    }
  };
  return { told, done: read() };
}

const names = (told: readonly Told[]): string[] => told.map(({ name }) => name);
const roundsAfter = async (job: string, revision: number): Promise<readonly unknown[]> =>
  (await market.store.list<RoundRecord>(KEY.roundPrefix(job))).entries.filter((e) => e.revision > revision);

describe("a running job whose permission is taken away", () => {
  it("tells the user at once, lets the open round end, and ends with the reason and its revision", async () => {
    const { reached, release } = hold(3);
    const answer = market.ask(request(20));
    const job = await reached;
    const { told, done } = listen(job);
    const change = await write({ ...agreement("two"), relations: {} });
    await until("the user is told", () => names(told).includes("revoked"), 10);
    // Round 3 is still open.
    expect(names(told)).toEqual(["round", "round", "revoked"]);
    const revoked = told.at(-1)?.data;
    expect(revoked).toMatchObject({ round: 3, effect: "endRound" });
    expect(revoked?.reasons[0]).toMatchObject({ code: "POL-NO-AGREEMENT", party: "two" });
    expect(revoked?.revision).toBeGreaterThanOrEqual(change);
    release();
    await done;
    expect(names(told)).toEqual(["round", "round", "revoked", "round", "round", "end"]);
    expect(told.at(-3)?.data).toMatchObject({ round: 3, status: "completed" });
    expect(told.at(-2)?.data).toMatchObject({ round: 4, status: "refused", revision: revoked?.revision });
    const { status, body } = await answer;
    expect(status).toBe(403);
    expect(body).toMatchObject({ status: "refused", rounds: 3, reasons: [{ code: "POL-NO-AGREEMENT" }] });
    expect(body.revision).toBeGreaterThanOrEqual(change);
    expect(await roundsAfter(job, change)).toEqual([]);
  });

  it("stops in the middle of its round where the agreement says so", async () => {
    await write({ ...agreement("one"), onRevocation: "stop" });
    const { reached, release } = hold(2);
    const answer = market.ask(request(20));
    const job = await reached;
    const { told, done } = listen(job);
    const change = await write({ ...agreement("one", { requestTypes: ["chain"] }), onRevocation: "stop" });
    // The hub's step still hangs.
    const { status, body } = await answer;
    await done;
    release();
    expect(status).toBe(403);
    expect(body).toMatchObject({
      status: "refused",
      rounds: 1,
      reasons: [{ code: "POL-REQUEST-TYPE", party: "one" }],
    });
    expect(names(told)).toEqual(["round", "revoked", "round", "end"]);
    expect(told[1]?.data).toMatchObject({ round: 2, effect: "stop" });
    expect(told[2]?.data).toMatchObject({ round: 2, status: "refused" });
    expect(await roundsAfter(job, change)).toEqual([]);
  });

  it("stops too when the agreement that said so is taken away as a whole", async () => {
    await write({ ...agreement("one"), onRevocation: "stop" });
    const { reached, release } = hold(1);
    const answer = market.ask(request(20));
    await reached;
    await market.api("DELETE", "policyEnforcer/agreements/one");
    const { status, body } = await answer;
    release();
    expect(status).toBe(403);
    expect(body).toMatchObject({ rounds: 0, reasons: [{ code: "POL-PROVIDER-UNKNOWN", party: "one" }] });
  });

  it("does not stop for another party's sake: only who is the reason can say `stop`", async () => {
    await write({ ...agreement("one"), onRevocation: "stop" });
    const { reached, release } = hold(1);
    const answer = market.ask(request(20));
    const { told, done } = listen(await reached);
    await write({ ...agreement("two"), relations: {} });
    await until("the user is told", () => names(told).includes("revoked"), 10);
    await write({ ...agreement("one", { ID: "7" }), onRevocation: "stop" });
    expect(told.at(-1)?.data).toMatchObject({ effect: "endRound" });
    release();
    await done;
    expect((await answer).body).toMatchObject({ status: "refused", rounds: 1 });
  });

  it("goes on when a change takes nothing away, and completes when its last round was open", async () => {
    const { reached, release } = hold(2);
    const answer = market.ask(request(2));
    const { told, done } = listen(await reached);
    await write(agreement("one", { ID: "another number" }));
    await write({ ...agreement("two"), relations: {} });
    await until("the user is told", () => names(told).includes("revoked"), 10);
    release();
    await done;
    const { status, body } = await answer;
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: "completed", rounds: 2 });
  });

  it("ends with the reason also when a party of its open round is gone", async () => {
    const { reached, release } = hold(1);
    const answer = market.ask(request(20));
    const { told, done } = listen(await reached);
    await write({ ...agreement("two"), relations: {} });
    await until("the user is told", () => names(told).includes("revoked"), 10);
    await market.store.delete(KEY.online("hub"));
    await done;
    const { status, body } = await answer;
    release();
    expect(status).toBe(403);
    expect(body).toMatchObject({ status: "refused", rounds: 0, reasons: [{ code: "POL-NO-AGREEMENT" }] });
    expect(told.at(-2)?.data).toMatchObject({ status: "failed", problem: { code: "ORC-AGENT-GONE" } });
  });
});
