import { createInterface } from "node:readline";
import type { Client } from "ssh2";
import { z } from "zod";
import { InfraError } from "../../problem.js";
import { type Context, connectionSchema, login, nameOf, problem } from "./connection.js";

/** `command:remote:Command` */
export const commandSchema = z.object({
  connection: connectionSchema,
  create: z.string().optional(),
  update: z.string().optional(),
  delete: z.string().optional(),
  stdin: z.string().default(""),
  environment: z.record(z.string(), z.string()).default({}),
  logging: z.enum(["stdout", "stderr", "stdoutAndStderr", "none"]).default("stdoutAndStderr"),
  addPreviousOutputInEnv: z.boolean().default(true),
});
export type Operation = "create" | "update" | "delete";
/** What a command wrote, without the last end of line. */
type Written = Readonly<Record<"stdout" | "stderr", string>>;

/**
 * Runs one of a resource's commands; without one, what the last run wrote stays.
 * @throws InfraError `CMD-FAILED`, `CMD-LOST`, `CMD-ENVIRONMENT` and those of {@link login}
 */
export async function run(operation: Operation, given: unknown, last: Partial<Written>, context: Context) {
  const inputs = commandSchema.parse(given);
  const { connection, environment, stdin, addPreviousOutputInEnv, logging } = inputs;
  const command = operation === "update" ? (inputs.update ?? inputs.create) : inputs[operation];
  const { stdout = "", stderr = "" } = last;
  if (command === undefined) return { stdout, stderr };
  const previous = { PULUMI_COMMAND_STDOUT: stdout, PULUMI_COMMAND_STDERR: stderr };
  const kept = Object.entries(addPreviousOutputInEnv ? previous : {}).filter(([, text]) => text !== "");
  const variables = { ...Object.fromEntries(kept), ...environment };
  return await login(connection, context, async (client) => {
    // ssh2 does not ask whether the server takes a variable: a command before the command sees which have come.
    const names = Object.keys(variables);
    const there = names.length === 0 ? "" : (await execute(client, "env", variables, "", () => {})).stdout;
    for (const name of names.filter((n) => !`\n${there}\n`.includes(`\n${n}=${variables[n]}\n`))) {
      const message = `the SSH server of ${nameOf(connection)} does not let ${name} be set`;
      if (!(name in environment)) context.onLine(message, true);
      else throw problem("CMD-ENVIRONMENT", message, "name it in AcceptEnv there, or set it in the command");
    }
    return await execute(client, command, variables, stdin, (stream, line) => {
      if (line !== "" && (logging === stream || logging === "stdoutAndStderr")) context.onLine(line);
    });
  });
}

type Variables = Readonly<Record<string, string>>;
type OnLine = (stream: string, line: string) => void;
async function execute(client: Client, command: string, env: Variables, stdin: string, onLine: OnLine) {
  const texts = { stdout: "", stderr: "", both: "" };
  let status: number | string | undefined;
  await new Promise<void>((end, fail) => {
    client.once("close", end);
    client.exec(command, { env }, (error, channel) => {
      if (error) return fail(error);
      for (const [stream, from] of Object.entries({ stdout: channel, stderr: channel.stderr })) {
        from.setEncoding("utf8").on("data", (text: string) => {
          texts[stream as keyof Written] += text;
          texts.both += text;
        });
        createInterface({ input: from }).on("line", (line) => onLine(stream, line));
      }
      channel.once("exit", (code: number | null, signal?: string) => {
        status = code ?? signal;
      });
      channel.once("close", end).end(stdin);
    });
  });
  if (status === undefined)
    throw problem("CMD-LOST", "the connection ended before the command did", "it may still run: look there, then run `up` again"); // biome-ignore format: one line
  const [stdout, stderr] = [texts.stdout.replace(/\n$/, ""), texts.stderr.replace(/\n$/, "")];
  if (status === 0) return { stdout, stderr };
  const how = typeof status === "number" ? `exited with status ${status}` : `was ended by ${status}`;
  const message = `the command ${how}: running ${JSON.stringify(command)}:\n${texts.both.trimEnd()}`;
  throw new InfraError({ code: "CMD-FAILED", message });
}
