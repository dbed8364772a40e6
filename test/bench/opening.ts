// The opening of a round, as the enforcer does it, against one bare put of the same record to the same store.
import { randomUUID } from "node:crypto";
import { KEY } from "../../policy/contract/names.js";
import { openRound } from "../../policy/enforcer/rounds.js";
import { Store } from "../../policy/platform/store.js";
import { startStore } from "../support/servers.js";
import { alternate, type Line, timeLine } from "./measure.js";

const PARTIES = ["alpha", "beta", "gamma", "third"];
const PATIENCE_MS = 10_000;

/** One line: a round of three data providers and a compute provider. */
export async function openingLines(scale: number): Promise<Line[]> {
  const server = await startStore();
  const store = await Store.connect({ endpoint: server.endpoint });
  try {
    const agreements: Record<string, number> = {};
    for (const party of PARTIES) agreements[party] = await store.put(KEY.agreement(party), { name: party });
    const open = async (): Promise<void> => {
      const opened = await openRound(store, { job: randomUUID(), round: 1, agreements }, PATIENCE_MS);
      if (!("token" in opened)) throw new Error("not opened");
    };
    const put = async (): Promise<void> => {
      const job = randomUUID();
      await store.put(KEY.round(job, 1), { job, round: 1, agreements, openedAt: new Date().toISOString() });
    };
    const { product, floor } = await alternate(open, put, {
      callers: 1,
      count: Math.ceil(1_000 * scale),
      blocks: 7,
    });
    return [timeLine("opening a round, p50", product.p50, floor.p50, 1.5)];
  } finally {
    await store.close();
    await server.stop();
  }
}
