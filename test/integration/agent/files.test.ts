import { readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FILE_LIMITS } from "../../../policy/contract/files.js";
import { KEY } from "../../../policy/contract/names.js";
import { FILE_TYPE, filePath } from "../../../policy/rounds/messages.js";
import type { Market, OpenRound, RunningAgent } from "./market.js";
import { agreement, openProbeMarket, relay, relayOf } from "./probe.js";

const MB = 1_000_000;
/** Above what memory may grow by, and the 200 MB of the requirement where there is time. */
const LARGE = (process.env.DEEP ? 200 : 100) * MB;
/** An agent whose part the test plays. */
const PARTNER = "omega";
let market: Market;
let giver: RunningAgent;
let passer: RunningAgent;
const servers: Server[] = [];

beforeAll(async () => {
  market = await openProbeMarket();
  for (const name of ["iota", "kappa", PARTNER]) await market.store.put(KEY.agreement(name), agreement(name));
  await market.publishKey(PARTNER);
  [giver, passer] = [await market.startAgent("iota"), await market.startAgent("kappa")];
}, 120_000);
afterAll(async () => {
  for (const server of servers) server.close();
  await market?.close();
});

/** The most memory that a process has ever had, in bytes (proc(5)). */
const peak = ({ process: { pid } }: RunningAgent): number =>
  1024 * Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
const filesOf = ({ workFolder }: RunningAgent): string[] =>
  readdirSync(workFolder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.parentPath.includes(".files"))
    .map(({ parentPath, name }) => join(parentPath, name));

async function open(to = "kappa", round = 1, job?: string): Promise<OpenRound> {
  const agents = to === "kappa" ? ["iota", "kappa"] : ["iota"];
  return await market.openRound(job ?? (await market.compose(agents, "relay")), round, relayOf(["iota"], to));
}

const relayFile = async (opened: OpenRound, bytes: number) =>
  await Promise.all([
    market.ticket("iota", opened, relay(["give", "back"], { do: "file", bytes })),
    market.ticket("kappa", opened, relay(["pass"], { do: "file" })),
  ]);

describe("a file that one microservice gives to another's agent", () => {
  it("arrives byte for byte, however large, while both agents' memory stays as it was", async () => {
    await relayFile(await open(), 5 * MB); // both have done it once
    const before = [peak(giver), peak(passer)];
    const opened = await open();
    const [given, passed] = await relayFile(opened, LARGE);
    expect([given.problem, passed.problem]).toEqual([undefined, undefined]);
    const { got, files } = passed.data as {
      got: { give: { iota: { sha256: string } } };
      files: { from: string; path: string; sha256: string }[];
    };
    expect(files).toEqual([{ from: "iota", path: expect.any(String), sha256: got.give.iota.sha256 }]);
    const growth = [peak(giver), peak(passer)].map((after, i) => (after - (before[i] ?? 0)) / MB);
    console.log(
      `${LARGE / MB} MB handed over: memory's peak grew by ${growth.map((g) => g.toFixed(0)).join(" and ")} MB`,
    );
    for (const grown of growth) expect(grown).toBeLessThan(64);

    // The next round's beginning removes the last one's, the job's end all.
    const [path = ""] = files.map(({ path }) => path);
    expect(filesOf(passer)).toContain(path);
    await relayFile(await open("kappa", 2, opened.job), 1 * MB);
    expect(filesOf(passer)).not.toContain(path);
    for (const agent of ["iota", "kappa"]) await market.shutdown(agent, opened.job);
    for (const agent of [giver, passer])
      expect(readdirSync(agent.workFolder).filter((name) => name === opened.job)).toEqual([]);
  }, 60_000);

  it("waits at its sender when the receiver is slow: nobody holds it", async () => {
    const bytes = LARGE;
    let read = 0;
    let mostAhead = 0;
    const server = createServer((incoming, reply) => {
      void (async () => {
        for await (const chunk of incoming) {
          read += (chunk as Buffer).length;
          // 16 MB at a time, then a pause.
          if (Math.floor(read / (16 * MB)) > Math.floor((read - (chunk as Buffer).length) / (16 * MB))) {
            await sleep(100);
            mostAhead = Math.max(mostAhead, incoming.socket.bytesRead - read);
          }
        }
        reply.writeHead(204).end();
      })();
    });
    servers.push(server);
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const dns = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    await market.store.put(KEY.online(PARTNER), { name: PARTNER, dns });
    const before = peak(giver);
    const began = performance.now();
    const report = await market.ticket("iota", await open(PARTNER), relay(["give"], { do: "file", bytes }));
    const seconds = (performance.now() - began) / 1_000;
    expect(report.problem).toBeUndefined();
    expect(read).toBeGreaterThanOrEqual(bytes);
    const grown = (peak(giver) - before) / MB;
    console.log(
      `${LARGE / MB} MB in ${seconds.toFixed(1)} s to a slow agent: the sender's peak grew by ${grown.toFixed(0)} MB, at most ${(mostAhead / MB).toFixed(1)} MB were ahead`,
    );
    expect(grown).toBeLessThan(64);
    expect(mostAhead).toBeLessThan(32 * MB);
    await market.store.delete(KEY.online(PARTNER));
  }, 60_000);

  it("must be one of the microservice's own folder", async () => {
    const opened = await open();
    const report = market.ticket("iota", opened, relay(["give"], { do: "others", path: "/etc/passwd" }));
    expect(await report).toMatchObject({ problem: { code: "JOB-FILE" }, step: "give" });
  });
});

