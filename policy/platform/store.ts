import { setTimeout as sleep } from "node:timers/promises";
import {
  Compare_CompareResult,
  Compare_CompareTarget,
  Event_EventType,
  type RequestOp,
  type TxnResponse,
} from "../contract/generated/etcd.js";
import { KEY } from "../contract/names.js";
import { CodedError } from "../contract/problem.js";
import { ETCD, EtcdClient, type Login, rangeEnd, text, utf8 } from "./etcd-client.js";
import { watchFrom } from "./etcd-watch.js";
import { createLogger, type Logger } from "./log.js";
import { type Change, type Entry, EtcdMirror, type Mirror } from "./mirror.js";
import { keepPresence, type Presence, type PresenceOptions } from "./presence.js";

export type { Change, Entry, Mirror } from "./mirror.js";
export type { Presence, PresenceOptions } from "./presence.js";

export interface StoreOptions {
  /** `host:port` */
  readonly endpoint: string;
  /** Absent: the store asks nobody who they are. */
  readonly login?: Login;
  readonly log?: Logger;
}

/** How long a call waits for a store that is away. */
export interface Patience {
  /** Milliseconds that it is tried again. Default 10 s; 0: an error at once. */
  readonly patience?: number;
}

/** Condition on a write. */
export interface IfRevision extends Patience {
  /** The key's mod revision must be this; 0: the key must be absent. */
  readonly ifRevision?: number;
}

const PATIENCE_MS = 30_000;
const HISTORY_LIMIT_MS = 60_000;

/**
 * The store (etcd) as services see it: keys with JSON values, each write with a revision. Calls live through a short absence of the store (10 s).
 * A conditional write that is tried again recognises its own first attempt by its value, so make values unique (a time, an id).
 */
export class Store {
  readonly #client: EtcdClient;
  readonly #log: Logger;
  readonly #open = new Set<{ close(): Promise<void> }>();

  private constructor(client: EtcdClient, log: Logger) {
    this.#client = client;
    this.#log = log;
  }

  /** @throws {@link CodedError} `STO-UNREACHABLE` when the store does not answer within 30 s; `STO-LOGIN` */
  static async connect(options: StoreOptions): Promise<Store> {
    const client = new EtcdClient(options.endpoint, options.login);
    const deadline = performance.now() + PATIENCE_MS;
    try {
      // A store that just came up may still elect its leader, which shows as a timeout.
      for (;;) {
        try {
          await client.call(
            ETCD.range,
            { key: utf8(KEY.root), rangeEnd: new Uint8Array(), limit: 1, revision: 0, keysOnly: true },
            { retryMs: deadline - performance.now() },
          );
          break;
        } catch (error) {
          if (performance.now() >= deadline || client.problem(error).code !== "STO-TIMEOUT") throw error;
          await sleep(100);
        }
      }
    } catch (error) {
      client.close();
      throw error;
    }
    return new Store(client, options.log ?? createLogger(process.env.SERVICE_NAME ?? "store"));
  }

  /** @throws {@link CodedError} `STO-BAD-VALUE` when the value is not JSON */
  async get<T>(key: string, options: Patience = {}): Promise<Entry<T> | undefined> {
    const request = { key: utf8(key), rangeEnd: new Uint8Array(), limit: 1, revision: 0, keysOnly: false };
    const answer = await this.#client.call(ETCD.range, request, retries(options));
    const kv = answer.kvs[0];
    return kv === undefined ? undefined : { key, value: parse<T>(key, kv.value), revision: kv.modRevision };
  }

  /** All entries below a prefix as of one revision, by key. Values that are not JSON are logged and left out. */
  async list<T>(
    prefix: string,
    options: Patience = {},
  ): Promise<{ entries: readonly Entry<T>[]; revision: number }> {
    const request = { key: utf8(prefix), rangeEnd: rangeEnd(prefix), limit: 0, revision: 0, keysOnly: false };
    const answer = await this.#client.call(ETCD.range, request, retries(options));
    const entries = answer.kvs.flatMap((kv): Entry<T>[] => {
      const key = text(kv.key);
      try {
        return [{ key, value: parse<T>(key, kv.value), revision: kv.modRevision }];
      } catch (error) {
        this.#log.warn({ key, error }, "a value in the store is not JSON; the key counts as absent");
        return [];
      }
    });
    return { entries, revision: answer.header?.revision ?? 0 };
  }

