import { join, resolve } from "node:path";
import type { Command } from "commander";
import { packageFolder, projectFolder } from "../../infra/local/package-folder.js";
import { makeExperiment } from "../new-experiment.js";

/** `dynamos-fabric new`: an experiment of one's own, copied from another, with a stack that runs it. */
export function registerNew(program: Command): void {
  program
    .command("new")
    .description("copy an experiment's folder and make a stack for it, on this machine")
    .argument("<name>", "of the stack and the folder, e.g. bank")
    .option("--like <experiment>", "a folder, or an example of the package: titanic, universities", "titanic")
    .action((name: string, { like }: { readonly like: string }) => {
      const folder = resolve(program.opts<{ cwd: string }>().cwd);
      const found = projectFolder(folder);
      const project = found ?? folder;
      const { files, parties } = makeExperiment({
        name,
        project,
        hasProgram: found !== undefined,
        like,
        examples: join(packageFolder(), "examples"),
      });
      process.stdout.write(
        [
          `made ${files.join(", ")} in ${project}`,
          `parties: ${parties.join(", ")}, each with its agreement in ${name}/agreements/`,
          `next: dynamos-fabric -s ${name} up`,
          "",
        ].join("\n"),
      );
    });
}
