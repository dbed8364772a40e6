import { fetch, type Response } from "undici";
import { InfraError } from "../../infra/problem.js";
import { KEY } from "../../policy/contract/names.js";

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
export async function readHistory(endpoint: string, from: number): Promise<readonly HistoryEvent[]> {
  const etcd = new Gateway(endpoint);
  // A write of our own: when the watch shows it, it has shown all that came before.
  const fence = `/experiment/fence/${process.pid}-${Date.now()}`;
  const stop = new AbortController();
  const late = setTimeout(() => stop.abort(), HISTORY_MS);
  try {
    const until = await etcd.put(fence);
    const events: HistoryEvent[] = [];
    for await (const event of etcd.watch(from, stop.signal)) {
      if (event.revision >= until) break;
      events.push(event);
    }
    return events;
  } catch (cause) {
    if (cause instanceof InfraError) throw cause;
    throw unreadable(
      stop.signal.aborted
        ? `not within ${HISTORY_MS / 1000} s`
        : String(cause instanceof Error ? cause.message : cause),
    );
  } finally {
    clearTimeout(late);
    stop.abort();
    await etcd.remove(fence).catch(() => undefined);
  }
}

const HISTORY_MS = 30_000;

interface WatchLine {
  readonly result?: {
    readonly compact_revision?: string;
    readonly events?: readonly {
      readonly type?: string;
      readonly kv: { readonly key: string; readonly mod_revision: string };
    }[];
  };
  readonly error?: { readonly message?: string };
}

/** The few calls of etcd's v3 JSON gateway that the checker needs. Keys and values travel in base64, numbers as text. */
class Gateway {
  readonly #url: string;

  constructor(endpoint: string) {
    this.#url = `http://${endpoint}/v3`;
  }

  async put(key: string): Promise<number> {
    const answer = (await this.#post("kv/put", { key: base64(key), value: "" }).then((r) => r.json())) as {
      header?: { revision?: string };
    };
    return Number(answer.header?.revision);
  }

  async remove(key: string): Promise<void> {
    await this.#post("kv/deleterange", { key: base64(key) });
  }

  /** All changes below `/` from a revision on, in order; never ends by itself. */
  async *watch(from: number, signal: AbortSignal): AsyncGenerator<HistoryEvent> {
    const range = { key: base64("/"), range_end: base64("0"), start_revision: String(from) };
    const response = await this.#post("watch", { create_request: range }, signal);
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of response.body ?? []) {
      const lines = `${rest}${decoder.decode(chunk as Uint8Array, { stream: true })}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) yield* eventsOf(JSON.parse(line) as WatchLine);
    }
    throw unreadable("the watch ended");
  }

  async #post(path: string, body: object, signal?: AbortSignal): Promise<Response> {
    const response = await fetch(`${this.#url}/${path}`, {
      method: "POST",
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
    if (!response.ok) throw unreadable(`HTTP ${response.status} ${await response.text()}`);
    return response;
  }
}

function eventsOf({ result, error }: WatchLine): HistoryEvent[] {
  if (error !== undefined) throw unreadable(error.message ?? "an error without a message");
  if (result?.compact_revision !== undefined)
    throw unreadable(`what came before revision ${result.compact_revision} was compacted`);
  return (result?.events ?? []).map(({ type, kv }) => ({
    type: type === "DELETE" ? "delete" : "put",
    key: Buffer.from(kv.key, "base64").toString(),
    revision: Number(kv.mod_revision),
  }));
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

const unreadable = (why: string): InfraError =>
  new InfraError({
    code: "EXP-HISTORY",
    message: `etcd cannot tell its history: ${why}`,
    remedy: "run the experiment again; the store of a local stack keeps its whole history while it runs",
  });
