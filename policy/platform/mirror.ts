import { setTimeout as sleep } from "node:timers/promises";
import { type Event, Event_EventType, type KeyValue } from "../contract/generated/etcd.js";
import { CodedError } from "../contract/problem.js";
import { ETCD, type EtcdClient, rangeEnd, text, utf8 } from "./etcd-client.js";
import { watchFrom } from "./etcd-watch.js";
import type { Logger } from "./log.js";

/** A key with its value and the revision at which it was last written. */
export interface Entry<T = unknown> {
  readonly key: string;
  readonly value: T;
  /** etcd's mod revision. */
  readonly revision: number;
}

/** One change of one key. A put whose value is not JSON has value `undefined`. */
export interface Change<T = unknown> {
  readonly type: "put" | "delete";
  readonly key: string;
  readonly value: T | undefined;
  readonly revision: number;
}

/** All entries below a prefix, kept current by a watch. */
export interface Mirror<T> {
  /** An entry whose value is not JSON is not there. */
  get(key: string): Entry<T> | undefined;
  all(): readonly Entry<T>[];
  /** Every change up to this revision is in. */
  readonly revision: number;
  /**
   * Resolves once every change up to `revision` is in.
   *
   * @throws {@link CodedError} `STO-BEHIND` after `milliseconds`
   */
  seen(revision: number, milliseconds: number): Promise<void>;
  /** Tells of each change, in order, after it is in. After a loss of history it tells the difference. */
  onChange(listener: (change: Change<T>) => void): void;
  close(): Promise<void>;
}

/** How long `seen` trusts to events before it asks the store, and between such questions. */
const ASK_AFTER_MS = { first: 25, next: 100 };
const RETRY_MS = { least: 100, most: 2_000 };

interface Waiter {
  readonly revision: number;
  readonly resolve: () => void;
}

export class EtcdMirror<T> implements Mirror<T> {
  readonly #client: EtcdClient;
  /** Of the keys, or the one key. */
  readonly #prefix: string;
  readonly #rangeEnd: Uint8Array;
  readonly #log: Logger;
  readonly #entries = new Map<string, Entry<T>>();
  /** Mod revision of every key there, also of those whose value is not JSON. */
  readonly #revisions = new Map<string, number>();
  readonly #listeners = new Set<(change: Change<T>) => void>();
  readonly #waiters = new Set<Waiter>();
  readonly #stop = new AbortController();
  #sorted: readonly Entry<T>[] | undefined;
  #revision = 0;
  /** Events up to here have come by the watch; `#revision` may be ahead of it, see {@link EtcdMirror.#ask}. */
  #watched = 0;
  #running: Promise<void> = Promise.resolve();

  private constructor(client: EtcdClient, prefix: string, log: Logger, one: boolean) {
    this.#client = client;
    this.#prefix = prefix;
    this.#rangeEnd = one ? new Uint8Array() : rangeEnd(prefix);
    this.#log = log;
  }

  /** @param one - the key alone, not all that begin with it */
  static async open<T>(client: EtcdClient, prefix: string, log: Logger, one = false): Promise<EtcdMirror<T>> {
    const mirror = new EtcdMirror<T>(client, prefix, log, one);
    await mirror.#load();
    mirror.#running = mirror.#follow();
    return mirror;
  }

  get revision(): number {
    return this.#revision;
  }

  get(key: string): Entry<T> | undefined {
    return this.#entries.get(key);
  }

  all(): readonly Entry<T>[] {
    this.#sorted ??= [...this.#entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
    return this.#sorted;
  }

  onChange(listener: (change: Change<T>) => void): void {
    this.#listeners.add(listener);
  }

