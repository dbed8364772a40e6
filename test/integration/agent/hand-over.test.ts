import { randomUUID } from "node:crypto";
import { createServer, request as httpRequest, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { KEY } from "../../../policy/contract/names.js";
import { PART_LIMITS, unpackParts } from "../../../policy/contract/parts.js";
import type { MicroserviceCommunication } from "../../../policy/contract/wire.js";
import { decode } from "../../../policy/contract/wire.js";
import { GrantSigner } from "../../../policy/platform/grants.js";
import { ANSWER_TYPE, answerPath, SENDER_HEADER } from "../../../policy/rounds/messages.js";
import { until } from "../../support/servers.js";
import type { Market, OpenRound, RunningAgent } from "./market.js";
import { agreement, openProbeMarket, relay, relayOf } from "./probe.js";

const AGENT = "iota";
/** An agent whose part the test plays. */
const PARTNER = "omega";
let market: Market;
let agent: RunningAgent;
const servers: Server[] = [];

beforeAll(async () => {
  market = await openProbeMarket();
  for (const name of [AGENT, PARTNER, "kappa"]) await market.store.put(KEY.agreement(name), agreement(name));
  await market.publishKey(PARTNER);
  agent = await market.startAgent(AGENT);
}, 120_000);

afterEach(async () => {
  await market.store.delete(KEY.online(PARTNER));
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});
afterAll(() => market?.close());

/** A job in which the partner gives, the agent passes on, and the partner takes it back. */
async function toAgent(passer = AGENT): Promise<OpenRound> {
  if (servers.length === 0) await playPartner();
  const job = await market.compose([passer], "relay");
  return await market.openRound(job, 1, relayOf([PARTNER], passer));
}

/** A job in which the agent gives and the partner would pass on. */
async function fromAgent(giver = AGENT, passer = PARTNER): Promise<OpenRound> {
  const job = await market.compose([giver], "relay");
  return await market.openRound(job, 1, relayOf([giver], passer));
}

async function listen(handle: RequestListener): Promise<string> {
  const server = createServer({ maxHeaderSize: 96 * 1024 }, handle);
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const announce = (dns: string): Promise<number> =>
  market.store.put(KEY.online(PARTNER), { name: PARTNER, dns });
const started = (job: string): Promise<void> =>
  until("its microservice started", () =>
    agent.log().includes(`"job":"${job}","microservice":"probe","pid":`),
  );

/** Takes hand-overs as an agent does. `answer`: what to do with each, counted from 1; default 204. */
async function playPartner(answer: (attempt: number, ...io: Parameters<RequestListener>) => void = accept) {
  const taken: {
    readonly path: string;
    readonly grant: string;
    readonly message: MicroserviceCommunication;
  }[] = [];
  const handle: RequestListener = (incoming, reply) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const message = decode("microserviceCommunication", Buffer.concat(chunks));
      taken.push({ path: incoming.url ?? "", grant: incoming.headers.authorization ?? "", message });
      answer(taken.length, incoming, reply);
    });
  };
  await announce(await listen(handle));
  return { taken, handle };
}

function accept(_attempt: number, ...[, reply]: Parameters<RequestListener>): void {
  reply.writeHead(204).end();
}

function refuse(reply: Parameters<RequestListener>[1], status: number, code: string): void {
  reply.writeHead(status, { "content-type": "application/json" });
  reply.end(JSON.stringify({ status: "failed", code, message: "no", path: "there" }));
}

const given = (open: OpenRound) =>
  market.handOver(AGENT, open, { step: "give", from: PARTNER, data: { n: 1 } });

