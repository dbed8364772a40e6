import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { InfraError } from "../../infra/problem.js";
import type { RequestType } from "../../policy/contract/documents.js";
import type { JobEnd, RoundReport } from "../../policy/contract/job.js";
import { type Acceptance, GatewayClient } from "../client/gateway-client.js";
import { type Experiment, parseText, readExperiment } from "../experiment.js";
import { reasonLine } from "../runs/result.js";
import { accessTo } from "../runs/stack-access.js";
import { requesterToken } from "../runs/user-token.js";
import { fromHere } from "../stack-folder.js";
import { columns } from "./columns.js";
import { place } from "./command-place.js";
import type { CommandContext } from "./context.js";
import { exitCodes } from "./exit-codes.js";
import { watchLeases } from "./lease-watch.js";
import { stackSlices } from "./stack-slices.js";

interface Options {
  readonly data: string;
  readonly providers?: readonly string[];
  readonly user?: string;
  readonly option: Readonly<Record<string, boolean>>;
  readonly json?: boolean;
}

/** `dynamos-fabric request TYPE`: one request to the running marketplace, its progress, and its answer. */
export function registerRequest(program: Command, context: () => CommandContext): void {
  program
    .command("request")
    .description(
      "send a request to the running marketplace; Ctrl-C cancels its job, wherever it is worked on",
    )
    .argument("<type>", "request type")
    .option("--data <json or file>", "the request's data: JSON, or a file of JSON or YAML", "{}")
    .option("--providers <parties>", "data providers, with commas (default: experiment.yaml)", list)
    .option("--user <name>", "who asks (default: experiment.yaml)")
    .option("--option <name=true|false>", "an option, e.g. requireAll=false; may be repeated", option, {})
    .option("--json", "print the whole answer as JSON")
    .action(async (type: string, options: Options) => {
      process.exitCode = await request(context(), type, options);
    });
}

async function request(context: CommandContext, type: string, options: Options): Promise<number> {
  const { project, state, spec } = context;
  const { experiment } = readExperiment(resolve(project, spec.experiment), spec.experiment);
  const settings = experiment.settings as {
    readonly user?: { readonly userName?: string };
    readonly dataProviders?: readonly string[];
  };
  const user = options.user ?? settings.user?.userName ?? missing("--user");
  const dataProviders = options.providers ?? settings.dataProviders ?? missing("--providers");
  const data = readData(options.data);
  const client = new GatewayClient({
    url: accessTo(state).gateway,
    token: await requesterToken(state, user),
  });
  const accepted = await client.submit({ type, dataProviders, data, options: options.option });
  if (accepted.status === "refused") return refused(accepted, options);

  const job = client.job(accepted.jobId);
  const rounds = roundsOf(experiment, type, data);
  const lease = watchLeases(stackSlices(place(context)), rounds);
  const tell = (line: string): void => void process.stderr.write(`${line}\n`);
  tell(`job ${job.id}`);
  for (const line of accepted.explanation) tell(`  ${line}`);
  const cancel = (): void => {
    tell("cancelling the job; once more to leave it to itself");
    job.cancel().catch((error: unknown) => tell(error instanceof Error ? error.message : String(error)));
  };
  // A second one finds no listener any more, and ends this process as usual.
  process.once("SIGINT", cancel);
  process.once("SIGTERM", cancel);
  try {
    const end = await job.follow((report) => {
      lease(report.round);
      if (rounds > 1) tell(roundLine(report, rounds));
    });
    return answer(end, options);
  } finally {
    process.off("SIGINT", cancel);
    process.off("SIGTERM", cancel);
  }
}

function roundLine({ round, status, durations }: RoundReport, rounds: number): string {
  return `round ${round}/${rounds}  ${status}  ${(durations.total / 1_000).toFixed(2)} s`;
}

function answer(end: JobEnd, { json }: Options): number {
  if (json) process.stdout.write(`${JSON.stringify(end)}\n`);
  else if (end.status === "completed") process.stdout.write(resultText(end.result));
  if (end.status === "completed") return exitCodes.ok;
  if (end.status === "refused") {
    if (!json) process.stderr.write(`refused: ${end.reason ?? "no reason given"}\n`);
    return exitCodes.refused;
  }
  if (json) return exitCodes.failed;
  throw new InfraError(end.problem ?? { code: "ORC-UNEXPECTED", message: end.reason ?? "the job failed" });
}

function refused(accepted: Extract<Acceptance, { status: "refused" }>, { json }: Options): number {
  if (json) process.stdout.write(`${JSON.stringify(accepted)}\n`);
  else process.stderr.write(`refused: ${reasonLine(accepted) ?? "no reason given"}\n`);
  return exitCodes.refused;
}

/** A result as people read it: a table where it is one, each data provider's where each has one, else JSON. Pure. */
export function resultText(result: unknown): string {
  const own = tableText(result);
  if (own !== undefined) return own;
  const parts = Object.entries((result ?? {}) as Record<string, unknown>);
  const tables = parts.map(([party, value]) => [party, tableText(value)] as const);
  if (tables.length > 0 && tables.every(([, text]) => text !== undefined))
    return tables.map(([party, text]) => `${party}\n${text}`).join("\n");
  return `${JSON.stringify(result ?? null, null, 1)}\n`;
}

function tableText(value: unknown): string | undefined {
  const { columns: names, rows } = (value ?? {}) as { columns?: unknown; rows?: unknown };
  if (!Array.isArray(names) || !Array.isArray(rows)) return undefined;
  const cell = (one: unknown): string => (one === null ? "" : String(one));
  return columns([names.map(cell), ...rows.map((row: unknown) => (Array.isArray(row) ? row.map(cell) : []))]);
}

/** How many rounds are asked for, as far as the experiment's own documents say. */
function roundsOf({ documents }: Experiment, type: string, data: Readonly<Record<string, unknown>>): number {
  const document = documents.find(({ kind, name }) => kind === "requestType" && name === type)?.value;
  const field = (document as RequestType | undefined)?.workflow?.rounds;
  const rounds = field === undefined ? undefined : data[field];
  return typeof rounds === "number" && rounds >= 1 ? rounds : 1;
}

function readData(given: string): Readonly<Record<string, unknown>> {
  const inline = given.trimStart().startsWith("{");
  let text = given;
  try {
    if (!inline) text = readFileSync(fromHere(given), "utf8");
  } catch (error) {
    throw wrongData(`${given} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const parsed = parseText(text, inline || given.endsWith(".json"));
  if ("message" in parsed) throw wrongData(parsed.message);
  return parsed.value;
}

const wrongData = (message: string): InfraError =>
  new InfraError({
    code: "EXP-DATA",
    path: "--data",
    message,
    remedy: 'give JSON, e.g. {"rounds": 3}, or a file',
  });

function missing(name: string): never {
  throw new InfraError({
    code: "EXP-DATA",
    path: name,
    message: "is not given, and the experiment has no experiment.yaml that says it",
    remedy: `give ${name}`,
  });
}

const list = (text: string): string[] => text.split(",").filter((part) => part !== "");

function option(text: string, all: Readonly<Record<string, boolean>>): Readonly<Record<string, boolean>> {
  const [, name, value] = /^([^=]+)=(true|false)$/.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError("name=true or name=false");
  return { ...all, [name]: value === "true" };
}
