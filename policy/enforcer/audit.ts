import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { AuditKind, AuditRecord } from "../contract/audit.js";
import { CHAIN_BEGIN, type ChainEnd } from "../contract/audit-segment.js";
import { CodedError, type Problem } from "../contract/problem.js";
import type { Logger } from "../platform/log.js";
import { type AuditStore, CheckpointSigner } from "./audit-checkpoints.js";
import { recover } from "./audit-recovery.js";
import { SegmentWriter } from "./audit-segment-file.js";

export interface AuditOptions {
  /** The segments' folder. Made where it is not there. */
  readonly folder: string;
  /** The service's name: its checkpoints stand in the store under it. */
  readonly enforcer: string;
  readonly store: AuditStore;
  readonly log: Logger;
  /** Bytes from which on a segment is followed by the next. Default 16 MiB. */
  readonly segmentBytes?: number;
  /** A checkpoint is signed after so many records. Default 5000. */
  readonly checkpointRecords?: number;
  /** And after so many milliseconds, where there is a new record. Default 5000. */
  readonly checkpointMs?: number;
  /** Pause after a fault. Default 500 ms. */
  readonly retryMs?: number;
  /**
   * Least milliseconds between two writes: what comes meanwhile shares one wait for the disk. Nobody's answer waits for it, only its
   * acknowledgement. Default 5.
   */
  readonly gatherMs?: number;
}

/** What happened, before it has its place in the chain. */
export interface AuditEntry {
  readonly kind: AuditKind;
  readonly facts: Readonly<Record<string, unknown>>;
}

type Timed = Omit<AuditRecord, "seq" | "prev">;

