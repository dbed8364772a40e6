import type { Command } from "commander";
import { prepareEngine } from "../../infra/toolchain/engine.js";
import { type Progress, terminalProgress } from "../../infra/toolchain/progress.js";
import { repairStack } from "../../infra/toolchain/repair.js";
import { ensure, type Tool } from "../../infra/toolchain/tools.js";
import { watch } from "../../infra/toolchain/watch.js";
import { preflightOrThrow } from "../preflight.js";
import { place } from "./command-place.js";
import type { CommandContext } from "./context.js";
import { afterUp } from "./proof.js";
import { isLocal, readMarketplace } from "./stack-config.js";

/** Adds `dynamos-fabric up`. */
export function registerUp(program: Command, context: () => CommandContext): void {
  program
    .command("up")
    .description("bring the stack up to what its configuration says; further options go to `pulumi up`")
    .allowUnknownOption()
    .argument("[engine options...]")
    .action(async (args: string[]) => {
      process.exitCode = await up(context(), args);
    });
}

/** Brings the stack up. Answers the engine's exit code. */
export async function up(
  context: CommandContext,
  args: readonly string[],
  options: { readonly proof?: boolean } = {},
): Promise<number> {
  const progress = terminalProgress();
  await checkFirst(context);
  progress.line(toolsLine(await installTools(context, progress)));
  const engine = await prepareEngine({ ...place(context), progress });
  await repairStack(engine, progress);
  const code = await watch(engine, ["up", "--yes", "--skip-preview", ...args]);
  const { config } = readMarketplace(context.project, context.stack);
  if (code === 0 && config !== undefined && (options.proof ?? true)) await afterUp(context);
  return code;
}

/** A mistake in the configuration is told in a second, before anything is fetched or started. The program checks again. */
export async function checkFirst({ project, stack }: CommandContext): Promise<void> {
  const { file, config } = readMarketplace(project, stack);
  if (config !== undefined) await preflightOrThrow({ config, stack, folder: project, file });
}

/** The programs this stack needs: broker and store only where they run on this machine. */
async function installTools(
  { project, stack }: CommandContext,
  progress: Progress,
): Promise<readonly Tool[]> {
  const { config } = readMarketplace(project, stack);
  const tools = await ensure(
    isLocal(config) ? ["pulumi", "rabbitmq-server", "epmd", "etcd"] : ["pulumi"],
    progress,
  );
  return Object.values(tools);
}

/** `tools: engine in the cache, …; broker and store on PATH`: which road each took, in one line. */
export function toolsLine(tools: readonly Tool[]): string {
  const labels: Record<Tool["name"], string> = {
    pulumi: "engine",
    "rabbitmq-server": "broker",
    epmd: "",
    etcd: "store",
    ssh: "",
    sshd: "OpenSSH",
    buildah: "",
  };
  const roads = new Map<string, string[]>();
  for (const { name, road } of tools) {
    if (labels[name] !== "") roads.set(road, [...(roads.get(road) ?? []), labels[name]]);
  }
  return `tools: ${[...roads].map(([road, names]) => `${names.join(" and ")} ${road}`).join("; ")}`;
}
