import { projectFolder } from "../../infra/local/package-folder.js";
import { InfraError } from "../../infra/problem.js";
import { stateFolder } from "../../infra/toolchain/engine.js";
import type { CommandContext } from "./context.js";
import { readSpec } from "./stack-config.js";

/** The stack that a command line names: its project is the nearest folder upwards with a Pulumi.yaml. */
export function commandContext(options: { readonly stack: string; readonly cwd: string }): CommandContext {
  const project = projectFolder(options.cwd);
  if (project === undefined) {
    throw new InfraError({
      code: "TOOL-NO-PROJECT",
      message: `no Pulumi.yaml in ${options.cwd} or above`,
      remedy: "go to your project's folder, or name it with --cwd",
    });
  }
  const { stack } = options;
  const context: CommandContext = {
    project,
    stack,
    state: stateFolder(project, stack),
    get spec() {
      return readSpec(project, stack);
    },
    up: async () => {
      // Most commands never get here: the engine's modules are loaded when they do.
      const { up } = await import("./up.js");
      const code = await up(context, [], { proof: false });
      if (code === 0) return;
      throw new InfraError({
        code: "TOOL-UP-FAILED",
        message: `the stack ${stack} could not be brought up (the engine's messages are above)`,
        remedy: "mend what they name and run the same command again",
      });
    },
  };
  return context;
}