  /**
   * Writes a value; resolves with the write's revision once the store has it on disk.
   *
   * @throws {@link CodedError} `STO-CONFLICT` when the key's revision is not `ifRevision`
   */
  async put(key: string, value: unknown, options: IfRevision = {}): Promise<number> {
    const body = utf8(JSON.stringify(value));
    if (options.ifRevision === undefined) {
      const request = { key: utf8(key), value: body, lease: 0 };
      const answer = await this.#client.call(ETCD.put, request, retries(options));
      return answer.header?.revision ?? 0;
    }
    const result = await this.#putIf([{ key, revision: options.ifRevision }], key, body, options);
    if ("conflict" in result) throw conflict(key, options.ifRevision, result.found);
    return result.revision;
  }

  /** Writes several keys, each once, in ONE transaction; resolves with its revision once the store has all of them on disk. */
  async putAll(
    entries: readonly { readonly key: string; readonly value: unknown }[],
    options: Patience = {},
  ): Promise<number> {
    const [only, another] = entries;
    if (only !== undefined && another === undefined) return await this.put(only.key, only.value, options);
    const success = entries.map(({ key, value }) => ({
      requestPut: { key: utf8(key), value: utf8(JSON.stringify(value)), lease: 0 },
    }));
    const request = { compare: [], success, failure: [] };
    const answer = await this.#client.call(ETCD.txn, request, retries(options));
    return answer.header?.revision ?? 0;
  }

  /**
   * Deletes a key; resolves with the revision at which it is gone. A key that is not there is no error.
   *
   * @throws {@link CodedError} `STO-CONFLICT` when the key's revision is not `ifRevision`
   */
  async delete(key: string, options: IfRevision = {}): Promise<number> {
    const name = utf8(key);
    if (options.ifRevision === undefined) {
      const gone = { key: name, rangeEnd: new Uint8Array() };
      const answer = await this.#client.call(ETCD.deleteRange, gone, retries(options));
      return answer.header?.revision ?? 0;
    }
    let retried = false;
    const request = {
      compare: [modRevision(key, options.ifRevision)],
      success: [{ requestDeleteRange: { key: name, rangeEnd: new Uint8Array() } }],
      failure: [readOne(key)],
    };
    const answer = await this.#client.call(ETCD.txn, request, {
      ...retries(options),
      onRetry: () => (retried = true),
    });
    if (answer.succeeded) return answer.header?.revision ?? 0;
    const found = answer.responses[0]?.responseRange?.kvs[0];
    if (found === undefined && retried) return answer.header?.revision ?? 0;
    throw conflict(key, options.ifRevision, found?.modRevision ?? 0);
  }

  /**
   * Writes a new key if all compared keys still have their revisions, in ONE transaction: the order of this write and any change of a compared
   * key is the store's order of revisions.
   *
   * @param compare - keys and their mod revisions, 0: absent
   * @param put - must be absent; its mod revision is the result
   */
  async open(
    compare: readonly { readonly key: string; readonly revision: number }[],
    put: { readonly key: string; readonly value: unknown },
    options: Patience = {},
  ): Promise<{ revision: number } | { conflict: true; revision: number }> {
    const result = await this.#putIf(
      [...compare, { key: put.key, revision: 0 }],
      put.key,
      utf8(JSON.stringify(put.value)),
      options,
    );
    return "conflict" in result
      ? { conflict: true, revision: result.revision }
      : { revision: result.revision };
  }

  /** Keeps a copy of everything below a prefix: reads it, then watches from that revision, through reconnects, restarts and compactions. */
  async mirror<T>(prefix: string): Promise<Mirror<T>> {
    return this.#keep(await EtcdMirror.open<T>(this.#client, prefix, this.#log));
  }

  /** The same for one key. */
  async mirrorKey<T>(key: string): Promise<Mirror<T>> {
    return this.#keep(await EtcdMirror.open<T>(this.#client, key, this.#log, true));
  }

  /** A key under a lease that is kept alive: written again when lost, gone `ttlSeconds` after a crash. */
  async presence(
    key: string,
    value: unknown,
    ttlSeconds: number,
    options: PresenceOptions = {},
  ): Promise<Presence> {
    return this.#keep(await keepPresence(this.#client, key, value, ttlSeconds, this.#log, options));
  }

  /**
   * All changes below a prefix from a revision (inclusive) to now, in order, from the store's own history.
   *
   * @throws {@link CodedError} `STO-COMPACTED` when the revision is compacted away
   */
  async history<T>(prefix: string, from: number): Promise<readonly Change<T>[]> {
    const now =
      (
        await this.#client.call(ETCD.range, {
          key: utf8(KEY.root),
          rangeEnd: new Uint8Array(),
          limit: 1,
          revision: 0,
          keysOnly: true,
        })
      ).header?.revision ?? 0;
    const start = Math.max(1, from);
    const changes: Change<T>[] = [];
    // The first revision is that of the empty store: the only one without an event.
    if (start > now || now <= 1) return changes;
    // Every revision is the write of some key, and all are below the root. Watching them therefore always ends with an event of the revision `now`.
    const everything = { key: utf8(KEY.root), rangeEnd: rangeEnd(KEY.root) };
    const done = new AbortController();
    const timer = setTimeout(() => done.abort(), HISTORY_LIMIT_MS);
    let reached = 0;
    try {
      await watchFrom(this.#client, everything, start, done.signal, (events) => {
        for (const { type, kv } of events) {
          if (kv === undefined) continue;
          reached = Math.max(reached, kv.modRevision);
          const key = text(kv.key);
          if (kv.modRevision > now || !key.startsWith(prefix)) continue;
          const deleted = type === Event_EventType.DELETE;
          changes.push({
            type: deleted ? "delete" : "put",
            key,
            value: deleted ? undefined : parsed<T>(key, kv.value),
            revision: kv.modRevision,
          });
        }
        if (reached >= now) done.abort();
      });
    } catch (error) {
      throw this.#client.problem(error);
    } finally {
      clearTimeout(timer);
    }
    if (reached >= now) return changes;
    throw new CodedError({
      code: "STO-TIMEOUT",
      path: prefix,
      message: `the store's history up to revision ${now} came only to ${reached}`,
      remedy: "try again",
    });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open].map((thing) => thing.close()));
    this.#client.close();
  }

  #keep<C extends { close(): Promise<void> }>(thing: C): C {
    this.#open.add(thing);
    return thing;
  }

  async #putIf(
    compare: readonly { readonly key: string; readonly revision: number }[],
    key: string,
    value: Buffer,
    options: Patience = {},
  ): Promise<{ revision: number } | { conflict: true; revision: number; found: number }> {
    let retried = false;
    const request = {
      compare: compare.map((c) => modRevision(c.key, c.revision)),
      success: [{ requestPut: { key: utf8(key), value, lease: 0 } }],
      failure: [readOne(key)],
    };
    const answer: TxnResponse = await this.#client.call(ETCD.txn, request, {
      ...retries(options),
      onRetry: () => (retried = true),
    });
    const revision = answer.header?.revision ?? 0;
    if (answer.succeeded) return { revision };
    const found = answer.responses[0]?.responseRange?.kvs[0];
    // The attempt that broke off had succeeded: the key bears our very value.
    if (retried && found !== undefined && value.equals(found.value)) return { revision: found.modRevision };
    return { conflict: true, revision, found: found?.modRevision ?? 0 };
  }
}

