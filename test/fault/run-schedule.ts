/** Runs one schedule from an empty stack to its slice's end, and says what went wrong. */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isEnding } from "../../infra/fabric/mark-file.js";
import { endUnrecordedSlices } from "../../infra/fabric/unrecorded-slices.js";
import { silentProgress } from "../../infra/toolchain/progress.js";
import { repairStack } from "../../infra/toolchain/repair.js";
import type { TestStack } from "../support/engine.js";
import { EmulatorProcess } from "./emulator-process.js";
import { type EngineRun, type RunPlace, runEngine } from "./engine-run.js";
import { apiOf, type Ground, ours, testbed } from "./ground.js";
import {
  faultsAfterDestroy,
  faultsAfterUp,
  faultsAtOthers,
  type Look,
  readCheckpoint,
  untouched,
} from "./invariants.js";
import {
  describeBlow,
  describeSliverFault,
  kindOf,
  type Schedule,
  type Step,
  type Wish,
} from "./schedule.js";

export interface Outcome {
  readonly seed: number;
  readonly ok: boolean;
  /** What was asked for, what was hit, and how many runs it took then. */
  readonly story: readonly string[];
  /** Blows that fell on somebody, e.g. `engine at modify answered`. */
  readonly hits: readonly string[];
  /** Blows whose moment did not come. */
  readonly missed: number;
  /** Calls that were answered badly. */
  readonly faults: number;
  /** Runs after a blow that did not end well although nothing hit them, by what they said. */
  readonly again: readonly string[];
  readonly seconds: number;
  /** What was wrong. */
  readonly wrong: readonly string[];
}

/** Runs after a hit one that may be needed until all is well. */
const mostRuns = 2;

export async function runSchedule(ground: Ground, schedule: Schedule): Promise<Outcome> {
  const began = performance.now();
  const stack = ground.stack();
  const folder = mkdtempSync(join(ground.folder, `${schedule.seed}-`));
  const emulator = EmulatorProcess.start(folder, { ...testbed, delays: schedule.delays }, ground.others);
  ground.gate.open(emulator.port);
  const bench = new Bench(ground, stack, emulator);
  try {
    await bench.run(schedule);
  } catch (error) {
    bench.wrong.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  } finally {
    await emulator.stop();
    stack.end();
    rmSync(folder, { recursive: true, force: true });
  }
  const { story, hits, missed, faults, again, wrong } = bench;
  return {
    seed: schedule.seed,
    ok: wrong.length === 0,
    story,
    hits,
    missed,
    faults,
    again,
    wrong,
    seconds: (performance.now() - began) / 1000,
  };
}

class Bench {
  readonly story: string[] = [];
  readonly again: string[] = [];
  readonly wrong: string[] = [];
  readonly hits: string[] = [];
  missed = 0;
  faults = 0;
  /** Whether the slice's end had been asked for before the last run. */
  #ending = false;
  readonly #ground: Ground;
  readonly #stack: TestStack;
  readonly #emulator: EmulatorProcess;

  constructor(ground: Ground, stack: TestStack, emulator: EmulatorProcess) {
    this.#ground = ground;
    this.#stack = stack;
    this.#emulator = emulator;
  }

