import { type AuditHeader, type AuditRecord, NO_HASH, openLine } from "./audit.js";

/** Where a chain stands: what its next line must continue. */
export interface ChainEnd {
  readonly segment: number;
  /** Of the last record; 0: none. */
  readonly seq: number;
  /** Of the last line. */
  readonly hash: string;
}

/** Before a chain's first segment. */
export const CHAIN_BEGIN: ChainEnd = { segment: 0, seq: 0, hash: NO_HASH };

/** A line that does not continue its chain. */
export interface BrokenLine {
  /** Line in the file, from 1. */
  readonly line: number;
  /** Of the record that should stand there. */
  readonly seq: number;
  readonly message: string;
  /** The sequence that stands there instead, where it is later: the records between are missing. */
  readonly found?: number;
}

/** What reading a segment came to. */
export interface SegmentRead {
  readonly header?: AuditHeader;
  readonly end: ChainEnd;
  /** The first broken line; nothing after it was read. */
  readonly broken?: BrokenLine;
  /** Bytes up to the end of the last whole line that is right. */
  readonly whole: number;
  /** Bytes after the last newline: a line that was never finished, or is being written. */
  readonly unfinished: number;
}

/**
 * Reads a segment against what it must continue, and hands out each record with its hash as far as the chain holds. Pure.
 *
 * @param before - undefined: nothing is known; the header is believed
 */
export function readSegment(
  bytes: Buffer,
  before: ChainEnd | undefined,
  named: { readonly chain: string; readonly segment: number },
  onRecord: (record: AuditRecord, hash: string) => void = () => {},
): SegmentRead {
  let header: AuditHeader | undefined;
  let end = before ?? CHAIN_BEGIN;
  let from = 0;
  const unfinished = bytes.length - (bytes.lastIndexOf(0x0a) + 1);
  for (let line = 1; ; line += 1) {
    const to = bytes.indexOf(0x0a, from);
    const stand = { end, whole: from, unfinished, ...(header === undefined ? {} : { header }) };
    if (to < 0) return stand;
    const wrong = (message: string, found?: number): SegmentRead => ({
      ...stand,
      broken: { line, seq: end.seq + 1, message, ...(found === undefined ? {} : { found }) },
    });
    const opened = openLine(bytes.subarray(from, to));
    if ("wrong" in opened) return wrong(opened.wrong);
    const { content, hash } = opened;
    if (header === undefined) {
      if (!isHeader(content)) return wrong("the file does not begin with a segment's header");
      const { chain, segment, first, prev } = content;
      if (chain !== named.chain || segment !== named.segment)
        return wrong(`it is segment ${segment} of chain ${chain}, which the file's name does not say`);
      if (before !== undefined && (segment !== before.segment + 1 || first !== before.seq + 1))
        return wrong(
          `segment ${segment} begins with record ${first}; expected is segment ${before.segment + 1} with ${before.seq + 1}`,
          first,
        );
      if (before !== undefined && prev !== before.hash)
        return wrong("it does not continue the segment before it");
      header = content;
      end = { segment, seq: first - 1, hash };
    } else {
      if (!isRecord(content)) return wrong("it is no record");
      if (content.seq !== end.seq + 1)
        return wrong(`record ${content.seq} stands where ${end.seq + 1} belongs`, content.seq);
      if (content.prev !== end.hash) return wrong("it does not continue the record before it");
      end = { ...end, seq: content.seq, hash };
      onRecord(content, hash);
    }
    from = to + 1;
  }
}

function isHeader(content: object): content is AuditHeader {
  const { segment, chain, enforcer, key, first, time, prev } = content as Record<string, unknown>;
  return (
    [chain, enforcer, key, time, prev].every((t) => typeof t === "string") &&
    [segment, first].every((n) => Number.isSafeInteger(n) && Number(n) > 0)
  );
}

function isRecord(content: object): content is AuditRecord {
  const { seq, time, kind, facts, prev } = content as Record<string, unknown>;
  return (
    Number.isSafeInteger(seq) &&
    [time, kind, prev].every((t) => typeof t === "string") &&
    typeof facts === "object" &&
    facts !== null
  );
}