interface Waiting {
  readonly time: string;
  readonly entries: readonly AuditEntry[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const DEFAULTS = {
  segmentBytes: 16 * 1024 * 1024,
  checkpointRecords: 5_000,
  checkpointMs: 5_000,
  retryMs: 500,
  gatherMs: 5,
} as const;
/** Entries written at once. One more is never far: the next write follows at once. */
const MOST_AT_ONCE = 1_000;

/**
 * An enforcer's audit: a chain of records, appended and never changed. Many may append at once; one wait for the disk serves all of them. After a fault (a full
 * disk) it tries again by itself until it succeeds, and `trouble` says why nothing should be decided meanwhile.
 */
export class Audit {
  readonly #options: Required<AuditOptions>;
  readonly #signer: CheckpointSigner;
  readonly #queue: Waiting[] = [];
  readonly #timer: NodeJS.Timeout;
  /** Aborted when there is no more trying again. */
  readonly #end = new AbortController();
  /** What must be told before anything else. */
  #prologue: Timed[] = [];
  #published = false;
  #place: { readonly chain: string; readonly end: ChainEnd } | undefined;
  #writer: SegmentWriter | undefined;
  #working: Promise<void> | undefined;
  #trouble: Problem | undefined;
  #checkpointing: Promise<void> | undefined;
  #signed = 0;
  /** When the last write began. */
  #began = Number.NEGATIVE_INFINITY;

  constructor(options: AuditOptions) {
    this.#options = { ...DEFAULTS, ...options };
    this.#signer = new CheckpointSigner(options.enforcer);
    this.#timer = setInterval(() => void this.#checkpoint(), this.#options.checkpointMs).unref();
  }

  /** Why records cannot be written at this moment. */
  get trouble(): Problem | undefined {
    return this.#trouble;
  }

  /**
   * Resolves when these entries, and all before them, are on disk: also when none is given. Waits as long as a fault lasts.
   *
   * @throws {@link CodedError} `AUD-UNWRITABLE` when this ends before
   */
  append(...entries: readonly AuditEntry[]): Promise<void> {
    const time = new Date().toISOString();
    const done = new Promise<void>((resolve, reject) => {
      this.#queue.push({ time, entries, resolve, reject });
    });
    // In the next turn, so that what comes in this one is written with it.
    this.#working ??= Promise.resolve().then(() => this.#work());
    return done;
  }

  /** No more trying again: what cannot be written now fails. */
  giveUp(): void {
    this.#end.abort();
  }

  /** Writes what waits, signs a last checkpoint and closes the file. */
  async close(): Promise<void> {
    this.giveUp();
    clearInterval(this.#timer);
    await this.#working;
    await this.#checkpoint();
    await this.#checkpoint(); // the one before may have been under way since earlier
    await this.#writer?.close();
    this.#writer = undefined;
  }

  async #work(): Promise<void> {
    while (this.#queue.length > 0) {
      const early = this.#began + this.#options.gatherMs - performance.now();
      if (early > 0) await this.#pause(early);
      this.#began = performance.now();
      const waiting = this.#queue.slice(0, MOST_AT_ONCE);
      try {
        const writer = await this.#open();
        const told = [...this.#prologue];
        await writer.append([...told, ...waiting.flatMap(recordsOf)]);
        // A checkpoint may have found the file removed meanwhile: what it has to tell begins the new chain.
        this.#prologue = this.#prologue.slice(told.length);
      } catch (error) {
        this.#failed(error);
        if (this.#end.signal.aborted) {
          for (const { reject } of this.#queue.splice(0))
            reject(new CodedError(this.#trouble ?? unwritable("", error)));
          break;
        }
        await this.#pause(this.#options.retryMs);
        continue;
      }
      if (this.#trouble !== undefined) this.#options.log.info("the audit can be written again");
      this.#trouble = undefined;
      this.#queue.splice(0, waiting.length);
      for (const { resolve } of waiting) resolve();
      await this.#written();
    }
    this.#working = undefined;
  }

  /** Ended early by giveUp: then there is one more attempt. */
  async #pause(milliseconds: number): Promise<void> {
    await sleep(milliseconds, undefined, { signal: this.#end.signal }).catch(() => {});
  }

  /** The segment to write to: found, begun or followed by the next. */
  async #open(): Promise<SegmentWriter> {
    if (this.#writer !== undefined) return this.#writer;
    const { folder, store, enforcer } = this.#options;
    if (!this.#published) {
      await this.#signer.publish(store);
      this.#published = true;
    }
    this.#place ??= await this.#recover();
    const { chain, end } = this.#place;
    const header = { chain, enforcer, key: this.#signer.key.kid, time: new Date().toISOString() };
    this.#writer = await SegmentWriter.create(folder, header, end);
    return this.#writer;
  }

  async #recover(): Promise<{ readonly chain: string; readonly end: ChainEnd }> {
    const { folder, store, log } = this.#options;
    const found = await recover(folder, (chain) => this.#signer.of(store, chain), newChain);
    if (found.cut !== undefined) {
      log.warn(found.cut, "the audit's last line was unfinished, and is cut off");
      this.#tell("cut", found.cut);
    }
    if (found.broken !== undefined) {
      log.error({ code: "AUD-BROKEN", ...found.broken }, "the audit is broken; it goes on with a new chain");
      this.#tell("break", found.broken);
    }
    this.#signed = found.end.seq;
    return found;
  }

  #tell(kind: AuditKind, facts: object): void {
    this.#prologue.push({ time: new Date().toISOString(), kind, facts: { ...facts } });
  }

  async #written(): Promise<void> {
    const writer = this.#writer;
    if (writer === undefined || this.#place === undefined) return;
    const { checkpointRecords, segmentBytes, log } = this.#options;
    const { chain, end } = this.#place;
    this.#place = { chain, end: writer.end };
    // The first record at once: from then on the store knows of this segment.
    const first = end.segment < writer.segment;
    if (first || writer.end.seq - this.#signed >= checkpointRecords) void this.#checkpoint();
    if (writer.size < segmentBytes) return;
    this.#writer = undefined;
    await writer
      .close()
      .catch((error: unknown) => log.warn({ error }, "an audit's file could not be closed"));
  }

  /** Signs what is on disk and tells the store, one at a time. A store that is away is told later. */
  #checkpoint(): Promise<void> {
    this.#checkpointing ??= this.#sign().finally(() => {
      this.#checkpointing = undefined;
    });
    return this.#checkpointing;
  }

  async #sign(): Promise<void> {
    const { store, log } = this.#options;
    const place = this.#place;
    if (place === undefined || place.end.seq <= this.#signed) return;
    try {
      if (this.#writer !== undefined && !(await this.#writer.isThere()))
        return this.#lost(this.#writer, place.chain);
      await this.#signer.put(store, this.#signer.sign(place.chain, place.end, new Date().toISOString()));
      if (this.#place?.chain === place.chain) this.#signed = place.end.seq;
    } catch (error) {
      log.warn({ error }, "a checkpoint of the audit could not be put into the store; it is tried again");
    }
  }

  /** The file was removed under our hands: what is in it is lost, and the next record begins a new chain that says so. */
  #lost(writer: SegmentWriter, chain: string): void {
    const { log } = this.#options;
    const file = writer.path;
    log.error({ code: "AUD-MISSING", file }, "the audit's file was removed; it goes on with a new chain");
    this.#tell("break", { chain, file, seq: writer.end.seq, message: "the file was removed" });
    this.#writer = undefined;
    this.#place = { chain: newChain(), end: CHAIN_BEGIN };
    this.#signed = 0;
    writer.close().catch((error: unknown) => log.warn({ error }, "an audit's file could not be closed"));
  }

  #failed(error: unknown): void {
    const { folder, log } = this.#options;
    const problem = unwritable(folder, error);
    if (this.#trouble === undefined)
      log.error(
        { ...problem, message: undefined, error },
        "the audit cannot be written: no decision is taken until it can",
      );
    this.#trouble = problem;
  }
}

const recordsOf = ({ time, entries }: Waiting): readonly Timed[] =>
  entries.map(({ kind, facts }) => ({ time, kind, facts }));

function unwritable(folder: string, error: unknown): Problem {
  const reason = error instanceof Error ? error.message : String(error);
  return {
    code: "AUD-UNWRITABLE",
    path: folder,
    message: `the policy enforcer cannot write its audit, and decides nothing that it cannot record (${reason})`,
    remedy: "make room on its disk, or its folder writable; it goes on by itself",
  };
}

/** Names sort by the time of their making. */
function newChain(): string {
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  return `${time}-${randomBytes(4).toString("hex")}`;
}
