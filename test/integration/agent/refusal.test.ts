import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { agentQueue, KEY, MESSAGE } from "../../../policy/contract/names.js";
import { GrantSigner } from "../../../policy/platform/grants.js";
import { until } from "../../support/servers.js";
import { type Market, type OpenRound, type Report, type RunningAgent, USER } from "./market.js";
import { agreement, claimsOf, openProbeMarket, work } from "./probe.js";

const AGENT = "alpha";
let market: Market;
let agent: RunningAgent;

beforeAll(async () => {
  market = await openProbeMarket();
  await market.store.put(KEY.agreement(AGENT), agreement(AGENT));
  // Its name begins like the agent's: its changes must not be taken for the agent's own.
  await market.store.put(KEY.agreement(`${AGENT}beta`), agreement(`${AGENT}beta`));
  agent = await market.startAgent(AGENT);
}, 120_000);

afterAll(() => market?.close());

const code = (report: Report): string | undefined => report.problem?.code;
const compose = (): Promise<string> => market.compose([AGENT], "probe");
const open = (job: string, round = 1): Promise<OpenRound> => market.openRound(job, round, claimsOf(AGENT));

describe("an agent refuses", () => {
  it("a grant that another key signed", async () => {
    const opened = await open(await compose());
    const forger = new GrantSigner();
    const grant = forger.sign({
      sub: "ada@uva.nl",
      archetype: "trainThroughClients",
      job: opened.job,
      round: 1,
      token: opened.token,
      dataSets: [],
      columns: {},
      agreements: await market.revisions([AGENT]),
      ...claimsOf(AGENT),
    });
    expect(code(await work(market, AGENT, { ...opened, grant }))).toBe("AGT-GRANT-KEY");
  });

  it("a grant whose content was altered, no grant, and words", async () => {
    const opened = await open(await compose());
    const [header, , signature] = opened.grant.split(".");
    const payload = JSON.parse(
      Buffer.from(opened.grant.split(".")[1] ?? "", "base64url").toString(),
    ) as Record<string, unknown>;
    const altered = Buffer.from(JSON.stringify({ ...payload, exp: Number(payload.exp) + 1e6 })).toString(
      "base64url",
    );
    expect(code(await work(market, AGENT, { ...opened, grant: `${header}.${altered}.${signature}` }))).toBe(
      "AGT-GRANT-INVALID",
    );
    expect(code(await work(market, AGENT, { ...opened, grant: "" }))).toBe("AGT-GRANT-MISSING");
    expect(code(await work(market, AGENT, { ...opened, grant: "1234" }))).toBe("AGT-GRANT-INVALID");
  });

  it("a grant that has expired", async () => {
    const opened = await open(await compose());
    const grant = market.sign(
      {
        job: opened.job,
        round: 1,
        token: opened.token,
        agreements: await market.revisions([AGENT]),
        ...claimsOf(AGENT),
      },
      Date.now() - 120_000,
    );
    expect(code(await work(market, AGENT, { ...opened, grant }))).toBe("AGT-GRANT-EXPIRED");
  });

  it("a grant of another job, round, party or user", async () => {
    const [opened, other] = [await open(await compose()), await open(await compose())];
    expect(code(await work(market, AGENT, { ...opened, grant: other.grant }))).toBe("AGT-GRANT-JOB");
    const agreements = await market.revisions([AGENT]);
    const sign = (claims: Partial<Parameters<Market["sign"]>[0]>) =>
      market.sign({ ...opened, agreements, ...claimsOf(AGENT), ...claims });
    expect(code(await work(market, AGENT, { ...opened, grant: sign({ round: 2 }) }))).toBe("AGT-GRANT-ROUND");
    expect(code(await work(market, AGENT, { ...opened, grant: sign(claimsOf("omega")) }))).toBe(
      "AGT-GRANT-PARTY",
    );
    expect(code(await work(market, AGENT, { ...opened, grant: sign({ sub: "eve" }) }))).toBe(
      "AGT-GRANT-USER",
    );
    expect(code(await work(market, AGENT, { ...opened, grant: sign({ requestType: "relay" }) }))).toBe(
      "AGT-GRANT-TYPE",
    );
    // The same round with its own grant is worked for: it was not the round that was wrong.
    expect(code(await work(market, AGENT, opened))).toBeUndefined();
  });

  it("a token that is not the round's revision, and a round nobody opened", async () => {
    const opened = await open(await compose());
    expect(code(await work(market, AGENT, { ...opened, token: opened.token - 1 }))).toBe("AGT-TOKEN-WRONG");
    expect(code(await work(market, AGENT, { ...opened, token: opened.token + 1_000 }))).toBe(
      "AGT-TOKEN-WRONG",
    );
    // As the enforcer signs a first approval, which opens nothing.
    const agreements = await market.revisions([AGENT]);
    const unopened = { job: opened.job, round: 2, token: 0 };
    const grant = market.sign({ ...unopened, agreements, ...claimsOf(AGENT) });
    expect(code(await work(market, AGENT, { ...unopened, grant }))).toBe("AGT-TOKEN-UNKNOWN");
  });

  it("a round that is over", async () => {
    const job = await compose();
    const first = await open(job, 1);
    expect(code(await work(market, AGENT, first))).toBeUndefined();
    const second = await open(job, 2);
    expect(code(await work(market, AGENT, second))).toBeUndefined();
    expect(code(await work(market, AGENT, first))).toBe("AGT-TOKEN-OLD");
  });

  it("a grant that is used again: after the job's end, and after this agent's own restart", async () => {
    const ended = await open(await compose());
    expect(code(await work(market, AGENT, ended))).toBeUndefined();
    await market.shutdown(AGENT, ended.job);
    await market.bus.publish(
      agentQueue(AGENT),
      MESSAGE.compositionRequest,
      market.composition(AGENT, [AGENT], "probe", ended.job),
    );
    expect(code(await work(market, AGENT, ended))).toBe("AGT-JOB-UNKNOWN");

    const running = await market.startAgent("phi");
    await market.store.put(KEY.agreement("phi"), agreement("phi"));
    const job = await market.compose(["phi"], "probe");
    const replayed = await market.openRound(job, 1, claimsOf("phi"));
    expect(code(await work(market, "phi", replayed))).toBeUndefined();
    await running.kill9();
    await market.startAgent("phi");
    await market.compose(["phi"], "probe", job);
    expect(code(await work(market, "phi", replayed))).toBe("AGT-TOKEN-OLD");
    // The same round asked of the enforcer again has the same token, so it stays over; the next one is new.
    expect(code(await work(market, "phi", await market.openRound(job, 2, claimsOf("phi"))))).toBeUndefined();
  }, 60_000);

  it("a job that was not composed, and a step the request type does not have", async () => {
    const stranger = await open("job-never-composed");
    expect(code(await work(market, AGENT, stranger))).toBe("AGT-JOB-UNKNOWN");
    const opened = await open(await compose());
    expect(code(await work(market, AGENT, opened, {}, { step: "dream" }))).toBe("AGT-STEP-UNKNOWN");
    expect(code(await work(market, AGENT, opened, {}, { service: "other" }))).toBe("AGT-STEP-UNKNOWN");
    expect(code(await work(market, AGENT, opened, {}, { step: "forbidden", service: "barred" }))).toBe(
      "AGT-SERVICE-ARCHETYPE",
    );
  });

  it("a program outside the experiment's folder, and one that is not there", async () => {
    const opened = await open(await compose());
    expect(code(await work(market, AGENT, opened, {}, { step: "escape", service: "outside" }))).toBe(
      "JOB-ENTRY",
    );
    expect(code(await work(market, AGENT, opened, {}, { step: "nowhere", service: "missing" }))).toBe(
      "JOB-ENTRY",
    );
  });
});

