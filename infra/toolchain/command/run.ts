import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import type { Client } from "ssh2";
import { InfraError } from "../../problem.js";
import { type Connection, nameOf, problem, type Surroundings, withLogin } from "./connection.js";

type Stream = "stdout" | "stderr";
/** What a command wrote, without the last end of line. */
export type Written = Readonly<Record<Stream, string>>;

/** What a command is run with. */
export interface Task {
  readonly command: string;
  readonly stdin: string;
  /** The command fails where one of these cannot be set; of `previous` each is left out with a warning. */
  readonly environment: Readonly<Record<string, string>>;
  readonly previous: Readonly<Record<string, string>>;
  /** Which of its output is shown while it runs. */
  readonly shown: readonly Stream[];
}

/** @throws InfraError `CMD-FAILED`, `CMD-LOST`, `CMD-ENVIRONMENT` and those of {@link withLogin} */
export async function runRemote(to: Connection, task: Task, around: Surroundings): Promise<Written> {
  const lost = problem(
    "CMD-LOST",
    `the connection to ${nameOf(to)} ended before the command did`,
    "see what it is at, for the command may still run there; then run `up` again",
  );
  return await withLogin(to, around, async (client) => {
    return await run(task, around, (take, end, fail) => {
      client.once("close", () => fail(lost));
      askWhetherSet(client, (name) => {
        const message = `the SSH server of ${nameOf(to)} does not let ${name} be set`;
        const refused = problem(
          "CMD-ENVIRONMENT",
          message,
          "name it in AcceptEnv there, or set it in the command",
        );
        if (name in task.environment) fail(refused);
        else around.onWarning(refused.message);
        return name in task.environment;
      });
      client.exec(task.command, { env: { ...task.previous, ...task.environment } }, (error, channel) => {
        if (error) return fail(error);
        let status: number | string | undefined;
        take("stdout", channel);
        take("stderr", channel.stderr);
        channel.once("exit", (code: number | null, signal?: string) => {
          status = code ?? signal;
        });
        channel.once("close", () => (status === undefined ? fail(lost) : end(status)));
        channel.end(task.stdin);
      });
    });
  });
}

/**
 * ssh2 does not ask whether the server takes a variable, and sends the command right behind. By way of its insides (the version is pinned, and a
 * test fails should they change) it asks here, and the command waits: it must not run without what it was given.
 */
function askWhetherSet(client: Client, isFatal: (refused: string) => boolean): void {
  const { _protocol: protocol, _chanMgr: channels } = client as unknown as {
    _protocol: Record<"env" | "exec", (channel: number, ...args: unknown[]) => void>;
    _chanMgr: { get(channel: number): { _callbacks: ((refused: boolean) => void)[] } };
  };
  const [env, exec] = [protocol.env.bind(protocol), protocol.exec.bind(protocol)];
  let [open, go] = [0, (): void => {}];
  protocol.env = (channel, name, value) => {
    open += 1;
    // A connection has one channel here, the first.
    channels.get(0)._callbacks.push((refused) => {
      // After a fatal one the count never gets to 0.
      if (!(refused && isFatal(String(name))) && --open === 0) go();
    });
    env(channel, name, value, true);
  };
  protocol.exec = (...args) => {
    go = () => exec(...args);
    if (open === 0) go();
  };
}

/** @throws InfraError `CMD-FAILED` */
export async function runLocal(
  interpreter: readonly string[],
  cwd: string,
  task: Task,
  around: Surroundings,
) {
  const [program = "", ...args] = interpreter;
  return await run(task, around, (take, end, fail) => {
    const env = { ...process.env, ...task.previous, ...task.environment };
    const child = spawn(program, [...args, task.command], { cwd, env, signal: around.signal });
    take("stdout", child.stdout);
    take("stderr", child.stderr);
    child.once("error", fail).once("close", (code, signal) => end(code ?? String(signal)));
    child.stdin.on("error", () => {}); // a command need not read what it is given
    child.stdin.end(task.stdin);
  });
}

/** Starts it, gathers its output, and waits for its end: an exit status, or a signal's name. */
async function run(
  task: Task,
  around: Surroundings,
  start: (
    take: (stream: Stream, from: Readable) => void,
    end: (status: number | string) => void,
    fail: (error: Error) => void,
  ) => void,
): Promise<Written> {
  const texts = { stdout: "", stderr: "", both: "" };
  const take = (stream: Stream, from: Readable): void => {
    let rest = "";
    const show = (line: string): void => {
      if (line !== "" && task.shown.includes(stream)) around.onLine(line);
    };
    from.setEncoding("utf8").on("data", (text: string) => {
      texts[stream] += text;
      texts.both += text;
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      lines.forEach(show);
    });
    from.once("end", () => show(rest));
  };
  const status = await new Promise<number | string>((end, fail) => start(take, end, fail));
  if (status === 0)
    return { stdout: texts.stdout.replace(/\n$/, ""), stderr: texts.stderr.replace(/\n$/, "") };
  const how = typeof status === "number" ? `exited with status ${status}` : `was ended by ${status}`;
  const message = `the command ${how}: running ${JSON.stringify(task.command)}:\n${texts.both.trimEnd()}`;
  throw new InfraError({ code: "CMD-FAILED", message });
}
