import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { CodedError, type Problem } from "../contract/problem.js";
import { encodeFrame, type Frame, readFrames } from "./python-frames.js";
import { serve } from "./serve.js";
import type { Handler, StepOutput } from "./step.js";

/** Module `dynamos_fabric`, beside the sources; they are two folders up from what is built. */
const MODULE = "dynamos_fabric.py";
const moduleFolder = [__dirname, join(__dirname, "../../../policy/sidecar")].find((folder) =>
  existsSync(join(folder, MODULE)),
);

/** Nothing of the broker and of grants: these are the sidecar's. */
const KEPT = [
  "PATH",
  "LANG",
  "HOME",
  "TMPDIR",
  "SERVICE_NAME",
  "JOB_NAME",
  "DATA_STEWARD_NAME",
  "DATA_FOLDER",
];

/**
 * The sidecar of a microservice in Python: this process is the microservice to its agent, as `serve` makes it, and has each step worked by the
 * program, its child. When one of the two ends, so does the other.
 */
async function main(program: string): Promise<void> {
  const child = start(program);
  const [, , , to, from] = child.stdio as unknown as [null, null, null, Writable, Readable];
  to.on("error", () => {}); // told by the child's exit
  const frames = readFrames(from);
  const first = await frames.next();
  const steps = first.done === true ? undefined : first.value.header.steps;
  // Its exit says why.
  if (!Array.isArray(steps)) return;
  const handler: Handler = async ({ parts, ...header }) => {
    for (const piece of encodeFrame({ header, parts })) to.write(piece);
    const next = await frames.next();
    // Its exit, which is about to be seen, ends this process with its last words.
    if (next.done === true) return await new Promise<never>(() => {});
    return outputOf(next.value);
  };
  serve(Object.fromEntries(steps.map((step: unknown) => [String(step), handler])));
}

function outputOf({ header, parts }: Frame): StepOutput {
  const { problem, failure, data, files } = header;
  if (problem !== undefined) throw new CodedError(problem as Problem);
  if (failure !== undefined) throw new Error(String(failure));
  return {
    parts,
    ...(data === undefined ? {} : { data: data as Record<string, unknown> }),
    ...(files === undefined ? {} : { files: files as Record<string, string> }),
  };
}

function start(program: string): ChildProcess {
  const environment = Object.fromEntries(KEPT.map((name) => [name, process.env[name] ?? ""]));
  const child = spawn("python3", ["-u", program], {
    env: {
      ...environment,
      PYTHONPATH: moduleFolder ?? "",
      PYTHONDONTWRITEBYTECODE: "1",
    },
    stdio: ["ignore", "inherit", "inherit", "pipe", "pipe"],
  });
  child.on("error", () => fail("Error: there is no python3 on PATH"));
  // "close", not "exit": what it said last comes first.
  child.on("close", (code, signal) => fail(`the Python program ended (${signal ?? `exit code ${code}`})`));
  process.on("exit", () => child.kill("SIGKILL"));
  return child;
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

main(process.argv[2] ?? "").catch((error: unknown) =>
  fail(`Error: ${error instanceof Error ? error.message : error}`),
);