  async run(schedule: Schedule): Promise<void> {
    const first = await this.#look();
    for (const step of schedule.steps) {
      await this.#step(step);
      this.wrong.push(...faultsAtOthers(first, await this.#look(), ours));
      const foreign = first.records.map((s) => s.id);
      for (const { call, of } of this.#ground.gate.asked)
        if (foreign.includes(of)) this.wrong.push(`${call} was asked of another's slice ${of}`);
      if (this.wrong.length > 0) return;
    }
  }

  async #step(step: Step): Promise<void> {
    const before = await this.#look();
    if (step.slivers.length > 0) await this.#emulator.spoilSlivers(step.slivers);
    const run = await this.#pulumi(step.wish, step);
    const words = step.wish.kind === "up" ? step.wish.what : "destroy";
    if (step.blow === undefined && step.faults.length + step.slivers.length === 0) {
      this.story.push(words);
      if (run.code !== 0) this.wrong.push(`${words} failed although nothing hit it: ${run.text}`);
      else await this.#check(step.wish, before);
      return;
    }
    this.story.push(`${words} [${whatHit(step, run)}: ${run.code}]`);
    if (run.code === 0) await this.#check(step.wish, before);
    if (run.code === 0 && step.next === step.wish) return;
    await this.#recover(step);
  }

  /** What the next command does. */
  async #recover({ next, second }: Step): Promise<void> {
    let blow = second;
    for (let attempt = 1; ; ) {
      const now = await this.#look();
      const run = await this.#pulumi(next, { ...(blow === undefined ? {} : { blow }), faults: [] });
      if (run.struck && blow !== undefined)
        this.story.push(`${next.kind} [${describeBlow(blow)}: ${run.code}]`);
      if (run.code === 0) {
        if (blow === undefined || !run.struck)
          this.story.push(attempt === 1 ? next.kind : `${next.kind} at the ${attempt}nd`);
        return await this.#check(next, now);
      }
      // A run that was hit does not count; the one after it is not hit.
      if (!run.struck) {
        this.again.push(reasonOf(run));
        if (attempt === mostRuns) {
          this.wrong.push(`${next.kind} failed ${mostRuns} times: ${run.text}`);
          return;
        }
        attempt += 1;
      }
      blow = undefined;
    }
  }

  async #pulumi(wish: Wish, trouble: Pick<Step, "blow" | "faults">): Promise<EngineRun> {
    if (wish.kind === "up") this.#ground.configure(this.#stack, wish);
    this.#ending = isEnding(this.#stack.state, ours.name);
    const engine = await this.#stack.engine();
    await repairStack(engine, silentProgress);
    const run = await runEngine(await this.#place(), [wish.kind, "--yes", "--skip-preview"], trouble);
    // What \`down\` does once the engine is done.
    if (wish.kind === "destroy" && run.code === 0) {
      this.#ground.gate.begin();
      await endUnrecordedSlices({ state: this.#stack.state, project: this.#stack.folder });
    }
    if (run.struck && trouble.blow !== undefined) this.hits.push(kindOf(trouble.blow));
    else if (trouble.blow !== undefined) this.missed += 1;
    this.faults += run.faults;
    return run;
  }

  /** @param before how all was when the run began that ended well */
  async #check(wish: Wish, before: Look): Promise<void> {
    const after = await this.#look();
    const { resources, pending } = readCheckpoint((await this.#place()).checkpoint);
    if (pending.length > 0)
      this.wrong.push(`operations are pending: ${JSON.stringify(pending).slice(0, 300)}`);
    if (wish.kind === "destroy") {
      const marks = join(this.#stack.state, "slices");
      this.wrong.push(...faultsAfterDestroy(after, ours, { checkpoint: resources, marks }));
      return;
    }
    const keep = untouched(before, ours, wish.nodes);
    const { nodes } = wish;
    this.wrong.push(
      ...faultsAfterUp({ before, after, ours, nodes, checkpoint: resources, keep, ending: this.#ending }),
    );
    // The engine's own word, once in a schedule: two seconds each.
    if (this.hits.length + this.faults > 0) await this.#preview();
  }

  async #preview(): Promise<void> {
    this.#ground.gate.begin();
    const preview = await this.#stack.preview();
    const changes = preview.steps.filter((s) => s.op !== "same").map((s) => `${s.op} ${s.urn}`);
    if (preview.code !== 0) this.wrong.push(`the preview failed: ${preview.text}`);
    if (changes.length > 0) this.wrong.push(`the preview shows ${changes.join(", ")}`);
  }

  /** The emulator's own word, not by way of the gate. */
  async #look(): Promise<Look> {
    await this.#emulator.isBack();
    const api = apiOf(`http://127.0.0.1:${await this.#emulator.port()}`);
    const records = this.#emulator.state().slices;
    const states = new Map((await api.slices()).map((s) => [s.sliceId, s.state]));
    return { records, states };
  }

  async #place(): Promise<RunPlace> {
    const engine = await this.#stack.engine();
    const checkpoint = join(
      engine.state,
      "backend",
      ".pulumi",
      "stacks",
      engine.projectName,
      `${engine.stack}.json`,
    );
    return { engine, gate: this.#ground.gate, emulator: this.#emulator, checkpoint };
  }
}

/** What befell a run, for the printed line. */
function whatHit({ blow, faults, slivers }: Step, run: EngineRun): string {
  const words = blow === undefined ? [] : [`${run.struck ? "" : "missed: "}${describeBlow(blow)}`];
  if (run.faults > 0)
    words.push(`${run.faults} of ${faults.map((f) => `${f.how} ${f.call} ${f.n}`).join(", ")}`);
  words.push(...slivers.map(describeSliverFault));
  return words.join(" with ") || "faults that were not met";
}

/** The first errors in what a run said. */
function reasonOf({ text, code }: EngineRun): string {
  const errors = text.split("\n").filter((line) => /\berror: (?!update failed)/i.test(line));
  const words = errors.map((line) => line.replace(/^.*\berror: /i, "").trim());
  return words.length > 0
    ? words.slice(0, 2).join(" | ").slice(0, 300)
    : `code ${code}: ${text.trim().slice(-200)}`;
}
