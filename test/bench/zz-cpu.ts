import { resolve } from "node:path";
import { readExperiment } from "/work/main/dynamos/experiment.js";
import { follow, submit } from "/work/main/dynamos/runs/request.js";
import { parseSettings } from "/work/main/dynamos/runs/settings.js";
import { startMarket, startSkeleton } from "/work/main/test/bench/market.js";
import { putDocuments } from "/work/main/test/bench/documents.js";
import { bareEcho, bareTransaction } from "/work/main/test/bench/floors.js";
import { block } from "/work/main/test/bench/measure.js";
const med = (xs: number[]) => xs.sort((a, b) => a - b)[Math.floor(xs.length / 2)]?.toFixed(2);
import { readdirSync, readFileSync } from "node:fs";
function cpu(port: number): Map<string, number> {
  const out = new Map<string, number>();
  for (const p of readdirSync("/proc")) {
    if (!/^\d+$/.test(p)) continue;
    try {
      const env = readFileSync(`/proc/${p}/environ`, "utf8").split("\0");
      let name = env.includes(`AMQP_PORT=${port}`) ? env.find((e) => e.startsWith("SERVICE_NAME="))?.slice(13) : undefined;
      const conf = env.find((e) => e.startsWith("RABBITMQ_CONFIG_FILE="))?.slice(21);
      if (name === undefined && conf !== undefined && readFileSync(`/proc/${p}/cmdline`, "utf8").includes("beam.smp") && readFileSync(conf, "utf8").includes(`:${port}`)) name = "broker";
      if (name === undefined) continue;
      const s = readFileSync(`/proc/${p}/stat`, "utf8").split(")").pop()!.trim().split(" ");
      name = name.replace(/client(one|two|three)$/, "client").replace(/^vflClient.*/, "vflClient");
      out.set(name, (out.get(name) ?? 0) + Number(s[11]) + Number(s[12]));
    } catch {}
  }
  return out;
}
const ROUNDS = 300;
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
      const accepted: any = await submit(market.gateway, { type: settings.request, user: settings.user, dataProviders: settings.dataProviders, data: { ...settings.data, rounds: ROUNDS, seed: 1 } });
      const reports: any[] = [];
      let before = new Map<string, number>(); let after = before;
      await follow(market.gateway, accepted.jobId, (r) => { reports.push(r); if (reports.length === 10) before = cpu(market.brokerPort); if (reports.length === ROUNDS - 1) after = cpu(market.brokerPort); });
      const rs = reports.slice(10).map((r) => r.durations);
      const out: any = { total: med(rs.map((r) => r.total)), validate: med(rs.map((r) => r.validate)), open: med(rs.map((r) => r.open)), report: med(rs.map((r) => r.report)) };
      for (const s of Object.keys(rs[0].steps)) out[s] = `${med(rs.map((r) => r.steps[s].total))} (compute ${med(rs.map((r) => r.steps[s].compute))}, start0 ${reports[0].durations.steps[s].start?.toFixed(0)})`;
      console.log("cpu ms a round:", [...after].map(([n, v]) => `${n} ${(10 * (v - (before.get(n) ?? 0)) / (ROUNDS - 11)).toFixed(2)}`).join("  "), " sum ", (10 * [...after].reduce((a, [n, v]) => a + v - (before.get(n) ?? 0), 0) / (ROUNDS - 11)).toFixed(2));
      const e = (await block(echo.call, 1, 300)).p50; const t = (await block(tx.call, 1, 200)).p50;
      console.log(JSON.stringify(out), "echo", e.toFixed(2), "tx", t.toFixed(2));
    }
    await echo.close(); await tx.close(); await sk.close();
  } finally { await market.close(); }
}
main().catch((e) => { console.error(e); process.exitCode = 1; });
