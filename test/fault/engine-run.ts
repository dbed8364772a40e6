/** One run of the engine, and the blow that falls in it. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { type Engine, engineArguments } from "../../infra/toolchain/engine.js";
import type { EmulatorProcess } from "./emulator-process.js";
import type { Gate } from "./gate.js";
import type { Blow, Fault, Victim } from "./schedule.js";

export interface EngineRun {
  readonly code: number;
  readonly text: string;
  /** Whether the blow fell on somebody. */
  readonly struck: boolean;
  /** How many calls were answered badly. */
  readonly faults: number;
}

export interface RunPlace {
  readonly engine: Engine;
  readonly gate: Gate;
  readonly emulator: EmulatorProcess;
  /** The engine's checkpoint. */
  readonly checkpoint: string;
}

/** Milliseconds after which a run counts as hanging. */
const patience = 600_000;

/** Milliseconds within which what an engine that was killed leaves behind has noticed and ended. */
const survives = 10_000;

/** Runs the engine to its end, or to the blow's. */
export async function runEngine(
  { engine, gate, emulator, checkpoint }: RunPlace,
  args: readonly string[],
  trouble: { readonly blow?: Blow | undefined; readonly faults?: readonly Fault[] } = {},
): Promise<EngineRun> {
  const { blow } = trouble;
  let struck = false;
  const strike = (): void => {
    if (blow === undefined || struck) return;
    if (child.pid !== undefined) below = descendants(child.pid);
    struck = blow.victim === "emulator" ? hitEmulator(emulator, blow) : hit(blow.victim, child);
  };
  const at = blow?.at;
  gate.begin(trouble.faults, (call, n, phase) => {
    if (at === undefined || !("call" in at) || struck) return undefined;
    if (at.call !== call || at.n !== n || at.phase !== phase) return undefined;
    strike();
    // What a dead client had under way goes nowhere; a server gets what was sent before.
    return blow?.victim === "provider" || blow?.victim === "all" ? "drop" : undefined;
  });
  let below: readonly Running[] = [];
  const child = spawn(
    engine.tool.path,
    [...engineArguments(engine, args), "--non-interactive", "--color", "never"],
    { cwd: engine.project, env: engine.env, stdio: ["ignore", "pipe", "pipe"], detached: true },
  );
  // A group of its own does not hear of our end.
  const endWithUs = () => void hit("all", child);
  process.once("exit", endWithUs);
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  const timer = at !== undefined && "ms" in at ? setTimeout(strike, at.ms) : undefined;
  const watching =
    at !== undefined && "checkpoint" in at ? onWrites(checkpoint, at.checkpoint, strike) : undefined;
  const hanging = setTimeout(() => hit("all", child), patience);
  const code = await new Promise<number>((settle, fail) => {
    child.once("error", fail);
    // Not "close": what an engine that was killed leaves behind holds its pipes for a while.
    child.once("exit", (status, signal) => settle(status ?? (signal === null ? 1 : 137)));
  }).finally(() => {
    process.removeListener("exit", endWithUs);
    clearTimeout(timer);
    clearTimeout(hanging);
    watching?.();
  });
  await emulator.isBack();
  await ended(below);
  return { code, text, struck, faults: gate.met };
}

/** Waits for the ends of an engine's processes: until then they are at work, and may end a slice that was to end. */
async function ended(processes: readonly Running[]): Promise<void> {
  const deadline = performance.now() + survives;
  for (;;) {
    const left = processes.filter(({ pid, words }) => read(`/proc/${pid}/cmdline`) === words.join("\0"));
    const live = left.filter(({ pid, words }) => words.join("") !== "" && !isZombie(pid));
    if (live.length === 0) return;
    if (performance.now() > deadline)
      throw new Error(
        `${survives / 1000} s after the engine's end there is still ${live[0]?.words.join(" ")}`,
      );
    await new Promise((settle) => setTimeout(settle, 20));
  }
}

const isZombie = (pid: number): boolean => /^State:\s+Z/m.test(read(`/proc/${pid}/status`));

/** Calls `then` at the n-th write of a file. Answers what ends the watch. */
function onWrites(file: string, n: number, then: () => void): () => void {
  let seen = 0;
  const watcher = watch(dirname(file), (_event, name) => {
    if (name !== basename(file)) return;
    seen += 1;
    if (seen === n) then();
  });
  return () => watcher.close();
}

function hitEmulator(emulator: EmulatorProcess, { back }: Blow): boolean {
  emulator.kill9(back);
  return true;
}

/** Kills who is meant. Whether there was somebody. */
function hit(victim: Exclude<Victim, "emulator">, engine: ChildProcess): boolean {
  if (engine.pid === undefined || engine.exitCode !== null || engine.signalCode !== null) return false;
  const below = descendants(engine.pid);
  const running = (part: string) =>
    below.filter((p) => p.words.some((word) => word.includes(part))).map((p) => p.pid);
  const pids = {
    engine: () => [engine.pid ?? 0],
    all: () => [engine.pid ?? 0, ...below.map((p) => p.pid)],
    provider: () => running("dynamic-provider"),
    program: () => running("@pulumi/pulumi/cmd/run"),
  }[victim]();
  for (const pid of pids) kill9(pid);
  return pids.length > 0;
}

function kill9(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

interface Running {
  readonly pid: number;
  readonly words: readonly string[];
}

/** All processes below one, by /proc. */
export function descendants(root: number): readonly Running[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc").filter((n) => /^\d+$/.test(n))) {
    const parent = /^PPid:\s+(\d+)$/m.exec(read(`/proc/${name}/status`))?.[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const below = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === root || below(parent));
  };
  return [...parents.keys()]
    .filter(below)
    .map((pid) => ({ pid, words: read(`/proc/${pid}/cmdline`).split("\0") }));
}

/** Empty for a process that has just ended. */
function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