describe("a file that comes to an agent", () => {
  async function put(
    opened: OpenRound,
    step: string,
    headers: Record<string, string>,
    body = "x",
  ): Promise<unknown> {
    const dns = (await market.store.get<{ dns: string }>(KEY.online("kappa")))?.value.dns;
    const answer = await fetch(`http://${dns}${filePath(opened.job, opened.round, step, "iota", "rows")}`, {
      method: "PUT",
      headers: { authorization: `Bearer ${opened.grant}`, "content-type": FILE_TYPE, ...headers },
      body,
    });
    return [answer.status, ((await answer.json()) as { code: string }).code];
  }

  it("is refused where it has no right to come, is not its sender's, or is too large, and leaves nothing", async () => {
    const opened = await open();
    const left = filesOf(passer);
    const forged = "f".repeat(100);
    expect(await put(opened, "give", { authorization: "" })).toEqual([401, "AGT-GRANT-MISSING"]);
    expect(await put({ ...opened, round: 2 }, "give", {})).toEqual([401, "AGT-GRANT-ROUND"]);
    expect(await put(opened, "pass", {})).toEqual([400, "AGT-ANSWER-UNEXPECTED"]);
    expect(await put(opened, "give", {}, forged)).toEqual([401, "AGT-SENDER"]);
    expect(await put(opened, "give", { "content-type": "application/x-protobuf" })).toEqual([
      400,
      "BUS-MALFORMED",
    ]);
    expect(await put(opened, "give", {}, "short")).toEqual([400, "BUS-MALFORMED"]);
    expect(await said(opened, FILE_LIMITS.bytes + 29)).toEqual([413, "AGT-FILE-TOO-LARGE"]);
    expect(filesOf(passer)).toEqual(left);
  });

  /** Only said to be so large: it is refused before it is read. */
  async function said({ job, round, grant }: OpenRound, length: number): Promise<unknown> {
    const { request } = await import("node:http");
    const dns = (await market.store.get<{ dns: string }>(KEY.online("kappa")))?.value.dns;
    return await new Promise((done) => {
      const sending = request(`http://${dns}${filePath(job, round, "give", "iota", "rows")}`, {
        method: "PUT",
        headers: { authorization: `Bearer ${grant}`, "content-type": FILE_TYPE, "content-length": length },
      });
      sending.on("error", () => {});
      sending.on("response", (reply) => {
        let text = "";
        reply.on("data", (chunk: Buffer) => (text += chunk.toString()));
        reply.on("end", () => {
          done([reply.statusCode, (JSON.parse(text) as { code: string }).code]);
          sending.destroy();
        });
      });
      sending.flushHeaders();
    });
  }
});
