import { readFileSync } from "node:fs";
import type { Agreement } from "../../policy/contract/documents.js";
import { serverEvents } from "../client/sse.js";
import {
  leaveAgreement,
  type Operator,
  readAgreement,
  type StoredAgreement,
  writeAgreement,
} from "./agreements-api.js";
import { owe, payBack } from "./restore.js";

/**
 * The party that changes its mind: a process of its own, which knows nothing but the orchestrator's API. It follows the jobs it is told of. When the round that was drawn for a change has
 * been opened, it waits a part of a round's usual time, and takes the user out of the agreement, or writes the one it was given. It puts all agreements back when its parent says so,
 * and also when its parent is gone.
 */
export interface ChangerOrder {
  readonly state: string;
  readonly orchestrator: string;
  readonly tokenFile: string;
  readonly user: string;
  /** In order. */
  readonly changes: readonly ChangeOrder[];
}

/** One change. */
export interface ChangeOrder {
  readonly party: string;
  /** The agreement to write. Absent: the user is taken out of the one that is there. */
  readonly agreement?: Agreement;
  /** Of the run, whose jobs follow each other. */
  readonly round: number;
  /** How far into the round, 0 to 1. */
  readonly fraction: number;
}

/** What the parent says: to follow a job, whose first round is that one of the run; to put everything back and end. */
export type ChangerCommand = { readonly follow: string; readonly firstRound: number } | "restore";

/** A change that was made. */
export interface MadeChange {
  /** Its place in the order. */
  readonly which: number;
  /** etcd revision of the change. */
  readonly revision: number;
  /** The last round of the run that was opened before it. */
  readonly duringRound: number;
  /** Whether that round had not been reported as ended when the change was acknowledged. */
  readonly inside: boolean;
}

/** What the changer tells its parent. */
export type ChangerMessage =
  | { readonly type: "watching" }
  /** A job has ended; these changes were made while it ran. */
  | { readonly type: "ended"; readonly made: readonly MadeChange[] }
  | { readonly type: "restored" }
  | { readonly type: "error"; readonly message: string };

async function main(order: ChangerOrder): Promise<void> {
  const operator: Operator = { url: order.orchestrator, token: readFileSync(order.tokenFile, "utf8").trim() };
  const stop = new AbortController();
  const changing = new Changes(order, operator, stop.signal);
  let work = Promise.resolve();
  let finish: () => void = () => undefined;
  const told = new Promise<void>((resolve) => {
    finish = resolve;
  });
  process.on("message", (command: ChangerCommand) => {
    if (command === "restore") return finish();
    work = work
      .then(() => changing.follow(command.follow, command.firstRound))
      .then((made) => say({ type: "ended", made }))
      .catch((error: unknown) => {
        if (!stop.signal.aborted)
          say({ type: "error", message: error instanceof Error ? error.message : String(error) });
      });
  });
  process.on("disconnect", finish);
  // Ctrl-C reaches the whole terminal group: the parent decides when, this process must live to put things back.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", finish);
  await told;
  stop.abort();
  await work;
  await payBack(order.state, operator);
  say({ type: "restored" });
  process.disconnect?.();
}

/** The changes of a run, each made once. */
class Changes {
  readonly #order: ChangerOrder;
  readonly #operator: Operator;
  readonly #signal: AbortSignal;
  /** Agreements as they are, so that no look at them comes between a round and its change. */
  readonly #known = new Map<string, StoredAgreement>();
  readonly #lengths: number[] = [];
  #next = 0;

  constructor(order: ChangerOrder, operator: Operator, signal: AbortSignal) {
    this.#order = order;
    this.#operator = operator;
    this.#signal = signal;
  }

  /** Makes the changes whose rounds are of this job. */
  async follow(job: string, firstRound: number): Promise<readonly MadeChange[]> {
    for (const { party } of this.#order.changes) await this.#read(party);
    const opened: { round: number; token: number }[] = [];
    /** Begun in this job; `late`: its round ended before it was there. */
    const begun: { which: number; late: boolean; revision: number | undefined; done: Promise<void> }[] = [];
    let since = performance.now();
    const url = `${this.#operator.url}/api/v1/jobs/${job}/events`;
    const events = serverEvents(url, { token: this.#operator.token, signal: this.#signal });
    say({ type: "watching" });
    try {
      for await (const { event, data } of events) {
        const { round = 0, token = 0 } = data as { round?: number; token?: number };
        if (event === "round-open") {
          opened.push({ round: firstRound + round - 1, token });
          since = performance.now();
          const due = this.#order.changes[this.#next];
          if (due === undefined || firstRound + round - 1 < due.round) continue;
          const change: (typeof begun)[number] = {
            which: this.#next,
            late: false,
            revision: undefined,
            done: Promise.resolve(),
          };
          this.#next += 1;
          begun.push(change);
          // The change itself takes part of a round: aim at the first half, so that it is committed inside.
          change.done = this.#make(due, due.fraction * 0.4 * median(this.#lengths)).then((revision) => {
            change.revision = revision;
            return this.#read(due.party);
          });
          change.done.catch(() => undefined); // it is awaited below
        } else if (event === "round") {
          this.#lengths.push(performance.now() - since);
          for (const change of begun) change.late ||= change.revision === undefined;
        } else if (event === "end") break;
      }
    } finally {
      // Told to stop in the middle of one: what is on its way must have arrived before it is put back.
      await Promise.allSettled(begun.map(({ done }) => done));
    }
    await Promise.all(begun.map(({ done }) => done));
    return begun.map(({ which, late, revision = 0 }) => ({
      which,
      revision,
      duringRound: Math.max(firstRound - 1, ...opened.filter((o) => o.token < revision).map((o) => o.round)),
      inside: !late,
    }));
  }

  async #make({ party, agreement }: ChangeOrder, milliseconds: number): Promise<number> {
    if (milliseconds >= 1) await new Promise((r) => setTimeout(r, milliseconds));
    const stored = this.#known.get(party);
    if (stored === undefined) throw new Error(`${party} has no agreement`);
    if (this.#signal.aborted) return 0;
    const { state, user } = this.#order;
    owe(state, { agreement: stored.document });
    const at =
      agreement === undefined
        ? await leaveAgreement(this.#operator, stored, user)
        : await writeAgreement(this.#operator, agreement, stored.revision);
    owe(state, { agreement: stored.document, changedAt: at });
    return at;
  }

  async #read(party: string): Promise<void> {
    const stored = await readAgreement(this.#operator, party);
    if (stored === undefined) throw new Error(`${party} has no agreement`);
    this.#known.set(party, stored);
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function say(message: ChangerMessage): void {
  if (process.connected) process.send?.(message);
}

if (require.main === module) {
  main(JSON.parse(process.argv[2] ?? "{}") as ChangerOrder).catch((error: unknown) => {
    say({ type: "error", message: error instanceof Error ? error.message : String(error) });
    process.exitCode = 1;
  });
}
