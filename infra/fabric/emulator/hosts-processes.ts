/** Starting and ending what runs for emulated hosts. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { markVariable } from "../../local/os-process.js";
import { type Executed, execute } from "../../toolchain/execute.js";
import { hostMark } from "./hosts-adapter.js";

/** The environment that these programs get: nothing of the emulator's own but what ends them with it. */
export function hostEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const service = process.env[markVariable];
  return {
    PATH: `${process.env.PATH ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`,
    LC_ALL: "C",
    ...(service === undefined ? {} : { [markVariable]: service }),
    ...extra,
  };
}

/** Runs a system program to its end. @throws Error with what it wrote */
export async function run(program: string, args: readonly string[], input?: string): Promise<string> {
  const done =
    input === undefined
      ? await execute(program, args, { env: hostEnvironment(), timeoutMs: 30_000 })
      : await withInput(program, args, input);
  if (done.code !== 0) {
    throw new Error(
      `${program} ${args[0] ?? ""} failed (${done.code}): ${done.stderr.trim() || done.stdout.trim()}`,
    );
  }
  return done.stdout;
}

/** `ip -batch` in the network namespace of a process; all lines or an error. */
export async function ipIn(pid: number, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  await run("nsenter", [`--net=/proc/${pid}/ns/net`, "ip", "-batch", "-"], `${lines.join("\n")}\n`);
}

function withInput(program: string, args: readonly string[], input: string): Promise<Executed> {
  return new Promise((done) => {
    const child = spawn(program, args, { env: hostEnvironment(), stdio: ["pipe", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.once("error", (error) => done({ code: 127, stdout, stderr: error.message }));
    child.once("close", (code) => done({ code: code ?? 1, stdout, stderr }));
    child.stdin.on("error", () => undefined); // it ended early: its exit code and words say why
    child.stdin.end(input);
  });
}

/** The first line that a child writes. @throws Error when it ends first or `ms` pass */
export function firstLine(child: ChildProcess, ms: number): Promise<string> {
  return new Promise((done, failed) => {
    let text = "";
    const timer = setTimeout(() => finish(() => failed(new Error(`no answer within ${ms / 1000} s`))), ms);
    const onData = (chunk: Buffer): void => {
      text += chunk.toString();
      const end = text.indexOf("\n");
      if (end >= 0) finish(() => done(text.slice(0, end)));
    };
    const onClose = (code: number | null): void =>
      finish(() => failed(new Error(`it ended with ${code ?? "a signal"}`)));
    const onError = (error: Error): void => finish(() => failed(error));
    const finish = (then: () => void): void => {
      clearTimeout(timer);
      child.stdout?.off("data", onData);
      child.off("close", onClose);
      child.off("error", onError);
      then();
    };
    child.stdout?.on("data", onData);
    child.once("close", onClose);
    child.once("error", onError);
  });
}

/** Ends processes whose mark (see {@link hostMark}) is one of these; answers when they are gone. Only where the system shows marks (Linux). */
export async function endMarked(marked: (mark: string) => boolean): Promise<void> {
  if (process.platform !== "linux") return;
  const deadline = performance.now() + 10_000;
  for (;;) {
    const left = numbersIn("/proc").filter((pid) => {
      const mark = pid === process.pid ? undefined : markOfHostProcess(pid);
      return mark !== undefined && marked(mark);
    });
    if (left.length === 0 || performance.now() > deadline) return;
    for (const pid of left) signal(pid, "SIGKILL");
    await sleep(20);
  }
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function markOfHostProcess(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    if (stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z")) return undefined;
    const entry = readFileSync(`/proc/${pid}/environ`, "utf8")
      .split("\0")
      .find((line) => line.startsWith(`${hostMark}=`));
    return entry?.slice(hostMark.length + 1);
  } catch {
    return undefined; // ended in between, or another user's
  }
}

function numbersIn(folder: string): number[] {
  return readdirSync(folder).flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}
