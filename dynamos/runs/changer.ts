import { readFileSync } from "node:fs";
import type { Agreement } from "../../policy/contract/documents.js";
import { serverEvents } from "../client/sse.js";
import { leaveAgreement, type Operator, readAgreement, writeAgreement } from "./agreements-api.js";
import { owe, payBack } from "./restore.js";

/**
 * The party that changes its mind: a process of its own, which knows nothing but the orchestrator's API. It waits until the drawn round has been
 * opened, waits a part of a round's usual time, and takes the user out of the agreement, or writes the one it was given. It puts the agreement back when its parent says so,
 * and also when its parent is gone.
 */
export interface ChangerOrder {
  readonly state: string;
  readonly orchestrator: string;
  readonly tokenFile: string;
  readonly job: string;
  readonly party: string;
  readonly user: string;
  /** The agreement to write. Absent: the user is taken out of the one that is there. */
  readonly agreement?: Agreement;
  /** What is to be put back, where the experiment itself has changed it before. Absent: what is there. */
  readonly original?: Agreement;
  readonly round: number;
  /** How far into the round, 0 to 1. */
  readonly fraction: number;
}

/** What the changer tells its parent. */
export type ChangerMessage =
  | { readonly type: "watching" }
  | {
      readonly type: "changed";
      /** etcd revision of the change. */
      readonly revision: number;
      /** The last round opened before it. */
      readonly duringRound: number;
      /** Whether that round had not been reported as ended when the change was acknowledged. */
      readonly inside: boolean;
    }
  | { readonly type: "restored" }
  | { readonly type: "nothing"; readonly why: string }
  | { readonly type: "error"; readonly message: string };

async function main(order: ChangerOrder): Promise<void> {
  const operator: Operator = { url: order.orchestrator, token: readFileSync(order.tokenFile, "utf8").trim() };
  const restore = async (): Promise<void> => {
    await payBack(order.state, operator);
    say({ type: "restored" });
  };
  let finish: () => void = () => undefined;
  const told = new Promise<void>((resolve) => {
    finish = resolve;
  });
  process.on("message", (m) => m === "restore" && finish());
  process.on("disconnect", finish);
  // Ctrl-C reaches the whole terminal group: the parent decides when, this process must live to put things back.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", finish);

  const stop = new AbortController();
  const work = change(order, operator, stop.signal).catch((error: unknown) => {
    if (!stop.signal.aborted)
      say({ type: "error", message: error instanceof Error ? error.message : String(error) });
  });
  await told;
  stop.abort();
  await work;
  await restore();
  process.disconnect?.();
}

async function change(order: ChangerOrder, operator: Operator, signal: AbortSignal): Promise<void> {
  const stored = await readAgreement(operator, order.party);
  if (stored === undefined) return say({ type: "nothing", why: `${order.party} has no agreement` });
  const opened: { round: number; token: number }[] = [];
  const lengths: number[] = [];
  let since = performance.now();
  let leaving: Promise<number> | undefined;
  let committed = false;
  let endedFirst = false;

  const url = `${order.orchestrator}/api/v1/jobs/${order.job}/events`;
  const events = serverEvents(url, { token: operator.token, signal });
  say({ type: "watching" });
  try {
    for await (const { event, data } of events) {
      const { round = 0, token = 0 } = data as { round?: number; token?: number };
      if (event === "round-open") {
        opened.push({ round, token });
        since = performance.now();
        if (round >= order.round && leaving === undefined) {
          // The change itself takes part of a round: aim at the first half, so that it is committed inside.
          leaving = leaveAfter(order.fraction * 0.4 * median(lengths));
        }
      } else if (event === "round") {
        lengths.push(performance.now() - since);
        endedFirst ||= leaving !== undefined && !committed;
      } else if (event === "end") break;
    }
  } finally {
    // Told to stop in the middle of it: what is on its way must have arrived before it is put back.
    await leaving?.catch(() => undefined);
  }
  if (leaving === undefined)
    return say({ type: "nothing", why: `the job ended before round ${order.round}` });
  const revision = await leaving;
  const duringRound = Math.max(0, ...opened.filter((o) => o.token < revision).map((o) => o.round));
  say({ type: "changed", revision, duringRound, inside: !endedFirst });

  async function leaveAfter(milliseconds: number): Promise<number> {
    if (milliseconds >= 1) await new Promise((r) => setTimeout(r, milliseconds));
    if (stored === undefined || signal.aborted) return 0;
    const original = order.original ?? stored.document;
    owe(order.state, { agreement: original });
    const at =
      order.agreement === undefined
        ? await leaveAgreement(operator, stored, order.user)
        : await writeAgreement(operator, order.agreement, stored.revision);
    committed = true;
    owe(order.state, { agreement: original, changedAt: at });
    return at;
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
