import { resolve } from "node:path";
import { readExperiment } from "/work/main/dynamos/experiment.js";
import { follow, submit } from "/work/main/dynamos/runs/request.js";
import { parseSettings } from "/work/main/dynamos/runs/settings.js";
import { startMarket, startSkeleton } from "/work/main/test/bench/market.js";
import { putDocuments } from "/work/main/test/bench/documents.js";
import { bareEcho, bareTransaction } from "/work/main/test/bench/floors.js";
import { block } from "/work/main/test/bench/measure.js";
const med = (xs: number[]) => xs.sort((a, b) => a - b)[Math.floor(xs.length / 2)]?.toFixed(2);
async function main() {
  const folder = resolve("examples/titanic");
  const { experiment } = readExperiment(folder);
  const settings = parseSettings(experiment.settings, "experiment.yaml");
  const parties = experiment.documents.flatMap((d) => (d.kind === "agreement" ? [d.name] : []));
  const market = await startMarket(folder, parties);
  try {
    await putDocuments(market, experiment.documents);
    const sk = await startSkeleton(market);
    const echo = await bareEcho(market.brokerPort);
    const tx = await bareTransaction(market.store);
    for (let k = 0; k < 3; k++) {
      const accepted: any = await submit(market.gateway, { type: settings.request, user: settings.user, dataProviders: settings.dataProviders, data: { ...settings.data, rounds: 200, seed: 1 } });
      const reports: any[] = [];
      await follow(market.gateway, accepted.jobId, (r) => reports.push(r));
      const rs = reports.slice(10).map((r) => r.durations);
      const out: any = { total: med(rs.map((r) => r.total)), validate: med(rs.map((r) => r.validate)), open: med(rs.map((r) => r.open)), report: med(rs.map((r) => r.report)) };
      for (const s of Object.keys(rs[0].steps)) out[s] = `${med(rs.map((r) => r.steps[s].total))} (compute ${med(rs.map((r) => r.steps[s].compute))}, start0 ${reports[0].durations.steps[s].start?.toFixed(0)})`;
      const e = (await block(echo.call, 1, 300)).p50; const t = (await block(tx.call, 1, 200)).p50;
      console.log(JSON.stringify(out), "echo", e.toFixed(2), "tx", t.toFixed(2));
    }
    await echo.close(); await tx.close(); await sk.close();
  } finally { await market.close(); }
}
main().catch((e) => { console.error(e); process.exitCode = 1; });
