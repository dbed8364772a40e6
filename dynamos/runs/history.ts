import { InfraError } from "../../infra/problem.js";
import { KEY } from "../../policy/contract/names.js";
import {
  base64,
  fromBase64,
  prefixEnd,
  StoreGateway,
  type StoreLogin,
} from "../../policy/setup/store-gateway.js";
import { FENCE_PREFIX } from "../store-rights.js";

/** One change of one key, as etcd's own history tells it. */
export interface HistoryEvent {
  readonly revision: number;
  readonly type: "put" | "delete";
  readonly key: string;
}

/** A round that was opened although an agreement it stands on had changed before. */
export interface Violation {
  readonly job: string;
  readonly key: string;
  readonly openedAt: number;
  readonly changedAt: number;
}

/** What the history says about one job and one change. */
export interface HistoryVerdict {
  readonly roundsBefore: number;
  readonly lastToken: number;
  readonly violations: readonly Violation[];
}

/** Pure: rounds of `job` opened before and after `changeRevision`, in etcd's order. */
export function judgeHistory(
  events: readonly HistoryEvent[],
  job: string,
  changeRevision: number,
): HistoryVerdict {
  const opened = events.filter((e) => e.type === "put" && e.key.startsWith(KEY.roundPrefix(job)));
  const before = opened.filter((e) => e.revision < changeRevision);
  const after = opened.filter((e) => e.revision > changeRevision);
  return {
    roundsBefore: before.length,
    lastToken: Math.max(0, ...before.map((e) => e.revision)),
    violations: after.map((e) => ({ job, key: e.key, openedAt: e.revision, changedAt: changeRevision })),
  };
}

/**
 * Reads all that happened in the store from revision `from` on, from etcd itself, over its JSON gateway: nothing that the services say of themselves,
 * and none of the code by which they speak to it. Throws EXP-HISTORY when etcd cannot tell.
 */
export async function readHistory(
  endpoint: string,
  login: StoreLogin,
  from: number,
): Promise<readonly HistoryEvent[]> {
  const etcd = new StoreGateway(endpoint, login);
  // A write of our own: when the watch shows it, it has shown all that came before.
  const fence = base64(`${FENCE_PREFIX}fence/${process.pid}-${Date.now()}`);
  const stop = new AbortController();
  const late = setTimeout(() => stop.abort(), HISTORY_MS);
  try {
    const put = await etcd.call<{ header?: { revision?: string } }>("kv/put", { key: fence, value: "" });
    const until = Number(put.header?.revision);
    const events: HistoryEvent[] = [];
    for await (const event of watch(etcd, from, stop.signal)) {
      if (event.revision >= until) break;
      events.push(event);
    }
    return events;
  } catch (cause) {
    if (cause instanceof InfraError && cause.code === "EXP-HISTORY") throw cause;
    throw unreadable(
      stop.signal.aborted
        ? `not within ${HISTORY_MS / 1000} s`
        : String(cause instanceof Error ? cause.message : cause),
    );
  } finally {
    clearTimeout(late);
    stop.abort();
    await etcd.call("kv/deleterange", { key: fence }).catch(() => undefined);
  }
}

const HISTORY_MS = 30_000;

interface WatchLine {
  readonly result?: {
    readonly compact_revision?: string;
    readonly canceled?: boolean;
    readonly cancel_reason?: string;
    readonly events?: readonly {
      readonly type?: string;
      readonly kv: { readonly key: string; readonly mod_revision: string };
    }[];
  };
  readonly error?: { readonly message?: string };
}

/** All changes below `/` from a revision on, in order; never ends by itself. */
async function* watch(etcd: StoreGateway, from: number, signal: AbortSignal): AsyncGenerator<HistoryEvent> {
  const range = {
    key: base64(KEY.root),
    range_end: base64(prefixEnd(KEY.root)),
    start_revision: String(from),
  };
  const response = await etcd.open("watch", { create_request: range }, signal);
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of response.body ?? []) {
    const lines = `${rest}${decoder.decode(chunk as Uint8Array, { stream: true })}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield* eventsOf(JSON.parse(line) as WatchLine);
  }
  throw unreadable("the watch ended");
}

function eventsOf({ result, error }: WatchLine): HistoryEvent[] {
  if (error !== undefined) throw unreadable(error.message ?? "an error without a message");
  if (result?.compact_revision !== undefined)
    throw unreadable(`what came before revision ${result.compact_revision} was compacted`);
  if (result?.canceled === true) throw unreadable(result.cancel_reason ?? "it ended the watch");
  return (result?.events ?? []).map(({ type, kv }) => ({
    type: type === "DELETE" ? "delete" : "put",
    key: fromBase64(kv.key),
    revision: Number(kv.mod_revision),
  }));
}

const unreadable = (why: string): InfraError =>
  new InfraError({
    code: "EXP-HISTORY",
    message: `etcd cannot tell its history: ${why}`,
    remedy: "run the experiment again; the store of a local stack keeps its whole history while it runs",
  });