describe("what is handed over to an agent", () => {
  it.each(["before", "after"])("%s its ticket comes is what its step gets", async (when) => {
    const opened = await toAgent();
    if (when === "before") expect((await given(opened)).status).toBe(204);
    const report = market.ticket(AGENT, opened, relay(["pass"]));
    if (when === "after") {
      await started(opened.job);
      expect((await given(opened)).status).toBe(204);
    }
    expect((await report).data).toMatchObject({
      role: "computeProvider",
      got: { give: { [PARTNER]: { n: 1 } } },
    });
    // Of the round that is over, a late copy is forgotten; and what one round got is not the next one's.
    const next = await market.openRound(opened.job, 2, relayOf([PARTNER], AGENT));
    const second = market.ticket(AGENT, next, relay(["pass"]));
    await market.handOver(AGENT, next, { step: "give", from: PARTNER, data: { n: 2 } });
    expect((await second).data).toMatchObject({ worked: 2, got: { give: { [PARTNER]: { n: 2 } } } });
    expect((await given(opened)).status).toBe(204);
  });

  it("is refused when another agent of the round hands it over in its sender's name", async () => {
    const opened = await toAgent();
    await market.publishKey("kappa");
    const answer = { step: "give", from: PARTNER, data: { n: 66 } };
    for (const [forgery, code] of [
      [{ ...answer, by: "kappa" }, "AGT-SENDER"],
      [{ ...answer, by: AGENT }, "AGT-SENDER"],
      [{ ...answer, headers: { [SENDER_HEADER]: "" } }, "AGT-SENDER"],
      [{ ...answer, headers: { [SENDER_HEADER]: "A".repeat(38) } }, "AGT-SENDER"],
    ] as const)
      expect(await market.handOver(AGENT, opened, forgery)).toMatchObject({ status: 401, problem: { code } });
    // None of it was kept: the step gets what its sender says.
    const report = market.ticket(AGENT, opened, relay(["pass"]));
    expect((await given(opened)).status).toBe(204);
    expect((await report).data).toMatchObject({ got: { give: { [PARTNER]: { n: 1 } } } });
  });

  it("is refused, and tried again by its sender, while the sender's public key is not known", async () => {
    const opened = await toAgent();
    await market.store.delete(KEY.agentKey(PARTNER));
    const refused = await market.handOver(AGENT, opened, { step: "give", from: PARTNER, data: { n: 1 } });
    expect(refused).toMatchObject({ status: 401, problem: { code: "AGT-SENDER-KEY" } });
    await market.publishKey(PARTNER);
    await until("it is known", async () => (await given(opened)).status === 204);
  });

  it("is taken once: a second copy changes nothing", async () => {
    const opened = await toAgent();
    await given(opened);
    const copy = { step: "give", from: PARTNER, data: { n: 99 } };
    expect((await market.handOver(AGENT, opened, copy)).status).toBe(204);
    expect((await market.ticket(AGENT, opened, relay(["pass"]))).data).toMatchObject({
      got: { give: { [PARTNER]: { n: 1 } } },
    });
  });

  it("arrives and goes on with the very same numbers and bytes", async () => {
    const { taken } = await playPartner();
    const opened = await toAgent();
    const numbers = Float64Array.of(Math.PI, -0, 1e-308, Number.NaN, Number.POSITIVE_INFINITY);
    const parts = { beta: numbers, raw: Uint8Array.of(0, 255) };
    await market.handOver(AGENT, opened, { step: "give", from: PARTNER, parts });
    const report = await market.ticket(AGENT, opened, relay(["pass"], { do: "parts" }));
    expect(report.problem).toBeUndefined();
    expect(report.data).toBeUndefined();
    expect(taken).toHaveLength(1);
    expect(taken[0]?.path).toBe(answerPath(opened.job, 1, "pass", AGENT));
    expect(taken[0]?.grant).toBe(`Bearer ${opened.grant}`);
    const passed = unpackParts(taken[0]?.message.result ?? new Uint8Array());
    expect(Object.keys(passed).sort()).toEqual([`${PARTNER}/beta`, `${PARTNER}/raw`]);
    expect(passed[`${PARTNER}/beta`]).toEqual(numbers);
    expect([...(passed[`${PARTNER}/raw`] ?? [])]).toEqual([0, 255]);
  });

  it("comes also by a grant that names many parties", async () => {
    const opened = await toAgent();
    const others = Array.from({ length: 500 }, (_, i) => [`one-party-of-very-many-${i}`, i + 1]);
    const agreements = { ...Object.fromEntries(others), ...(await market.revisions([PARTNER])) };
    const grant = market.sign({ ...opened, agreements, ...relayOf([PARTNER], AGENT) });
    expect(grant.length).toBeGreaterThan(16 * 1024);
    expect((await given({ ...opened, grant })).status).toBe(204);
    expect((await market.ticket(AGENT, { ...opened, grant }, relay(["pass"]))).problem).toBeUndefined();
  });

  it("is refused where it has no right to come, and nothing of it is kept", async () => {
    const [opened, other] = [await toAgent(), await toAgent()];
    const next = await market.openRound(opened.job, 2, relayOf([PARTNER], AGENT));
    const agreements = await market.revisions([PARTNER]);
    const claims = { sub: "ada@uva.nl", archetype: "trainThroughClients", ...relayOf([PARTNER], AGENT) };
    const forged = new GrantSigner().sign({ ...opened, agreements, dataSets: [], columns: {}, ...claims });
    const expired = market.sign({ ...opened, agreements, ...claims }, Date.now() - 120_000);
    const wrong = { step: "give", from: PARTNER, data: { n: 666 } };
    const codeOf = async (...args: Parameters<Market["handOver"]>) => {
      const { status, problem } = await market.handOver(...args);
      return [status, problem?.code];
    };
    const bare = { ...wrong, headers: { authorization: "" } };
    expect(await codeOf(AGENT, opened, bare)).toEqual([401, "AGT-GRANT-MISSING"]);
    const basic = { ...wrong, headers: { authorization: `Basic ${opened.grant}` } };
    expect(await codeOf(AGENT, opened, basic)).toEqual([401, "AGT-GRANT-MISSING"]);
    const as = (grant: string) => codeOf(AGENT, { ...opened, grant }, wrong);
    expect(await as("words")).toEqual([401, "AGT-GRANT-INVALID"]);
    expect(await as(forged)).toEqual([401, "AGT-GRANT-KEY"]);
    expect(await as(expired)).toEqual([401, "AGT-GRANT-EXPIRED"]);
    expect(await as(other.grant)).toEqual([401, "AGT-GRANT-JOB"]);
    expect(await as(next.grant)).toEqual([401, "AGT-GRANT-ROUND"]);
    for (const unasked of [
      { step: "back" },
      { step: "dream" },
      { from: "stranger" },
      { from: AGENT },
      { step: "pass" },
    ])
      expect(await codeOf(AGENT, opened, { ...wrong, ...unasked })).toEqual([400, "AGT-ANSWER-UNEXPECTED"]);
    for (const body of [new Uint8Array([255, 255, 255]), new Uint8Array([66, 2, 1, 2])])
      expect(await codeOf(AGENT, opened, { ...wrong, body })).toEqual([400, "BUS-MALFORMED"]);
    for (const type of ["application/json", "text/plain"]) {
      const answer = { ...wrong, body: "{}", headers: { "content-type": type } };
      expect(await codeOf(AGENT, opened, answer)).toEqual([400, "BUS-MALFORMED"]);
    }
    const stranger = await market.openRound("job-never-composed", 1, relayOf([PARTNER], AGENT));
    expect(await codeOf(AGENT, stranger, wrong)).toEqual([404, "AGT-JOB-UNKNOWN"]);
    expect(await tooLarge(opened)).toEqual([413, "AGT-TOO-LARGE"]);

    // Any of these, had it been kept, would have come first.
    expect((await given(opened)).status).toBe(204);
    expect((await market.ticket(AGENT, opened, relay(["pass"]))).data).toMatchObject({
      got: { give: { [PARTNER]: { n: 1 } } },
    });
  });

  /** Only said to be so large: it is refused before it is read. */
  async function tooLarge({ job, round, grant }: OpenRound): Promise<[number | undefined, string]> {
    const address = (await market.store.get<{ dns: string }>(KEY.online(AGENT)))?.value.dns;
    return await new Promise((done, failed) => {
      const sending = httpRequest(`http://${address}${answerPath(job, round, "give", PARTNER)}`, {
        method: "PUT",
        headers: {
          authorization: `Bearer ${grant}`,
          "content-type": ANSWER_TYPE,
          "content-length": PART_LIMITS.bytes + 2 * 1024 * 1024,
        },
      });
      sending.on("error", failed);
      sending.on("response", (reply) => {
        let text = "";
        reply.on("data", (chunk: Buffer) => (text += chunk.toString()));
        reply.on("end", () => {
          sending
            .removeListener("error", failed)
            .on("error", () => {})
            .destroy();
          done([reply.statusCode, (JSON.parse(text) as { code: string }).code]);
        });
      });
      sending.flushHeaders();
    });
  }

  it("not in time is told by the step and the agent that is late", async () => {
    await market.startAgent("kappa", { STEP_SECONDS: "1" });
    const opened = await toAgent("kappa");
    expect(await market.ticket("kappa", opened, relay(["pass"]))).toMatchObject({
      problem: { code: "AGT-INPUT-TIMEOUT", path: `give/${PARTNER}` },
      step: "pass",
    });
  }, 40_000);
});

