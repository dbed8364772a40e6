// Runs a suite of schedules, each drawn from its seed, and keeps a line of each in a record, so that a run that was ended goes on where it was.
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { sourceStamp } from "./source-stamp.js";

export interface Outcome {
  readonly seed: number;
  readonly ok: boolean;
  /** What was done and what befell it. */
  readonly story: readonly string[];
  readonly seconds: number;
  readonly wrong: readonly string[];
}

export interface Suite<O extends Outcome> {
  /** As one calls it, without arguments. */
  readonly command: string;
  /** Of its sources. */
  readonly folder: string;
  /** What it is about: a record of other sources of this room does not count. */
  readonly room: "infra" | "policy";
  readonly record: string;
  /** Schedules at the same time. */
  readonly jobs: number;
  /** A place for schedules, one after the other. */
  readonly prepare: () => Promise<{ run(seed: number): Promise<O>; end(): Promise<void> }>;
  /** Put behind a schedule's printed line. */
  readonly note: (outcome: O) => string;
  /** What is counted over all. */
  readonly counts: (done: readonly O[]) => string;
}

type RecordLine<O> = O & {
  /** Of the sources that ran: a change of them makes the schedule count as not run. */
  readonly sources: string;
};

/** `--schedules N --seed S --only SEED --jobs N --record FILE --json FILE`; ends with exit code 1 when a schedule failed. */
export async function runSuite<O extends Outcome>(suite: Suite<O>, args: string[]): Promise<void> {
  if (process.platform !== "linux") throw new Error("processes are found by /proc: this runs on Linux only");
  const { values } = parseArgs({
    args,
    options: {
      schedules: { type: "string", default: "200" },
      seed: { type: "string", default: "1" },
      only: { type: "string" },
      jobs: { type: "string", default: String(suite.jobs) },
      record: { type: "string", default: suite.record },
      json: { type: "string" },
    },
  });
  const sources = sourceStamp(suite.room, suite.folder);
  const first = Number(values.seed);
  const seeds =
    values.only === undefined
      ? Array.from({ length: Number(values.schedules) }, (_, i) => first + i)
      : [Number(values.only)];
  const known =
    values.only === undefined ? finished<O>(values.record, sources) : new Map<number, RecordLine<O>>();
  const done: O[] = seeds.flatMap((seed) => known.get(seed) ?? []);
  if (done.length > 0)
    console.log(`${done.length} of ${seeds.length} schedules are in ${values.record} already`);
  const left = seeds.filter((seed) => !known.has(seed));
  mkdirSync(dirname(values.record), { recursive: true });
  await Promise.all(
    Array.from({ length: Math.min(Number(values.jobs), left.length) }, async () => {
      const ground = await suite.prepare();
      try {
        for (let seed = left.shift(); seed !== undefined; seed = left.shift()) {
          const outcome = await ground.run(seed);
          done.push(outcome);
          appendFileSync(values.record, `${JSON.stringify({ sources, ...outcome })}\n`);
          print(suite, outcome);
        }
      } finally {
        await ground.end();
      }
    }),
  );
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(done)}\n`);
  summarise(suite, done, sources);
  process.exitCode = done.every((o) => o.ok) ? 0 : 1;
}

/** Schedules that went well with these sources. */
function finished<O extends Outcome>(file: string, sources: string): Map<number, RecordLine<O>> {
  if (!existsSync(file)) return new Map();
  const lines = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "");
  const all = lines.flatMap((line): RecordLine<O>[] => {
    try {
      return [JSON.parse(line)];
    } catch {
      return []; // cut off when a run was ended
    }
  });
  return new Map(all.filter((line) => line.ok && line.sources === sources).map((line) => [line.seed, line]));
}

function print<O extends Outcome>({ note, command }: Suite<O>, outcome: O): void {
  const { seed, ok, story, seconds, wrong } = outcome;
  console.log(
    `${ok ? "✓" : "✗"} ${String(seed).padStart(5)} ${seconds.toFixed(1).padStart(5)} s  ${story.join("; ")}${note(outcome)}`,
  );
  if (ok) return;
  for (const line of wrong) console.log(`  ${line.trim().replaceAll("\n", "\n  ")}`);
  console.log(`  again with: ${command} --only ${seed}`);
}

function summarise<O extends Outcome>({ counts }: Suite<O>, done: readonly O[], sources: string): void {
  const failed = done.filter((o) => !o.ok);
  const seconds = done.reduce((total, o) => total + o.seconds, 0) / Math.max(1, done.length);
  console.log(
    `${done.length - failed.length} schedules passed, ${failed.length} failed; ${counts(done)}; ${seconds.toFixed(1)} s each (sources ${sources})`,
  );
  if (failed.length > 0) console.log(`failed: ${failed.map((o) => o.seed).join(", ")}`);
}

/** For a suite's own script. */
export function runAsScript(run: Promise<void>): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
  run.catch((error: unknown) => {
    console.error(error instanceof Error ? error.stack : error);
    process.exitCode = 1;
  });
}
