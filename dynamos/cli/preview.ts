import type { Command } from "commander";
import { prepareEngine } from "../../infra/toolchain/engine.js";
import { terminalProgress } from "../../infra/toolchain/progress.js";
import { watch } from "../../infra/toolchain/watch.js";
import { place } from "./command-place.js";
import type { CommandContext } from "./context.js";
import { checkFirst } from "./up.js";

/** Adds `dynamos-fabric preview`. */
export function registerPreview(program: Command, context: () => CommandContext): void {
  program
    .command("preview")
    .description(
      "show what `up` would change; further options, such as --diff and --json, go to `pulumi preview`",
    )
    .allowUnknownOption()
    .argument("[engine options...]")
    .action(async (args: string[]) => {
      process.exitCode = await preview(context(), args);
    });
}

/** Shows what `up` would do. Answers the engine's exit code. Words of our own go to stderr: stdout may be JSON. */
async function preview(context: CommandContext, args: readonly string[]): Promise<number> {
  await checkFirst(context);
  const engine = await prepareEngine({ ...place(context), progress: terminalProgress() });
  return await watch(engine, ["preview", ...args]);
}
