#!/usr/bin/env node
import "./node-version.js";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command, CommanderError } from "commander";
import { packageFolder, projectFolder } from "../../infra/local/package-folder.js";
import { commandContext } from "./command-context.js";
import type { CommandContext } from "./context.js";
import { exitCodes } from "./exit-codes.js";
import { errorText } from "./report.js";

/** Adds a subcommand; `context` is called when it runs. */
export type Register = (program: Command, context: () => CommandContext) => void;

/** The subcommands, in the order of `--help`. Only the one that is called is loaded: some bring half a second of modules. */
const commands: Readonly<Record<string, () => Promise<Register>>> = {
  new: async () => (await import("./new.js")).registerNew,
  up: async () => (await import("./up.js")).registerUp,
  preview: async () => (await import("./preview.js")).registerPreview,
  down: async () => (await import("./down.js")).registerDown,
  status: async () => (await import("./status.js")).registerStatus,
  logs: async () => (await import("./logs.js")).registerLogs,
  token: async () => (await import("./token.js")).registerToken,
  experiment: async () => (await import("./experiment.js")).registerExperiment,
  request: async () => (await import("./request.js")).registerRequest,
  types: async () => (await import("./types.js")).registerTypes,
  renew: async () => (await import("./renew.js")).registerRenew,
  slices: async () => (await import("./slices.js")).registerSlices,
  sites: async () => (await import("./sites.js")).registerSites,
  images: async () => (await import("./images.js")).registerImages,
  render: async () => (await import("./render.js")).registerRender,
  schema: async () => (await import("./schema.js")).registerSchema,
  agreements: async () => (await import("./agreements.js")).registerAgreements,
  audit: async () => (await import("./audit.js")).registerAudit,
  clean: async () => (await import("./clean.js")).registerClean,
};

async function main(args: readonly string[]): Promise<void> {
  const { version }: { version: string } = JSON.parse(
    readFileSync(join(packageFolder(), "package.json"), "utf8"),
  );
  const program = new Command("dynamos-fabric")
    .description("a data marketplace with enforced policies: on this machine, on FABRIC, or on a cluster")
    .version(version)
    .option("-s, --stack <name>", "which stack", "dev")
    .option("-C, --cwd <folder>", "folder of the project", process.cwd())
    .showSuggestionAfterError()
    .exitOverride();
  const global = (): { stack: string; cwd: string } => program.opts();
  const called = Object.keys(commands).filter((name) => args.includes(name));
  for (const [name, load] of Object.entries(commands)) {
    // A name may also be an argument of another command: then both are loaded, and commander chooses.
    if (called.length === 0 || called.includes(name)) (await load())(program, () => commandContext(global()));
  }
  // A subcommand must not leave by itself either, or its usage errors had the exit code 1.
  for (const command of program.commands) command.exitOverride().showSuggestionAfterError();
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    process.exitCode = fail(error, global());
  }
}

function fail(error: unknown, { stack, cwd }: { stack: string; cwd: string }): number {
  // Commander has told the user already, or has printed the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  const logs = join(projectFolder(cwd) ?? cwd, ".state", stack, "logs");
  process.stderr.write(`${errorText(error, logs)}\n`);
  return exitCodes.failed;
}

void main(process.argv.slice(2));
