// npm run test:fabric -- [--schedules N] [--seed S] [--only SEED] [--jobs N] [--record FILE] [--json FILE]
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { Ground } from "./ground.js";
import { type Outcome, runSchedule } from "./run-schedule.js";
import { drawSchedule } from "./schedule.js";
import { sourceStamp } from "./source-stamp.js";

const { values } = parseArgs({
  options: {
    schedules: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
    jobs: { type: "string", default: "2" },
    record: { type: "string", default: "out/faults/fabric.jsonl" },
    json: { type: "string" },
  },
});

interface RecordLine extends Outcome {
  /** Of the sources that ran: a change of them makes the schedule count as not run. */
  readonly sources: string;
}

async function main(): Promise<void> {
  if (process.platform !== "linux") throw new Error("processes are found by /proc: this runs on Linux only");
  const sources = sourceStamp();
  const first = Number(values.seed);
  const seeds =
    values.only === undefined
      ? Array.from({ length: Number(values.schedules) }, (_, i) => first + i)
      : [Number(values.only)];
  const known = values.only === undefined ? finished(values.record, sources) : new Map<number, RecordLine>();
  const done: Outcome[] = seeds.flatMap((seed) => known.get(seed) ?? []);
  if (done.length > 0)
    console.log(`${done.length} of ${seeds.length} schedules are in ${values.record} already`);
  const left = seeds.filter((seed) => !known.has(seed));
  mkdirSync(dirname(values.record), { recursive: true });
  await Promise.all(
    Array.from({ length: Math.min(Number(values.jobs), left.length) }, async () => {
      const ground = await Ground.prepare();
      try {
        for (let seed = left.shift(); seed !== undefined; seed = left.shift()) {
          const outcome = await runSchedule(ground, drawSchedule(seed));
          done.push(outcome);
          appendFileSync(values.record, `${JSON.stringify({ sources, ...outcome } satisfies RecordLine)}\n`);
          print(outcome);
        }
      } finally {
        await ground.end();
      }
    }),
  );
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(done)}\n`);
  summarise(done);
  process.exitCode = done.every((o) => o.ok) ? 0 : 1;
}

/** Schedules that went well with these sources. */
function finished(file: string, sources: string): Map<number, RecordLine> {
  if (!existsSync(file)) return new Map();
  const lines = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "");
  const all = lines.flatMap((line): RecordLine[] => {
    try {
      return [JSON.parse(line)];
    } catch {
      return []; // cut off when a run was ended
    }
  });
  return new Map(all.filter((line) => line.ok && line.sources === sources).map((line) => [line.seed, line]));
}

function print(outcome: Outcome): void {
  const { seed, ok, story, seconds, wrong, again } = outcome;
  const more = again.length > 0 ? `; again after ${again.join(", ")}` : "";
  console.log(
    `${ok ? "✓" : "✗"} ${String(seed).padStart(5)} ${seconds.toFixed(1).padStart(5)} s  ${story.join("; ")}${more}`,
  );
  if (ok) return;
  for (const line of wrong) console.log(`  ${line.trim().replaceAll("\n", "\n  ")}`);
  console.log(`  again with: npm run test:fabric -- --only ${seed}`);
}

function summarise(done: readonly Outcome[]): void {
  const sum = (of: (o: Outcome) => number) => done.reduce((total, o) => total + of(o), 0);
  const failed = done.filter((o) => !o.ok);
  console.log(
    `${done.length - failed.length} schedules passed, ${failed.length} failed; ${sum((o) => o.hits.length)} kills, ${sum((o) => o.missed)} whose moment did not come, ${sum((o) => o.faults)} bad answers; ` +
      `${done.filter((o) => o.again.length > 0).length} needed a second run; ${(sum((o) => o.seconds) / Math.max(1, done.length)).toFixed(1)} s each`,
  );
  if (failed.length > 0) console.log(`failed: ${failed.map((o) => o.seed).join(", ")}`);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.stack : error);
  process.exitCode = 1;
});