  async seen(revision: number, milliseconds: number): Promise<void> {
    if (this.#revision >= revision) return;
    const end = new AbortController();
    const arrived = new Promise<void>((resolve) => {
      const waiter = { revision, resolve };
      this.#waiters.add(waiter);
      end.signal.addEventListener("abort", () => this.#waiters.delete(waiter));
    });
    // Nothing below our prefix may have changed at that revision, and then no event comes: so we ask.
    const late = this.#askUntil(revision, performance.now() + milliseconds, end.signal);
    try {
      await Promise.race([arrived, late]);
    } finally {
      end.abort();
    }
    if (this.#revision >= revision) return;
    throw new CodedError({
      code: "STO-BEHIND",
      path: this.#prefix,
      message: `what the store holds below ${this.#prefix} is known up to revision ${this.#revision}, not yet ${revision}`,
      remedy: "is the store reachable? try again in a moment",
    });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #askUntil(revision: number, deadline: number, signal: AbortSignal): Promise<void> {
    for (let pause = ASK_AFTER_MS.first; ; pause = ASK_AFTER_MS.next) {
      const left = deadline - performance.now();
      if (left <= 0) return;
      await sleep(Math.min(pause, left), undefined, { signal }).catch(() => {}); // it has arrived
      if (signal.aborted || this.#revision >= revision) return;
      await this.#ask(Math.max(1, deadline - performance.now()));
    }
  }

  /** If the store's present state is ours, we have seen all changes up to the store's revision (or changes that undid each other). */
  async #ask(milliseconds: number): Promise<void> {
    try {
      const request = { ...this.#range(), keysOnly: true };
      const timeout = sleep(milliseconds, undefined, { ref: false });
      const answer = await Promise.race([timeout, this.#client.call(ETCD.range, request, { retryMs: 0 })]);
      if (answer === undefined || answer.kvs.length !== this.#revisions.size) return;
      if (answer.kvs.every((kv) => this.#revisions.get(text(kv.key)) === kv.modRevision))
        this.#advance(answer.header?.revision ?? 0);
    } catch (error) {
      this.#log.debug({ prefix: this.#prefix, error }, "cannot ask the store for its revision");
    }
  }

  #range() {
    return {
      key: utf8(this.#prefix),
      rangeEnd: this.#rangeEnd,
      limit: 0,
      revision: 0,
      keysOnly: false,
    };
  }

  /** Reads everything, and tells listeners what differs from what we had. */
  async #load(): Promise<void> {
    const answer = await this.#client.call(ETCD.range, this.#range());
    const revision = answer.header?.revision ?? 0;
    // A store restored from an older backup counts anew from there, and so do we.
    if (revision < this.#watched) this.#revision = 0;
    const present = new Set<string>();
    for (const kv of answer.kvs) {
      const key = text(kv.key);
      present.add(key);
      if (this.#revisions.get(key) !== kv.modRevision) this.#put(key, kv);
    }
    for (const key of [...this.#revisions.keys()]) {
      if (!present.has(key)) this.#delete(key, revision);
    }
    this.#watched = revision;
    this.#advance(revision);
  }

  async #loadAgain(): Promise<boolean> {
    try {
      await this.#load();
      return true;
    } catch (error) {
      this.#log.warn({ prefix: this.#prefix, error }, "cannot read from the store");
      return false;
    }
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    let pause: number = RETRY_MS.least;
    while (!signal.aborted) {
      try {
        const range = { key: utf8(this.#prefix), rangeEnd: this.#rangeEnd };
        await watchFrom(this.#client, range, this.#watched + 1, signal, (events) => {
          pause = RETRY_MS.least;
          this.#apply(events);
        });
        if (signal.aborted) return;
      } catch (error) {
        if (signal.aborted) return;
        const problem = this.#client.problem(error);
        if (problem.code === "STO-COMPACTED" || problem.code === "STO-REWOUND") {
          this.#log.warn(
            { prefix: this.#prefix, error: problem },
            "a watch cannot go on from where it was; reading all anew",
          );
          if (await this.#loadAgain()) continue;
        }
        this.#log.debug({ prefix: this.#prefix, error: problem }, "a watch ended; opening it again");
      }
      await sleep(pause, undefined, { signal }).catch(() => {}); // close() ends the pause
      pause = Math.min(2 * pause, RETRY_MS.most);
    }
  }

  #apply(events: readonly Event[]): void {
    let last = this.#watched;
    for (const { type, kv } of events) {
      if (kv === undefined || kv.modRevision <= this.#watched) continue;
      const key = text(kv.key);
      last = Math.max(last, kv.modRevision);
      if (type === Event_EventType.DELETE) this.#delete(key, kv.modRevision);
      else this.#put(key, kv);
    }
    this.#watched = last;
    this.#advance(last);
  }

  #put(key: string, kv: KeyValue): void {
    const value = this.#parse(key, kv.value);
    // What we asked for is newer than this event: the state has it already, the listeners have not.
    if (kv.modRevision > this.#revision || this.#revision === 0) {
      this.#revisions.set(key, kv.modRevision);
      if (value === undefined) this.#entries.delete(key);
      else this.#entries.set(key, { key, value, revision: kv.modRevision });
      this.#sorted = undefined;
    }
    this.#tell({ type: "put", key, value, revision: kv.modRevision });
  }

  #delete(key: string, revision: number): void {
    if (revision > this.#revision) {
      this.#revisions.delete(key);
      this.#entries.delete(key);
      this.#sorted = undefined;
    }
    this.#tell({ type: "delete", key, value: undefined, revision });
  }

  #parse(key: string, bytes: Uint8Array): T | undefined {
    try {
      return JSON.parse(text(bytes)) as T;
    } catch {
      this.#log.warn(
        { code: "STO-BAD-VALUE", key },
        "a value in the store is not JSON; the key counts as absent",
      );
      return undefined;
    }
  }

  #tell(change: Change<T>): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#log.error({ key: change.key, error }, "a listener to the store failed");
      }
    }
  }

  #advance(revision: number): void {
    if (revision <= this.#revision) return;
    this.#revision = revision;
    for (const waiter of [...this.#waiters]) {
      if (waiter.revision > revision) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }
}