function retries({ patience }: Patience): { retryMs?: number } {
  return patience === undefined ? {} : { retryMs: patience };
}

function modRevision(key: string, revision: number) {
  return {
    result: Compare_CompareResult.EQUAL,
    target: Compare_CompareTarget.MOD,
    key: utf8(key),
    modRevision: revision,
  };
}

function readOne(key: string): RequestOp {
  return {
    requestRange: { key: utf8(key), rangeEnd: new Uint8Array(), limit: 1, revision: 0, keysOnly: false },
  };
}

function parse<T>(key: string, value: Uint8Array): T {
  try {
    return JSON.parse(text(value)) as T;
  } catch (error) {
    throw new CodedError(
      {
        code: "STO-BAD-VALUE",
        path: key,
        message: "the value in the store is not JSON",
        remedy: "write the document again",
      },
      { cause: error },
    );
  }
}

/** For a history: a value that somebody wrote and that is no JSON is one of its changes. */
function parsed<T>(key: string, value: Uint8Array): T | undefined {
  try {
    return parse<T>(key, value);
  } catch {
    return undefined; // as `Change` says
  }
}

function conflict(key: string, wanted: number, found: number): CodedError {
  return new CodedError({
    code: "STO-CONFLICT",
    path: key,
    message:
      wanted === 0
        ? `${key} is already there (revision ${found})`
        : `${key} has revision ${found}, not ${wanted}`,
    remedy: "read it again, and repeat the change on what is there now",
  });
}
