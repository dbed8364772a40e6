// Preparing many hosts beside preparing one: emulated hosts behind a bastion, by the real engine, from the first look at a host to the last one that is ready.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { namespacesProblem } from "../../infra/fabric/emulator/hosts-namespaces.js";
import { engineArguments } from "../../infra/toolchain/engine.js";
import { ClusterLab } from "../integration/cluster/cluster-lab.js";
import { ClusterStack } from "../integration/cluster/cluster-program.js";
import { prepare } from "../integration/emulator/hosts-lab.js";
import type { Line } from "./measure.js";

const MANY = 30;
/** What each host may cost in each of its steps, seconds: it is looked at, and made ready. */
const EACH = 0.2;
const STEPS = 2;

export async function hostsLines(): Promise<Line[]> {
  const problem = await namespacesProblem();
  if (problem !== undefined) {
    console.log(`hosts: not measured, ${problem}`);
    return [];
  }
  const one = await preparing(1);
  const many = await preparing(MANY);
  const floor = 3 * one + EACH * STEPS * MANY;
  console.log(`preparing 1 host ${one.toFixed(1)} s, ${MANY} hosts ${many.toFixed(1)} s`);
  return [
    {
      name: `${MANY} hosts prepared (3 x one + 12 s)`,
      unit: "s",
      value: many,
      floor,
      ratio: many / floor,
      goal: 1,
    },
  ];
}

/** Seconds from the first step's begin to the last host's end of a cluster of so many hosts. The rest of the cluster is not made. */
async function preparing(count: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "hosts-"));
  const emulator = join(folder, "main.js");
  const lab = new ClusterLab(emulator, await prepare(emulator), join(folder, "lab"));
  const stack = new ClusterStack(folder);
  try {
    const names = Array.from({ length: count }, (_, i) => (i === 0 ? "control" : `node-${i}`));
    const sites = ["AMST", "LOSA", "TOKY"];
    console.log(`starting ${count} emulated hosts`);
    await lab.start(Object.fromEntries(names.map((name, i) => [name, sites[i % 3] ?? "AMST"])));
    await stack.wants(lab.all());
    return await untilPrepared(stack, count);
  } finally {
    await lab.hosts.end("SIGTERM");
    stack.end();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function untilPrepared(stack: ClusterStack, count: number): Promise<number> {
  const engine = await stack.engine();
  const args = [...engineArguments(engine, ["up", "--yes", "--skip-preview"]), "--non-interactive"];
  const run = spawn(engine.tool.path, args, { cwd: engine.project, env: engine.env, stdio: "pipe" });
  let began: number | undefined;
  let seconds: number | undefined;
  let said = "";
  run.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    if (said.includes("lab-control-check creating")) began ??= performance.now();
    const ready = new Set([...said.matchAll(/lab-(\S+)-prepare created/g)].map(([, name]) => name)).size;
    if (ready < count || began === undefined || seconds !== undefined) return;
    seconds = (performance.now() - began) / 1000;
    run.kill("SIGKILL");
  });
  run.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  await new Promise((settle) => run.once("close", settle));
  if (seconds === undefined) throw new Error(said);
  return seconds;
}