describe("an agent that waits for another's answer", () => {
  it("says JOB-ENDED when the job ends", async () => {
    const opened = await toAgent();
    const report = market.ticket(AGENT, opened, relay(["pass"]));
    await started(opened.job);
    await market.shutdown(AGENT, opened.job);
    expect(await report).toMatchObject({ problem: { code: "JOB-ENDED" }, step: "pass" });
  });

  it("works once for a ticket that comes again, under the same id and under another", async () => {
    const opened = await toAgent();
    const id = randomUUID();
    const report = market.ticket(AGENT, opened, relay(["pass"], {}, id));
    await market.send(AGENT, opened, relay(["pass"], {}, id));
    await started(opened.job);
    await given(opened);
    expect((await report).data).toMatchObject({ worked: 1 });
    await market.send(AGENT, opened, relay(["pass"], {}, id));
    expect((await market.ticket(AGENT, opened, relay(["pass"]))).data).toMatchObject({ worked: 1 });
    expect(market.answers.filter((answered) => answered === id)).toHaveLength(1);
  });

  it("needs its own earlier step asked in the same ticket", async () => {
    const job = await market.compose([AGENT], "relay");
    const opened = await market.openRound(job, 1, relayOf([AGENT], AGENT));
    expect(await market.ticket(AGENT, opened, relay(["pass"]))).toMatchObject({
      problem: { code: "AGT-STEP-INPUT", path: "steps.give" },
      step: "pass",
    });
    // At home: the data stay with the agent, which does all three.
    expect((await market.ticket(AGENT, opened, relay(["back", "pass", "give"]))).data).toMatchObject({
      worked: 2,
      got: { give: { [AGENT]: { worked: 1 } } },
    });
  });
});

