import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { InfraError } from "../../infra/problem.js";
import { readExperiment } from "../experiment.js";
import { readAgreement } from "../runs/agreements-api.js";
import { readyChange } from "../runs/change.js";
import { runChecker } from "../runs/checker.js";
import { planRuns, type RunOrder } from "../runs/plan-runs.js";
import { accuracyPlot, durationsPlot } from "../runs/plots.js";
import { agreementsRecord, type ExperimentRecord, versions } from "../runs/record.js";
import { circumstances, type Done, outcomes, readDone } from "../runs/repeat.js";
import { payBack } from "../runs/restore.js";
import { type ExperimentResult, judge, type RunResult, roundsCsv } from "../runs/result.js";
import { performRun } from "../runs/run.js";
import { type ExperimentSettings, parseSettings } from "../runs/settings.js";
import { accessTo, notReady, type StackAccess } from "../runs/stack-access.js";
import { fromHere } from "../stack-folder.js";
import { place } from "./command-place.js";
import type { CommandContext } from "./context.js";
import { watchLeases } from "./lease-watch.js";
import { stackSlices } from "./stack-slices.js";

interface Options {
  readonly runs?: number;
  readonly rounds?: number;
  readonly seed?: number;
  readonly out: string;
  readonly change: boolean;
  readonly changeAt?: number;
  readonly from?: string;
  readonly json?: boolean;
}

/** Adds `dynamos-fabric experiment`. */
export function registerExperiment(program: Command, context: () => CommandContext): void {
  program
    .command("experiment")
    .description(
      "run the experiment of the stack: train, change the policy in the middle, see the next round refused",
    )
    .option("--runs <n>", "how often (default: experiment.yaml)", count)
    .option("--rounds <n>", "rounds a run (default: experiment.yaml)", count)
    .option("--seed <n>", "seed of all random choices (default: experiment.yaml)", whole)
    .option("--out <folder>", "where results go", "out/experiment")
    .option("--no-change", "let the policy alone")
    .option("--change-at <round>", "change the policy inside this round instead of a random one", count)
    .option("--from <record.json>", "repeat the experiment that wrote it, and say what differs")
    .option("--json", "print result.json instead of progress")
    .action(async (options: Options) => {
      process.exitCode = await experiment(context(), options);
    });
}