describe("when the agent's own agreement changes", () => {
  /** What a dishonest enforcer would do: a record without the comparison. */
  const openUnseen = async (job: string, agreements: Record<string, number>): Promise<OpenRound> => {
    const openedAt = new Date().toISOString();
    const token = await market.store.put(KEY.round(job, 1), { job, round: 1, agreements, openedAt });
    return {
      job,
      round: 1,
      token,
      grant: market.sign({ job, round: 1, token, agreements, ...claimsOf(AGENT) }),
    };
  };
  /** The agent knows of so many changes more than before. */
  const seen = async (changes: number, act: () => Promise<unknown>): Promise<void> => {
    const count = (): number => agent.log().split("own agreement changed").length;
    const before = count();
    await act();
    await until("the agent has seen it", () => count() >= before + changes);
  };

  it("before the token: the round is refused, even where its enforcer did not compare", async () => {
    const job = await compose();
    const agreements = await market.revisions([AGENT]);
    await seen(1, () => market.store.put(KEY.agreement(AGENT), agreement(AGENT, "narrowed")));
    expect(code(await work(market, AGENT, await openUnseen(job, agreements)))).toBe("AGT-AGREEMENT-CHANGED");
  });

  it("before the token and once more after it: still refused", async () => {
    const job = await compose();
    const agreements = await market.revisions([AGENT]);
    let opened: OpenRound | undefined;
    await seen(2, async () => {
      await market.store.delete(KEY.agreement(AGENT));
      opened = await openUnseen(job, agreements);
      await market.store.put(KEY.agreement(AGENT), agreement(AGENT));
    });
    expect(code(await work(market, AGENT, opened as OpenRound))).toBe("AGT-AGREEMENT-CHANGED");
  });

  it("to one that was decided on after the token: refused", async () => {
    const job = await compose();
    const token = await market.openRecord(job, 1, await market.revisions([AGENT]));
    await market.store.put(KEY.agreement(AGENT), agreement(AGENT, "later"));
    const grant = market.sign({
      job,
      round: 1,
      token,
      agreements: await market.revisions([AGENT]),
      ...claimsOf(AGENT),
    });
    expect(code(await work(market, AGENT, { job, round: 1, token, grant }))).toBe("AGT-AGREEMENT-CHANGED");
  });

  it("after the token: the open round may end, the next may not begin with the old decision", async () => {
    const job = await compose();
    const decided = await market.revisions([AGENT]);
    const opened = await open(job);
    await market.store.delete(KEY.agreement(AGENT));
    const answer = await work(market, AGENT, opened);
    expect(answer.problem).toBeUndefined();
    expect(answer.data).toMatchObject({ worked: 1, round: 1 });
    await expect(market.openRecord(job, 2, decided)).rejects.toThrow("the agreements changed");
    // Decided and opened on "there is no agreement": no right comes of that.
    const nothing = await open(job, 2);
    expect(code(await work(market, AGENT, nothing))).toBe("AGT-AGREEMENT-MISSING");
    await market.store.put(KEY.agreement(AGENT), agreement(AGENT));
  });

  it("inside an open round: its later steps are done too", async () => {
    const job = await compose();
    const opened = await open(job);
    expect((await work(market, AGENT, opened)).problem).toBeUndefined();
    await market.store.put(KEY.agreement(AGENT), agreement(AGENT, "changed"));
    const later = await work(market, AGENT, opened, {}, { step: "elsewhere", service: "other" });
    // "other" has no such step: it was asked, so the agent let it through.
    expect(code(later)).toBe("JOB-STEP-UNKNOWN");
  });

  const stopping = () => {
    const { note: _not_in_its_form, ...document } = agreement(AGENT);
    return { ...document, onRevocation: "stop" };
  };

  it("inside an open round, and it says `stop`: work ends at once, and so does the microservice", async () => {
    await market.store.put(KEY.agreement(AGENT), stopping());
    const job = await compose();
    const file = join(market.folder, `${job}.pid`);
    const report = work(market, AGENT, await open(job), { do: "sleep", ms: 20_000, file });
    await until("it works", () => existsSync(file));
    const begin = performance.now();
    await market.store.put(KEY.agreement(AGENT), { ...stopping(), relations: {} });
    expect(code(await report)).toBe("AGT-REVOKED");
    expect(performance.now() - begin).toBeLessThan(5_000);
    const pid = Number(readFileSync(file, "utf8").split(" ")[0]);
    await until("its microservice has ended", () => !existsSync(`/proc/${pid}`), 5);
  });

  it("after the token and before the ticket, and it says `stop`: nothing is begun", async () => {
    await market.store.put(KEY.agreement(AGENT), stopping());
    const job = await compose();
    const opened = await open(job);
    await seen(1, () => market.store.delete(KEY.agreement(AGENT)));
    expect(code(await work(market, AGENT, opened))).toBe("AGT-REVOKED");
    await market.store.put(KEY.agreement(AGENT), agreement(AGENT));
  });

  it("inside an open round, it says `stop`, and takes nothing away: the round ends well", async () => {
    await market.store.put(KEY.agreement(AGENT), stopping());
    const job = await compose();
    const file = join(market.folder, `${job}.pid`);
    const report = work(market, AGENT, await open(job), { do: "sleep", ms: 500, file });
    await until("it works", () => existsSync(file));
    const { relations } = stopping();
    await seen(1, () =>
      market.store.put(KEY.agreement(AGENT), {
        ...stopping(),
        relations: { ...relations, eve: relations[USER.userName] },
      }),
    );
    expect((await report).problem).toBeUndefined();
    await market.store.put(KEY.agreement(AGENT), agreement(AGENT));
  });

  it("of another party with a like name: nothing happens", async () => {
    const job = await compose();
    const opened = await open(job);
    await market.store.delete(KEY.agreement(`${AGENT}beta`));
    expect((await work(market, AGENT, opened)).problem).toBeUndefined();
  });
});
