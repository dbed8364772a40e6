import { close, closeSync, fdatasync, fstat, ftruncate, open, unlink, write } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type AuditHeader, type AuditRecord, sealLine, segmentFile } from "../contract/audit.js";
import type { ChainEnd } from "../contract/audit-segment.js";
import { syncFolder } from "./audit-recovery.js";

const call = {
  open: promisify(open),
  write: promisify(write),
  fdatasync: promisify(fdatasync),
  ftruncate: promisify(ftruncate),
  fstat: promisify(fstat),
  close: promisify(close),
  unlink: promisify(unlink),
};

/** The segment that is being written. What is not on disk yet is written again at the same place after a fault. */
export class SegmentWriter {
  readonly path: string;
  readonly segment: number;
  readonly #fd: number;
  #size = 0;
  #end: ChainEnd;

  private constructor(path: string, fd: number, end: ChainEnd) {
    this.path = path;
    this.#fd = fd;
    this.#end = end;
    this.segment = end.segment;
  }

  /** Makes the next segment of a chain, with its header on disk. Leaves no file where it fails. */
  static async create(
    folder: string,
    header: Omit<AuditHeader, "segment" | "first" | "prev">,
    before: ChainEnd,
  ): Promise<SegmentWriter> {
    const segment = before.segment + 1;
    const path = join(folder, segmentFile(header.chain, segment));
    // Never an old file: what is written stays.
    const fd = await call.open(path, "wx", 0o600);
    const { line, hash } = sealLine({
      segment,
      chain: header.chain,
      enforcer: header.enforcer,
      key: header.key,
      first: before.seq + 1,
      time: header.time,
      prev: before.hash,
    });
    const writer = new SegmentWriter(path, fd, { segment, seq: before.seq, hash });
    try {
      await writer.#write(Buffer.from(line));
      await syncFolder(folder);
    } catch (error) {
      closeSync(fd);
      await call.unlink(path).catch(() => {}); // recovery takes an empty file away too
      throw error;
    }
    return writer;
  }

  /** Bytes on disk. */
  get size(): number {
    return this.#size;
  }

  /** The last record on disk. */
  get end(): ChainEnd {
    return this.#end;
  }

  /** Writes records and waits for the disk: one wait for all of them. After an error nothing of them counts, and the same call may be made again. */
  async append(records: readonly Omit<AuditRecord, "seq" | "prev">[]): Promise<void> {
    let { seq, hash } = this.#end;
    let text = "";
    for (const { time, kind, facts } of records) {
      seq += 1;
      const sealed = sealLine({ seq, time, kind, facts, prev: hash });
      hash = sealed.hash;
      text += sealed.line;
    }
    await this.#write(Buffer.from(text));
    this.#end = { segment: this.segment, seq, hash };
  }

  /** Whether the file still has a name: somebody may have removed it under our hands. */
  async isThere(): Promise<boolean> {
    return (await call.fstat(this.#fd)).nlink > 0;
  }

  async close(): Promise<void> {
    await call.close(this.#fd);
  }

  async #write(bytes: Buffer): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) {
        const from = this.#size + done;
        done += (await call.write(this.#fd, bytes, done, bytes.length - done, from)).bytesWritten;
      }
      await call.fdatasync(this.#fd);
    } catch (error) {
      // A disk that is full has taken a part: it must not stand behind what is written next.
      await call.ftruncate(this.#fd, this.#size).catch(() => {}); // the next attempt writes over it at the same place
      throw error;
    }
    this.#size += bytes.length;
  }
}
