import { Etcd3, type IKeyValue, type Watcher } from "etcd3";
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
export function judgeHistory(events: readonly HistoryEvent[], job: string, changeRevision: number): HistoryVerdict {
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
 * Reads all that happened in the store from revision `from` on, from etcd itself: nothing that the services say of themselves.
 * Throws EXP-HISTORY-COMPACTED when etcd no longer holds it.
 */
export async function readHistory(endpoint: string, from: number): Promise<readonly HistoryEvent[]> {
  const client = new Etcd3({ hosts: `http://${endpoint}` });
  try {
    const head = await client.getAll().prefix("/").limit(1).exec();
    const until = Number(head.header.revision);
    return await replay(client, from, until);
  } finally {
    client.close();
  }
}

async function replay(client: Etcd3, from: number, until: number): Promise<readonly HistoryEvent[]> {
  if (from > until) return [];
  const events: HistoryEvent[] = [];
  // A write of our own after `until`: when the watch shows it, it has shown all that came before.
  const fence = `/experiment/fence/${process.pid}-${until}`;
  const watcher = await client.watch().prefix("/").startRevision(String(from)).create();
  try {
    const done = untilFence(watcher, fence, events);
    await client.put(fence).value("");
    await done;
  } finally {
    await watcher.cancel().catch(() => undefined);
    await client.delete().key(fence);
  }
  return events.filter((e) => e.revision <= until);
}

function untilFence(watcher: Watcher, fence: string, events: HistoryEvent[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(tooSlow()), 20_000);
    const note = (type: "put" | "delete") => (kv: IKeyValue) => {
      const key = kv.key.toString();
      if (key === fence) {
        clearTimeout(late);
        resolve();
        return;
      }
      events.push({ type, key, revision: Number(kv.mod_revision) });
    };
    watcher.on("put", note("put"));
    watcher.on("delete", note("delete"));
    watcher.on("error", (error) => {
      clearTimeout(late);
      reject(compacted(error));
    });
  });
}

const compacted = (cause: Error): InfraError =>
  new InfraError(
    {
      code: "EXP-HISTORY-COMPACTED",
      message: `etcd cannot tell its history: ${cause.message}`,
      remedy: "run the experiment again; the store of a local stack keeps its whole history while it runs",
    },
    { cause },
  );

const tooSlow = (): InfraError =>
  new InfraError({ code: "EXP-HISTORY-SLOW", message: "etcd did not tell its history within 20 s", remedy: "is the machine overloaded? Run it again" });
