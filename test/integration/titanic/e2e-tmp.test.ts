import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { KEY } from "../../../policy/contract/names.js";
import { Store } from "../../../policy/platform/store.js";
import { startMarket } from "../../bench/market.js";
import { TITANIC, trainAlone } from "../../unit/titanic/training.js";
it("x", async () => {
  const market = await startMarket(TITANIC, ["server", "clientone", "clienttwo", "clientthree"]);
  try {
    const store = await Store.connect({ endpoint: market.store });
    const put = async (dir: string, key: (n: string) => string) => { for (const f of readdirSync(`${TITANIC}/${dir}`).filter((x) => x.endsWith(".json"))) { const d = JSON.parse(readFileSync(`${TITANIC}/${dir}/${f}`, "utf8")); await store.put(key(d.name), d); } };
    await put("agreements", KEY.agreement); await put("archetypes", KEY.archetype); await put("requestTypes", KEY.requestType); await put("microservices", KEY.microservice); await put("datasets", KEY.dataset);
    await new Promise((r) => setTimeout(r, 500));
    for (let k = 0; k < 2; k++) {
    const t = performance.now();
    const rounds = k ? 300 : 20;
    const res = await fetch(`${market.gateway}/api/v1/requestApproval`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ type: "vflTrainRequest", user: { id: "ada", userName: "ada@uva.nl" }, dataProviders: ["clientone", "clienttwo", "clientthree"], data_request: { type: "vflTrainRequest", data: { rounds, seed: 7, learningRate: { client: 0.2, server: 0.2 } }, requestMetadata: {} } }) });
    const text = await res.text(); console.log(res.status, text.slice(0, 600), (performance.now() - t) / rounds);
    if (res.status === 200) {
      const job = (JSON.parse(text) as { jobId: string }).jobId;
      const snap = (await (await fetch(`${market.gateway}/api/v1/jobs/${job}`)).json()) as { reports: { durations: unknown; data: unknown }[] };
      console.log(JSON.stringify(snap.reports.at(-1)), trainAlone({ rounds, seed: 7, client: 0.2, server: 0.2 }).at(-1));
      const ds = snap.reports.map((r) => r.durations as { total: number; validate: number; open: number; steps: Record<string, { total: number; compute: number }> });
      const med = (v: number[]) => v.sort((a, b) => a - b)[Math.floor(v.length / 2)]?.toFixed(1);
      console.log("p50 total", med(ds.map((d) => d.total)), "validate", med(ds.map((d) => d.validate)), "open", med(ds.map((d) => d.open)), ...["embed", "train", "update"].map((s) => `${s} ${med(ds.map((d) => d.steps[s]?.total ?? 0))} (${med(ds.map((d) => d.steps[s]?.compute ?? 0))})`), "min", Math.min(...ds.map((d) => d.total)));
    } }
    await store.close();
  } finally { await market.close(); }
  expect(1).toBe(1);
}, 120_000);
