// npm run bench -- [--json FILE] [--short] [--only approval,round,preview,decision,enforcer,memory,opening,propagation,topology,fabric-preview,token,hand-over,hosts,kubernetes]
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { Agent, fetch, setGlobalDispatcher } from "undici";
import { GatewayClient } from "../../dynamos/client/gateway-client.js";
import { readExperiment } from "../../dynamos/experiment.js";
import { parseSettings } from "../../dynamos/runs/settings.js";
import type { RoundReport } from "../../policy/contract/job.js";
import { decisionLines } from "./decision.js";
import { putDocuments } from "./documents.js";
import { enforcerLines, enforcerMemoryLine } from "./enforcer.js";
import { fabricPreviewLine } from "./fabric-preview.js";
import { bareEcho, bareTransaction } from "./floors.js";
import { handOverLines } from "./hand-over.js";
import { hostsLines } from "./hosts.js";
import { kubernetesPlanLine } from "./kubernetes-plan.js";
import { type Market, startMarket, startSkeleton } from "./market.js";
import { alternate, block, type Line, median, rateLine, table, timeLine } from "./measure.js";
import { openingLines } from "./opening.js";
import { previewLine } from "./preview.js";
import { propagationLines } from "./propagation.js";
import { tokenLines } from "./token.js";
import { topologyLines } from "./topology.js";

const ALL =
  "approval,round,preview,decision,enforcer,opening,propagation,topology,fabric-preview,token,hand-over,hosts,kubernetes";
const { values } = parseArgs({
  options: {
    json: { type: "string" },
    short: { type: "boolean", default: false },
    only: { type: "string", default: ALL },
  },
});
const wanted = new Set(values.only.split(","));
const scale = values.short ? 0.2 : 1;
const folder = resolve("examples/titanic");

async function main(): Promise<void> {
  setGlobalDispatcher(new Agent({ connections: 128, pipelining: 1 }));
  const lines: Line[] = [];
  if (wanted.has("decision")) lines.push(...(await decisionLines(values.short)));
  if (wanted.has("token")) lines.push(...(await tokenLines(scale)));
  if (wanted.has("approval") || wanted.has("round")) lines.push(...(await marketLines()));
  if (wanted.has("hand-over")) lines.push(...(await handOverLines(scale)));
  if (wanted.has("enforcer")) lines.push(...(await enforcerLines(scale)));
  if (wanted.has("opening")) lines.push(...(await openingLines(scale)));
  if (wanted.has("memory")) lines.push(await enforcerMemoryLine(values.short ? 1 : 10));
  if (wanted.has("propagation")) lines.push(...(await propagationLines(scale)));
  if (wanted.has("preview")) lines.push(await previewLine(values.short ? 2 : 5));
  if (wanted.has("topology")) lines.push(...topologyLines(values.short ? 3 : 7));
  if (wanted.has("fabric-preview")) lines.push(await fabricPreviewLine(values.short ? 2 : 5));
  if (wanted.has("hosts")) lines.push(...(await hostsLines()));
  if (wanted.has("kubernetes")) lines.push(await kubernetesPlanLine(values.short ? 5 : 15));
  console.log(table(lines));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(lines, null, 1)}\n`);
}

async function marketLines(): Promise<Line[]> {
  const { experiment } = readExperiment(folder);
  const settings = parseSettings(experiment.settings, "experiment.yaml");
  const parties = experiment.documents.flatMap((d) => (d.kind === "agreement" ? [d.name] : []));
  console.log(`starting broker, store, three services and ${parties.length} agents`);
  const market = await startMarket(folder, parties);
  try {
    await putDocuments(market, experiment.documents);
    const lines: Line[] = [];
    if (wanted.has("approval")) lines.push(...(await approvalLines(market, settings)));
    if (wanted.has("round")) lines.push(await roundLine(market, settings));
    return lines;
  } finally {
    await market.close();
  }
}

type Settings = ReturnType<typeof parseSettings>;

async function approvalLines(market: Market, settings: Settings): Promise<Line[]> {
  const skeleton = await startSkeleton(market);
  const body = JSON.stringify({
    type: settings.request,
    user: settings.user,
    dataProviders: settings.dataProviders,
  });
  const authorization = `Bearer ${await market.token(settings.user.userName)}`;
  const post = (url: string) => async (): Promise<void> => {
    const response = await fetch(`${url}/api/v1/requestApproval`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization },
      body,
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`HTTP ${response.status}: ${text}`);
  };
  try {
    const one = await alternate(post(market.gateway), post(skeleton.url), {
      callers: 1,
      count: Math.ceil(400 * scale),
      blocks: 5,
    });
    const lines = [timeLine("approval, 1 caller, p50", one.product.p50, one.floor.p50, 1.6)];
    for (const callers of [16, 64]) {
      const many = await alternate(post(market.gateway), post(skeleton.url), {
        callers,
        count: Math.ceil(3000 * scale),
        blocks: 5,
      });
      lines.push(rateLine(`approval, ${callers} callers, rate`, many.product.rate, many.floor.rate, 2.0));
    }
    return lines;
  } finally {
    await skeleton.close();
  }
}

/** A training round against its own computation, four echoes and one transaction. The first ten rounds of each job are its warm-up. */
async function roundLine(market: Market, settings: Settings): Promise<Line> {
  const skeleton = await startSkeleton(market);
  const echo = await bareEcho(market.brokerPort);
  const transaction = await bareTransaction(market.store);
  const rounds: number[] = [];
  const computing: number[] = [];
  const echoes: number[] = [];
  const opens: number[] = [];
  try {
    for (let i = 0; i < 5; i++) {
      const reports = (await train(market, settings, 10 + Math.ceil(60 * scale))).slice(10);
      rounds.push(...reports.map((r) => r.durations.total));
      computing.push(
        ...reports.map((r) => Object.values(r.durations.steps).reduce((sum, s) => sum + s.compute, 0)),
      );
      echoes.push((await block(echo.call, 1, Math.ceil(400 * scale))).p50);
      opens.push((await block(transaction.call, 1, Math.ceil(200 * scale))).p50);
    }
    const floor = median(computing) + 4 * median(echoes) + median(opens);
    const parts = `computation ${median(computing).toFixed(2)} + 4 x echo ${median(echoes).toFixed(2)} + transaction ${median(opens).toFixed(2)} ms`;
    console.log(`floor of a training round: ${parts}`);
    return timeLine("training round, p50", median(rounds), floor, 1.8);
  } finally {
    await echo.close();
    await transaction.close();
    await skeleton.close();
  }
}

async function train(market: Market, settings: Settings, rounds: number): Promise<RoundReport[]> {
  const token = await market.token(settings.user.userName);
  const client = new GatewayClient({ url: market.gateway, token });
  const accepted = await client.submit({
    type: settings.request,
    user: settings.user,
    dataProviders: settings.dataProviders,
    data: { ...settings.data, rounds, seed: 1 },
  });
  if (accepted.status === "refused") throw new Error(`refused: ${JSON.stringify(accepted.reasons)}`);
  const reports: RoundReport[] = [];
  const end = await client.job(accepted.jobId).follow((report) => void reports.push(report));
  if (end.status !== "completed") throw new Error(`the training ${end.status}: ${JSON.stringify(end)}`);
  return reports;
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