describe("an agent that hands an answer over", () => {
  it("tries again while the other restarts, and follows it to its new address", async () => {
    const { taken, handle } = await playPartner((attempt, incoming, reply) => {
      if (attempt === 1) {
        void listen(handle)
          .then(announce)
          .then(() => incoming.socket.destroy())
          .then(() => servers.shift()?.close());
      } else if (attempt === 2) refuse(reply, 503, "STO-DOWN");
      else if (attempt === 3) refuse(reply, 404, "AGT-JOB-UNKNOWN");
      else accept(attempt, incoming, reply);
    });
    const report = await market.ticket(AGENT, await fromAgent(), relay(["give"]));
    expect(report.problem).toBeUndefined();
    expect(report.spans.map(({ step }) => step)).toEqual(["give"]);
    expect(taken).toHaveLength(4);
    expect(new Set(taken.map(({ message }) => JSON.stringify(message))).size).toBe(1);
  });

  it("finds one that comes online only then", async () => {
    const report = market.ticket(AGENT, await fromAgent(), relay(["give"], { do: "sleep", ms: 200 }));
    const { taken } = await playPartner();
    expect((await report).problem).toBeUndefined();
    expect(taken).toHaveLength(1);
  });

  it("does not try again what the other refuses, and tells its words", async () => {
    const { taken } = await playPartner((_attempt, _incoming, reply) =>
      refuse(reply, 400, "AGT-ANSWER-UNEXPECTED"),
    );
    expect(await market.ticket(AGENT, await fromAgent(), relay(["give"]))).toMatchObject({
      problem: { code: "AGT-ANSWER-UNEXPECTED", message: "no", path: `${PARTNER}: there` },
      step: "give",
    });
    expect(taken).toHaveLength(1);
  });

  it("says so when nobody is there, or no agent", async () => {
    expect(await market.ticket(AGENT, await fromAgent(), relay(["give"]))).toMatchObject({
      problem: { code: "AGT-HAND-OVER", path: `agents/${PARTNER}` },
      step: "give",
    });
    await playPartner((_attempt, _incoming, reply) => void reply.writeHead(200).end("<html>"));
    expect(await market.ticket(AGENT, await fromAgent(), relay(["give"]))).toMatchObject({
      problem: { code: "AGT-HAND-OVER", message: expect.stringContaining("<html>") },
    });
  }, 40_000);

  it("to one that is killed meanwhile fails in words; the one that comes back works for the next job", async () => {
    const first = await market.startAgent("lambda");
    const lost = await market.compose([AGENT, "lambda"], "relay");
    const opened = await market.openRound(lost, 1, relayOf([AGENT], "lambda"));
    await market.send("lambda", opened, relay(["pass"]));
    await until("its microservice started", () =>
      first.log().includes(`"job":"${lost}","microservice":"probe"`),
    );
    await first.kill9();
    const report = await market.ticket(AGENT, opened, relay(["give"]));
    expect(report).toMatchObject({ problem: { code: "AGT-HAND-OVER" }, step: "give" });

    await market.startAgent("lambda");
    const job = await market.compose([AGENT, "lambda"], "relay");
    const again = await market.openRound(job, 1, relayOf([AGENT], "lambda"));
    const [passed, backed] = await Promise.all([
      market.ticket("lambda", again, relay(["pass"])),
      market.ticket(AGENT, again, relay(["give", "back"])),
    ]);
    expect(passed.data).toMatchObject({ steward: "lambda", got: { give: { [AGENT]: { worked: 1 } } } });
    expect(backed).toMatchObject({ problem: undefined, data: undefined });
    expect(backed.spans.map(({ step }) => step)).toEqual(["give", "back"]);
  }, 60_000);
});
