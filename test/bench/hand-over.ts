// A result of 50 MB between two agents, against a plain HTTP transfer of the same file between the same processes' ends.
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createReadStream, writeFileSync } from "node:fs";
import { join } from "node:path";
import { request } from "undici";
import { HandOvers } from "../../policy/agent/hand-over.js";
import { Senders } from "../../policy/agent/sender.js";
import type { AgentKey } from "../../policy/contract/agent-key.js";
import type { OnlineAgent } from "../../policy/contract/documents.js";
import { KEY } from "../../policy/contract/names.js";
import { agreement, openProbeMarket, relayOf } from "../integration/agent/probe.js";
import { until } from "../support/servers.js";
import { alternate, type Line, rateLine } from "./measure.js";

const MB = 1_000_000;
const BYTES = 50 * MB;

/** Takes what is put and writes it to a file, as the least that a receiver must do. */
const PLAIN = `
const http = require("node:http"), fs = require("node:fs"), { pipeline } = require("node:stream");
http.createServer((from, to) => pipeline(from, fs.createWriteStream(process.argv[1]), () => to.writeHead(204).end()))
  .listen(0, "127.0.0.1", function () { console.log(this.address().port); });`;

export async function handOverLines(scale: number): Promise<Line[]> {
  const market = await openProbeMarket();
  let plain: ChildProcess | undefined;
  try {
    for (const name of ["omega", "kappa"]) await market.store.put(KEY.agreement(name), agreement(name));
    await market.publishKey("omega");
    await market.startAgent("kappa");
    const opened = await market.openRound(
      await market.compose(["kappa"], "relay"),
      1,
      relayOf(["omega"], "kappa"),
    );
    const file = join(market.folder, "result.bin");
    writeFileSync(file, randomBytes(BYTES));

    const online = await market.store.mirror<OnlineAgent>(KEY.onlinePrefix);
    const keys = await market.store.mirror<AgentKey>(KEY.agentKeyPrefix);
    await until("kappa is seen", () => online.get(KEY.online("kappa")) !== undefined);
    const handOvers = new HandOvers("omega", online, new Senders("omega", "the secret of omega", keys));
    const answer = { data: { n: 1 }, parts: {}, files: { rows: { path: file, bytes: BYTES } } };
    const work = { job: opened.job, round: 1, step: "give", grant: opened.grant };
    const product = () => handOvers.give("kappa", work, answer, new AbortController().signal);

    plain = spawn(process.execPath, ["-e", PLAIN, join(market.folder, "plain.bin")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = (await once(plain.stdout ?? process.stdin, "data")) as [Buffer];
    const url = `http://127.0.0.1:${line.toString().trim()}/`;
    const floor = async (): Promise<void> => {
      const { body } = await request(url, {
        method: "PUT",
        body: createReadStream(file, { highWaterMark: 256 * 1024 }),
        headers: { "content-length": String(BYTES) },
      });
      await body.dump();
    };
    const count = Math.max(2, Math.ceil(8 * scale));
    const one = await alternate(product, floor, { callers: 1, count, blocks: 5 });
    await handOvers.close();
    const perSecond = (rate: number): number => (rate * BYTES) / MB;
    return [
      rateLine(
        "50 MB result, agent to agent",
        perSecond(one.product.rate),
        perSecond(one.floor.rate),
        2.0,
        "MB/s",
      ),
    ];
  } finally {
    plain?.kill();
    await market.close();
  }
}
