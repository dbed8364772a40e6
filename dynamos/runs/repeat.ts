import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { InfraError } from "../../infra/problem.js";
import type { ExperimentRecord } from "./record.js";
import type { ExperimentResult, RunResult } from "./result.js";
import { settingsSchema } from "./settings.js";

const recordSchema = z.looseObject({
  settings: settingsSchema,
  runs: z.int().min(1),
  rounds: z.int().min(1),
  seed: z.int().min(0),
  change: z.boolean().default(true),
  changeAt: z.int().min(1).optional(),
  versions: z.record(z.string(), z.string()),
  spec: z.unknown(),
  agreements: z.record(z.string(), z.looseObject({ document: z.unknown() })),
});

/** An experiment that was done: its record, and its results where they lie beside it. */
export interface Done {
  readonly record: z.output<typeof recordSchema>;
  readonly result: ExperimentResult | undefined;
}

/** Reads a `record.json`. Throws EXP-RECORD with what is wrong with it. */
export function readDone(file: string): Done {
  const read = (path: string): unknown => {
    try {
      return JSON.parse(readFileSync(path, "utf8"));
    } catch (cause) {
      const why = (cause as NodeJS.ErrnoException).code ?? "it is no JSON";
      throw wrongRecord(path, [{ message: `cannot be read (${why})` }]);
    }
  };
  const parsed = recordSchema.safeParse(read(file));
  if (!parsed.success)
    throw wrongRecord(
      file,
      parsed.error.issues.map(({ path, message }) => ({ path: path.join("."), message })),
    );
  const results = join(dirname(file), "result.json");
  return {
    record: parsed.data,
    result: existsSync(results) ? (read(results) as ExperimentResult) : undefined,
  };
}

function wrongRecord(
  file: string,
  problems: readonly { readonly path?: string; readonly message: string }[],
): InfraError {
  return new InfraError(
    problems.map((problem) => ({
      code: "EXP-RECORD",
      file,
      ...problem,
      remedy: "give the record.json that an experiment wrote",
    })),
  );
}

/** What is not as it was when the experiment was done: versions, configuration, agreements. A line each; pure. */
export function circumstances(before: Done["record"], now: ExperimentRecord): readonly string[] {
  const documents = (agreements: Done["record"]["agreements"]): unknown =>
    Object.fromEntries(Object.entries(agreements).map(([party, { document }]) => [party, document]));
  return [
    ...differences("versions", before.versions, now.versions),
    ...differences("spec", before.spec, now.spec),
    ...differences("agreements", documents(before.agreements), documents(now.agreements)),
    ...["runs", "rounds", "seed", "change", "changeAt"].flatMap((name) =>
      differences(name, before[name as "runs"], now[name as "runs"]),
    ),
  ];
}

/** What came out otherwise than before, run by run. Durations always differ and are left out. Pure. */
export function outcomes(before: ExperimentResult, now: ExperimentResult): readonly string[] {
  const runs = Math.max(before.runs.length, now.runs.length);
  return Array.from({ length: runs }, (_, i) => {
    const [a, b] = [before.runs[i], now.runs[i]];
    if (a === undefined || b === undefined) return [`run ${i + 1}: only ${a === undefined ? "now" : "then"}`];
    const [first, ...more] = differences(`run ${i + 1}`, essence(a), essence(b));
    return first === undefined ? [] : [more.length === 0 ? first : `${first} (and ${more.length} more)`];
  }).flat();
}

/** What the same seed should give again. */
function essence({ seed, changes, rounds }: RunResult): unknown {
  return {
    seed,
    changes: changes.map(({ party, plannedIn, duringRound }) => ({ party, plannedIn, duringRound })),
    rounds: rounds.map(({ status, accuracy }) => ({ status, accuracy })),
  };
}

/** `path: this then, that now` for each value that differs, in order of the paths. */
function differences(path: string, before: unknown, now: unknown): readonly string[] {
  if (isObject(before) && isObject(now)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])];
    return keys.flatMap((key) => differences(`${path}.${key}`, before[key], now[key]));
  }
  const [a, b] = [shown(before), shown(now)];
  return a === b ? [] : [`${path}: ${a} then, ${b} now`];
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
