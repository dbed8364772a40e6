import { existsSync, readFileSync } from "node:fs";
import type { Command } from "commander";
import { statusOf } from "../../infra/local/stack.js";
import { StateFolder } from "../../infra/local/state-folder.js";
import { InfraError } from "../../infra/problem.js";
import { type AuditRecord, parseSegmentFile } from "../../policy/contract/audit.js";
import { type Verified, verifyAudit, type Witness } from "../../policy/contract/audit-verify.js";
import { ENFORCER, OPERATOR_TOKEN, ORCHESTRATOR } from "../services.js";
import { auditFolder, follow, recordsOf, segmentFiles } from "./audit-files.js";
import { CSV_HEAD, csvLine, humanLine, type Selection, selected } from "./audit-select.js";
import type { CommandContext } from "./context.js";
import { exitCodes } from "./exit-codes.js";

interface VerifyOptions {
  readonly offline?: boolean;
  readonly json?: boolean;
}

interface ExportOptions extends Selection {
  readonly format: string;
}

interface TailOptions extends Selection {
  readonly follow?: boolean;
  readonly lines: string;
  readonly json?: boolean;
}

const callSeconds = 10;

/** `dynamos-fabric audit verify | export | tail`: what the policy enforcer wrote down. */
export function registerAudit(program: Command, context: () => CommandContext): void {
  const audit = program.command("audit").description("what the policy enforcer wrote down of its decisions");
  audit
    .command("verify")
    .description("check that no record was changed, removed, put elsewhere or added")
    .option("--offline", "without the store's checkpoints: the files alone")
    .option("--json", "as JSON")
    .action(async (options: VerifyOptions) => {
      const { state } = context();
      // The checkpoints first: what they vouch for was in the files before.
      const witness = options.offline === true ? undefined : await askWitness(state);
      const verified = verifyAudit(segmentFiles(auditFolder(state)), witness);
      if (options.json === true) process.stdout.write(`${JSON.stringify(verified, null, 1)}\n`);
      else process.stdout.write(report(verified, witness !== undefined));
      if (verified.problems.length === 0) return;
      if (options.json !== true)
        throw new InfraError(verified.problems.map(({ chain, seq, ...problem }) => problem));
      process.exitCode = exitCodes.failed;
    });
  selecting(audit.command("export"))
    .description("write records to standard output")
    .option("--format <format>", "jsonl or csv", "jsonl")
    .action((options: ExportOptions) => {
      const wanted = selected(options);
      const csv = formatOf(options.format) === "csv";
      if (csv) process.stdout.write(CSV_HEAD);
      for (const { name, read } of segmentFiles(auditFolder(context().state))) {
        const chain = parseSegmentFile(name)?.chain ?? "";
        const records = recordsOf(read()).filter(wanted);
        const lines = records.map((r) => (csv ? csvLine(chain, r) : `${JSON.stringify({ chain, ...r })}\n`));
        process.stdout.write(lines.join(""));
      }
    });
  selecting(audit.command("tail"))
    .description("show the last records")
    .option("-f, --follow", "go on with what comes")
    .option("-n, --lines <number>", "how many of the last records", "20")
    .option("--json", "each as JSON")
    .action(async (options: TailOptions) => {
      const wanted = selected(options);
      const folder = auditFolder(context().state);
      const show = (record: AuditRecord): void => {
        if (wanted(record))
          process.stdout.write(`${options.json === true ? JSON.stringify(record) : humanLine(record)}\n`);
      };
      const { records, ends } = lastRecords(folder, wanted, lineCount(options.lines));
      for (const record of records) show(record);
      if (options.follow === true) await follow(folder, ends, show);
    });
  // Usage errors of a subcommand's subcommand end with the exit code of usage too.
  for (const command of audit.commands) command.exitOverride().showSuggestionAfterError();
}

function selecting(command: Command): Command {
  return command
    .option("--job <id>", "only of this job")
    .option("--user <name>", "only of this user")
    .option("--party <name>", "only what concerns this party")
    .option("--since <time>", "only from then on, e.g. 2026-11-23T10:00:00Z or 15m");
}

/** The last records that are wanted, from the newest segment backwards, and where each file was read to. */
function lastRecords(
  folder: string,
  wanted: (record: AuditRecord) => boolean,
  count: number,
): { readonly records: readonly AuditRecord[]; readonly ends: Map<string, number> } {
  const records: AuditRecord[] = [];
  const ends = new Map<string, number>();
  for (const { name, read } of [...segmentFiles(folder)].reverse()) {
    const bytes = read();
    ends.set(name, bytes.lastIndexOf(0x0a) + 1);
    if (records.length < count)
      records.unshift(
        ...recordsOf(bytes)
          .filter(wanted)
          .slice(-(count - records.length)),
      );
  }
  return { records, ends };
}

/** The store's checkpoints and keys, by the orchestrator: a command has no way into the store. */
async function askWitness(state: string): Promise<Witness> {
  const orchestrator = statusOf(state).services.find((s) => s.name === ORCHESTRATOR);
  const token = new StateFolder(state).secretFile(OPERATOR_TOKEN);
  const unreachable = (message: string): InfraError =>
    new InfraError({
      code: "ORC-UNREACHABLE",
      message: `the checkpoints could not be asked for: ${message}`,
      remedy: "bring the stack up (dynamos-fabric up), or check the files alone with --offline",
    });
  if (orchestrator === undefined || orchestrator.state !== "ready" || !existsSync(token))
    throw unreachable("the orchestrator is not running");
  let response: Response;
  try {
    response = await fetch(`http://127.0.0.1:${orchestrator.ports.http}/api/v1/audit/checkpoints`, {
      headers: { authorization: `Bearer ${readFileSync(token, "utf8").trim()}` },
      signal: AbortSignal.timeout(callSeconds * 1000),
    });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const { checkpoints, keys } = (await response.json()) as Witness;
    return { checkpoints: checkpoints.filter((c) => c.enforcer === ENFORCER), keys };
  } catch (error) {
    throw unreachable(error instanceof Error ? error.message : String(error));
  }
}

function report({ chains, problems }: Verified, witnessed: boolean): string {
  return chains
    .map(({ chain, segments, records, vouched, unfinished }) => {
      const holds = problems.some((p) => p.chain === chain) ? "hold before the first broken one" : "hold";
      const told = witnessed ? `, signed checkpoints up to ${vouched}` : "; checkpoints were not looked at";
      const rest = unfinished === 0 ? "" : `; an unfinished line of ${unfinished} bytes at the end`;
      return `chain ${chain}: ${records} records in ${segments} segments ${holds}${told}${rest}\n`;
    })
    .join("");
}

function formatOf(text: string): "jsonl" | "csv" {
  if (text === "jsonl" || text === "csv") return text;
  throw new InfraError({
    code: "SPEC-VALUE",
    path: "--format",
    message: `"${text}" is no format`,
    remedy: "use jsonl or csv",
  });
}

function lineCount(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InfraError({
    code: "SPEC-VALUE",
    path: "--lines",
    message: `"${text}" is no number of records`,
    remedy: "give a whole number",
  });
}
