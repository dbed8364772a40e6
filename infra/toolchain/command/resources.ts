import { z } from "zod";
import { connectionSchema, type Surroundings } from "./connection.js";
import { copy } from "./copy.js";
import { runLocal, runRemote, type Task, type Written } from "./run.js";
import { isSame, type Properties } from "./values.js";

/** One type of resource; properties in clear. What create and update answer is added to the inputs in the state. */
export interface Kind {
  readonly inputs: z.ZodType;
  create(inputs: Properties, around: Surroundings): Promise<Properties>;
  update(inputs: Properties, old: Properties, around: Surroundings): Promise<Properties>;
  delete(old: Properties, around: Surroundings): Promise<unknown>;
}

const missing =
  "CMD-NOT-BUILT  the stand-in for the command plugin does not do this; install the official plugin";
const commandInputs = z.object({
  create: z.string().optional(),
  update: z.string().optional(),
  delete: z.string().optional(),
  stdin: z.string().default(""),
  environment: z.record(z.string(), z.string()).default({}),
  logging: z.enum(["stdout", "stderr", "stdoutAndStderr", "none"]).default("stdoutAndStderr"),
  addPreviousOutputInEnv: z.boolean().default(true),
  // What the run before wrote: in a state only.
  stdout: z.string().default(""),
  stderr: z.string().default(""),
});
const localInputs = commandInputs.extend({
  interpreter: z.array(z.string()).default(["/bin/sh", "-c"]),
  dir: z.string().default(process.cwd()),
  assetPaths: z.never({ error: missing }).optional(),
  archivePaths: z.never({ error: missing }).optional(),
});
type CommandInputs = z.infer<typeof commandInputs>;

function commandKind<Inputs extends CommandInputs>(
  schema: z.ZodType<Inputs>,
  run: (inputs: Inputs, task: Task, around: Surroundings) => Promise<Written>,
): Kind {
  const runAny = async (inputs: Inputs, command: string | undefined, old: Written, around: Surroundings) => {
    const { stdout, stderr } = old;
    if (command === undefined) return { stdout, stderr };
    const previous = Object.entries({ PULUMI_COMMAND_STDOUT: stdout, PULUMI_COMMAND_STDERR: stderr });
    const task: Task = {
      command,
      stdin: inputs.stdin,
      environment: inputs.environment,
      previous: Object.fromEntries(
        previous.filter(([, text]) => inputs.addPreviousOutputInEnv && text !== ""),
      ),
      shown: (["stdout", "stderr"] as const).filter((stream) =>
        [stream, "stdoutAndStderr"].includes(inputs.logging),
      ),
    };
    return await run(inputs, task, around);
  };
  return {
    inputs: schema,
    create: async (given, around) => {
      const inputs = schema.parse(given);
      return await runAny(inputs, inputs.create, { stdout: "", stderr: "" }, around);
    },
    update: async (given, old, around) => {
      const inputs = schema.parse(given);
      return await runAny(inputs, inputs.update ?? inputs.create, schema.parse(old), around);
    },
    delete: async (old, around) => {
      const inputs = schema.parse(old);
      return await runAny(inputs, inputs.delete, inputs, around);
    },
  };
}

const copyInputs = z.object({
  connection: connectionSchema,
  remotePath: z.string(),
  source: z.object({ path: z.string().optional(), text: z.string().default("") }).and(
    z.object({
      uri: z.never({ error: missing }).optional(),
      assets: z.never({ error: missing }).optional(),
    }),
  ),
});
const copyKind: Kind = {
  inputs: copyInputs,
  create: async (given, around) => {
    const { connection, source, remotePath } = copyInputs.parse(given);
    await copy(connection, source, remotePath, around);
    return {};
  },
  update: async (given, old, around) => {
    const same = isSame(given.source, old.source) && given.remotePath === old.remotePath;
    return same ? {} : await copyKind.create(given, around);
  },
  delete: async () => {},
};

/** The types of `@pulumi/command` that are here. */
export const kinds: Readonly<Record<string, Kind>> = {
  "command:remote:Command": commandKind(
    commandInputs.extend({ connection: connectionSchema }),
    (inputs, ...rest) => runRemote(inputs.connection, ...rest),
  ),
  "command:local:Command": commandKind(localInputs, ({ interpreter, dir }, ...rest) =>
    runLocal(interpreter, dir, ...rest),
  ),
  "command:remote:CopyToRemote": copyKind,
};