/** Runs the experiment. Returns the exit code: 0 the policy held in every run, 1 it did not. */
export async function experiment(context: CommandContext, options: Options): Promise<number> {
  const say = options.json ? () => undefined : (line: string) => console.log(line);
  const { project, state, spec } = context;
  const folder = resolve(project, spec.experiment);
  const before = options.from === undefined ? undefined : readDone(fromHere(options.from));
  const settings =
    before?.record.settings ??
    parseSettings(
      readExperiment(folder, spec.experiment).experiment.settings,
      join(spec.experiment, "experiment.yaml"),
    );
  const changeAt = options.changeAt ?? before?.record.changeAt;
  const numbers = {
    runs: options.runs ?? before?.record.runs ?? settings.runs,
    rounds: options.rounds ?? before?.record.rounds ?? settings.rounds,
    seed: options.seed ?? before?.record.seed ?? settings.seed,
    change: options.change && (before?.record.change ?? true),
    ...(changeAt === undefined ? {} : { changeAt }),
  };
  const { runs, rounds } = numbers;
  const orders = planRuns(settings, numbers, (what) => readyChange(what, folder, settings.user.userName));

  const down = notReady(state);
  if (down === undefined || down.length > 0) {
    say(
      down === undefined
        ? "the stack is not up; bringing it up"
        : `down: ${down.join(", ")}; bringing the stack up`,
    );
    await context.up();
  }
  const stack = accessTo(state);
  const owed = await payBack(state, stack.operator);
  for (const party of owed) say(`an earlier experiment was killed: ${party}'s agreement has been put back`);

  const record = await makeRecord(stack, context, settings, numbers);
  if (before !== undefined) tellCircumstances(before, record, say);
  const out = fromHere(options.out);
  const stop = new AbortController();
  const interrupt = (): void =>
    stop.abort(
      new InfraError({
        code: "EXP-INTERRUPTED",
        message: "interrupted",
        remedy: "the agreement has been put back",
      }),
    );
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  const lease = watchLeases(stackSlices(place(context)), runs * rounds);
  const done: RunResult[] = [];
  try {
    for (const order of orders) {
      stop.signal.throwIfAborted();
      done.push(
        await untilInside(order, say, (again) =>
          performRun(stack, again, listener(say, again, lease), stop.signal),
        ),
      );
      // What is done is on disk before the next run begins.
      write(out, { runs: done }, record);
    }
  } catch (error) {
    throw stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
  const result = { runs: done };
  if (options.json) console.log(JSON.stringify(result));
  if (before !== undefined) tellOutcomes(before, result, say);
  const from = Math.max(1, ...Object.values(record.agreements).map((a) => a.revision));
  const violations = await runChecker(stack.store, join(out, "result.json"), from);
  return conclude(result, violations, say, relative(process.cwd(), out) || out);
}

/** A round may take 20 ms, and the change itself some of it: now and then it comes just after its round. */
const MOST_ATTEMPTS = 5;

/** A run whose change fell inside its round. One that held, but with the change between two rounds, is done again, earlier in the round. */
async function untilInside(
  order: RunOrder,
  say: (line: string) => void,
  perform: (order: RunOrder) => Promise<RunResult>,
): Promise<RunResult> {
  for (let attempt = 1; ; attempt += 1) {
    const changes = order.changes.map((change) => ({
      ...change,
      moment: { ...change.moment, fraction: change.moment.fraction / attempt },
    }));
    const run = await perform({ ...order, changes });
    const result = attempt === 1 ? run : { ...run, attempts: attempt };
    const inside = run.changes.map((change) =>
      change.inside === undefined ? change : { ...change, inside: true },
    );
    const between = !judge(run).held && judge({ ...run, changes: inside }).held;
    if (!between || attempt === MOST_ATTEMPTS) return result;
    say(`run ${run.run}: the change came between two rounds, not inside one: this run is done again`);
  }
}

/** What a party did, for people. */
const DID = { leave: "left the agreement", join: "joined", replace: "replaced its agreement" } as const;

function tellCircumstances({ record }: Done, now: ExperimentRecord, say: (line: string) => void): void {
  const lines = circumstances(record, now);
  say(lines.length === 0 ? "repeated under the same circumstances" : "not as it was:");
  for (const line of lines) say(`  ${line}`);
}

function tellOutcomes({ result }: Done, now: ExperimentResult, say: (line: string) => void): void {
  if (result === undefined) {
    say("no result.json lies beside the record, so results are not compared");
    return;
  }
  const lines = outcomes(result, now);
  say(lines.length === 0 ? "the same outcome, round by round" : "another outcome:");
  for (const line of lines) say(`  ${line}`);
}

function listener(
  say: (line: string) => void,
  order: RunOrder,
  lease: (rounds: number) => void,
): Parameters<typeof performRun>[2] {
  const last = order.rounds;
  return {
    round: (run, r) => {
      lease((run - 1) * last + r.round);
      const head = `run ${run}  round ${r.round}/${last}`.padEnd(22);
      if (r.status === "completed") {
        if (r.round % 10 === 0 || r.round === 1 || r.round === last)
          say(`${head}accuracy ${r.accuracy?.toFixed(3) ?? "-"}`);
      } else say(`${head}${r.status.padEnd(16)}  ${r.reason ?? ""}`);
    },
    changed: (run, { party, do: did, duringRound, revision, inside }) =>
      say(
        `run ${run}  ${party} ${DID[did]} during round ${duringRound} (revision ${revision}${inside ? "" : "; that round had just ended"})`,
      ),
  };
}

async function makeRecord(
  stack: StackAccess,
  context: CommandContext,
  settings: ExperimentSettings,
  numbers: Pick<ExperimentRecord, "runs" | "rounds" | "seed" | "change" | "changeAt">,
): Promise<ExperimentRecord> {
  const names = Object.entries(context.spec.nodes).map(([node, { party }]) => party ?? node);
  const stored = await Promise.all(names.map((name) => readAgreement(stack.operator, name)));
  return {
    command: ["dynamos-fabric", ...process.argv.slice(2)],
    startedAt: new Date().toISOString(),
    versions: versions(),
    ...numbers,
    spec: context.spec,
    settings,
    agreements: agreementsRecord(stored.flatMap((s) => (s === undefined ? [] : [s]))),
  };
}

function write(out: string, result: ExperimentResult, record: ExperimentRecord): void {
  mkdirSync(out, { recursive: true });
  const title = `${record.settings.request}, seed ${record.seed}`;
  writeFileSync(join(out, "result.json"), `${JSON.stringify(result, null, 1)}\n`);
  writeFileSync(join(out, "record.json"), `${JSON.stringify(record, null, 1)}\n`);
  writeFileSync(join(out, "rounds.csv"), roundsCsv(result));
  writeFileSync(
    join(out, "accuracy.svg"),
    accuracyPlot(result, `Accuracy by round (${title}); × = the policy changed`),
  );
  writeFileSync(
    join(out, "durations.svg"),
    durationsPlot(result, `What the first rounds spent their time on (${title})`),
  );
}

function conclude(
  result: ExperimentResult,
  violations: readonly string[],
  say: (line: string) => void,
  out: string,
): number {
  const verdicts = result.runs.map((run) => ({ run, verdict: judge(run) }));
  const held = verdicts.filter((v) => v.verdict.held).length;
  const after = verdicts.reduce((sum, v) => sum + v.verdict.roundsAfterChange, 0) + violations.length;
  for (const { run, verdict } of verdicts) if (!verdict.held) say(`run ${run.run}: ${verdict.text}`);
  for (const line of violations) say(line);
  const changed = result.runs.some((r) => r.changes.some((c) => c.duringRound !== undefined));
  if (changed)
    say(
      `policy held in ${held} of ${result.runs.length} runs: ${after} rounds after the change (checked against etcd's history)`,
    );
  else
    say(
      `${held} of ${result.runs.length} runs completed; last accuracy ${result.runs.at(-1)?.rounds.at(-1)?.accuracy?.toFixed(3) ?? "-"}`,
    );
  say(`results: ${out} (record.json repeats this) · stack still up: npm run status | down`);
  return held === result.runs.length && violations.length === 0 ? 0 : 1;
}

function count(text: string): number {
  const value = whole(text);
  if (value < 1) throw new InvalidArgumentError("a number from 1");
  return value;
}

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError("a whole number");
  return value;
}
