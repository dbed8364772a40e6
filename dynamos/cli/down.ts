import { existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { endUnrecordedSlices } from "../../infra/fabric/unrecorded-slices.js";
import { shutdownStack } from "../../infra/local/stack.js";
import { InfraError } from "../../infra/problem.js";
import { prepareEngine, stackOnDisk } from "../../infra/toolchain/engine.js";
import { type Progress, terminalProgress } from "../../infra/toolchain/progress.js";
import { repairStack } from "../../infra/toolchain/repair.js";
import { locate } from "../../infra/toolchain/tools.js";
import { watch } from "../../infra/toolchain/watch.js";
import { place } from "./command-place.js";
import type { CommandContext } from "./context.js";
import { isLocal, readMarketplace } from "./stack-config.js";

/** Adds `dynamos-fabric down`. */
export function registerDown(program: Command, context: () => CommandContext): void {
  program
    .command("down")
    .description(
      "take the stack down and remove its state, logs apart; further options go to `pulumi destroy`",
    )
    .option(
      "--force",
      "end what runs on this machine and forget the stack even if the engine cannot destroy it",
    )
    .allowUnknownOption()
    .argument("[engine options...]")
    .action(async (args: string[], options: { force?: boolean }) => {
      process.exitCode = await down(context(), args, options.force === true);
    });
}

/** Takes the stack down. A second time it finds nothing to do. */
async function down(context: CommandContext, args: readonly string[], force: boolean): Promise<number> {
  const progress = terminalProgress();
  const { stack, state } = context;
  if (!existsSync(state) || readdirSync(state).every((name) => name === "logs")) {
    progress.line(`stack ${stack} is down`);
    return 0;
  }
  const local = isLocal(readMarketplace(context.project, stack).config);
  const code = await destroy(context, args, { progress, local });
  if (code !== 0 && (code === interrupted || !(force || local))) {
    throw new InfraError({
      code: code === interrupted ? "TOOL-INTERRUPTED" : "TOOL-DESTROY-FAILED",
      message: `stack ${stack} is not down: the engine ended with ${code}`,
      remedy: "run it again (with `-- --force`: forget it; a slice on FABRIC then stays)",
    });
  }
  if (code !== 0) progress.line("the engine could not destroy everything; ending what runs on this machine");
  if (!local) await endLeftSlices(context, progress, force);
  await shutdownStack(state);
  forget(state);
  const logs = join(state, "logs");
  progress.line(`stack ${stack} is down${existsSync(logs) ? `; its logs are in ${logs}` : ""}`);
  return 0;
}

/** Ends the slices of this stack that the engine never heard of, or has forgotten: their marks are in the state folder. */
async function endLeftSlices(
  { state, project }: CommandContext,
  progress: Progress,
  force: boolean,
): Promise<void> {
  try {
    await endUnrecordedSlices({ state, project, progress: (line) => progress.line(line) });
  } catch (error) {
    if (!force) throw error;
    const why = error instanceof Error ? error.message : String(error);
    progress.line(`whether a slice of this stack is left on FABRIC is not known (${why})`);
  }
}

/** Exit code of a command that was ended by Ctrl-C, as a shell has it. The engine itself ends with 255. */
const interrupted = 130;

/** Has the engine destroy what it knows of. Answers its exit code; 0 when it knows of nothing. */
async function destroy(
  context: CommandContext,
  args: readonly string[],
  { progress, local }: { readonly progress: Progress; readonly local: boolean },
): Promise<number> {
  const resources = stackOnDisk(place(context))?.resourceCount();
  if (resources === 0) return 0;
  if (resources === undefined) {
    progress.line(
      local
        ? "the engine's state is lost; ending what runs"
        : "the engine's state is lost; a slice on FABRIC is found by its mark",
    );
    return 0;
  }
  // All of a stack on this machine is in its state folder: not worth five minutes of installing an engine to destroy it.
  if (local && locate("pulumi") === undefined) return 0;
  let stopped = false;
  const onSignal = (): void => {
    stopped = true;
  };
  process.on("SIGINT", onSignal);
  try {
    const engine = await prepareEngine({ ...place(context), progress });
    await repairStack(engine, progress);
    // `--remove` would also delete the user's own Pulumi.<stack>.yaml; the state folder goes in any case.
    const wanted = args.filter((arg) => arg !== "--remove");
    const code = await watch(engine, ["destroy", "--yes", "--skip-preview", ...wanted]);
    return stopped && code !== 0 ? interrupted : code;
  } finally {
    process.removeListener("SIGINT", onSignal);
  }
}

/** Removes everything in the state folder but the logs. */
function forget(state: string): void {
  for (const name of readdirSync(state)) {
    if (name !== "logs") rmSync(join(state, name), { recursive: true, force: true });
  }
  if (readdirSync(state).length === 0) rmdirSync(state);
}
