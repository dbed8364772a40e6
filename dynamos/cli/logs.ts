import { closeSync, existsSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { InfraError } from "../../infra/problem.js";
import { closest } from "../../policy/contract/suggest.js";
import type { CommandContext } from "./context.js";

interface LogsOptions {
  readonly follow?: boolean;
  readonly lines: string;
}

/** How often a followed log is looked at. */
const pollMs = 200;

/** `dynamos-fabric logs [service] [-f] [-n lines]`: one service's log, or the last lines of all. */
export function registerLogs(program: Command, context: () => CommandContext): void {
  program
    .command("logs")
    .description("show the log of a service, or the last lines of all")
    .argument("[service]", "e.g. orchestrator or agent-clientone (all: dynamos-fabric status)")
    .option("-f, --follow", "go on with what comes")
    .option("-n, --lines <number>", "how many of the last lines", "40")
    .action(async (service: string | undefined, options: LogsOptions) => {
      const folder = join(context().state, "logs");
      const services = service === undefined ? logsIn(folder) : [existing(folder, service)];
      const count = lineCount(options.lines);
      const ends = services.map((name) => ({
        name,
        file: join(folder, `${name}.log`),
        end: showTail(join(folder, `${name}.log`), count, prefixOf(name, services)),
      }));
      if (options.follow === true)
        await follow(ends.map((e) => ({ ...e, prefix: prefixOf(e.name, services) })));
    });
}

const prefixOf = (name: string, all: readonly string[]): string => (all.length > 1 ? `${name}: ` : "");

function lineCount(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InfraError({
    code: "SPEC-VALUE",
    path: "--lines",
    message: `"${text}" is no number of lines`,
    remedy: "give a whole number",
  });
}

/** Services that have a log, by name. */
export function logsIn(folder: string): string[] {
  if (!existsSync(folder))
    throw new InfraError({
      code: "LOC-NO-LOGS",
      message: `no logs in ${folder}`,
      remedy: "bring the stack up first: dynamos-fabric up",
    });
  return readdirSync(folder)
    .filter((name) => name.endsWith(".log"))
    .map((name) => name.slice(0, -".log".length))
    .sort();
}

function existing(folder: string, service: string): string {
  const all = logsIn(folder);
  if (all.includes(service)) return service;
  // People name the party; its process is agent-<party>.
  const agent = `agent-${service.toLowerCase()}`;
  if (all.includes(agent)) return agent;
  const near = closest(service, all);
  throw new InfraError({
    code: "LOC-SERVICE-UNKNOWN",
    path: service,
    message: `no log of a service ${service}${near === undefined ? "" : `; did you mean ${near}?`}`,
    remedy: `there are ${all.join(", ")}`,
  });
}

/** Prints the last lines; answers where the file ended. */
function showTail(file: string, count: number, prefix: string): number {
  const text = readFileSync(file, "utf8");
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const line of count === 0 ? [] : lines.slice(-count)) process.stdout.write(`${prefix}${line}\n`);
  return Buffer.byteLength(text);
}

/** Until it is interrupted. A log that became shorter is read from its start again. */
async function follow(
  logs: { readonly file: string; readonly prefix: string; end: number }[],
): Promise<void> {
  for (;;) {
    await sleep(pollMs);
    for (const log of logs) {
      const { text, end } = readFrom(log.file, log.end);
      log.end = end;
      for (const line of text.split("\n").filter((l) => l !== ""))
        process.stdout.write(`${log.prefix}${line}\n`);
    }
  }
}

/** Whole lines only: a line that is being written waits for its end. */
function readFrom(file: string, from: number): { readonly text: string; readonly end: number } {
  const log = openSync(file, "r");
  try {
    const { size } = fstatSync(log);
    const start = size < from ? 0 : from;
    const buffer = Buffer.alloc(size - start);
    readSync(log, buffer, 0, buffer.length, start);
    const whole = buffer.lastIndexOf(0x0a) + 1;
    return { text: buffer.subarray(0, whole).toString("utf8"), end: start + whole };
  } finally {
    closeSync(log);
  }
}
