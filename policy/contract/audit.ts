import { hash } from "node:crypto";
import type { GrantKey } from "./grants.js";

// What an enforcer writes down and how anybody may check it (docs/audit.md). The service that writes and the command that verifies share this.

/** What a record tells of. */
export const AUDIT_KINDS = [
  /** An enforcer began: what it knew. */
  "start",
  /** What was left unfinished by a process that was killed, and was cut off. */
  "cut",
  /** An earlier chain of this enforcer is broken: where. */
  "break",
  /** A question, its answer and why. */
  "decision",
  /** A grant that was signed: never the grant itself. */
  "grant",
  /** A round that was opened. */
  "round",
  /** An agreement that was written or taken away. */
  "agreement",
  /** A running job that lost its permission. */
  "revocation",
] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];

/** A record as its line has it. */
export interface AuditRecord {
  /** Counted from 1 through all segments of a chain. */
  readonly seq: number;
  /** ISO 8601. */
  readonly time: string;
  readonly kind: AuditKind;
  readonly facts: Readonly<Record<string, unknown>>;
  /** Hash of the line before. */
  readonly prev: string;
}

/** The first line of a segment's file. It is a link of the chain too, but no record. */
export interface AuditHeader {
  /** Counted from 1. */
  readonly segment: number;
  readonly chain: string;
  /** The service that writes it. */
  readonly enforcer: string;
  /** Id of the key that signs this segment's checkpoints. */
  readonly key: string;
  /** Sequence of its first record. */
  readonly first: number;
  readonly time: string;
  /** Hash of the last line of the segment before; {@link NO_HASH} in a chain's first. */
  readonly prev: string;
}

/** The public half of a key that signs checkpoints. */
export type AuditKey = GrantKey;

/** Says that a chain, up to a record, is as it is. Kept in the store, out of reach of whoever can write the file. */
export interface Checkpoint {
  readonly enforcer: string;
  readonly chain: string;
  readonly segment: number;
  readonly seq: number;
  /** Hash of that record's line. */
  readonly hash: string;
  readonly time: string;
  readonly kid: string;
  /** Ed25519 over {@link checkpointText}, base64url. */
  readonly signature: string;
}

/** Before the first line of a chain. */
export const NO_HASH = "A".repeat(43);

/** Keys in the store. */
export const AUDIT_KEY = {
  prefix: "/policyEnforcer/audit/",
  /** The newest checkpoint of a segment; the store's history has those before. */
  checkpoint: (enforcer: string, chain: string, segment: number): string =>
    `/policyEnforcer/audit/${enforcer}/checkpoints/${chain}/${number6(segment)}`,
  checkpointPrefix: (enforcer: string, chain: string): string =>
    `/policyEnforcer/audit/${enforcer}/checkpoints/${chain}/`,
  key: (enforcer: string, kid: string): string => `/policyEnforcer/audit/${enforcer}/keys/${kid}`,
} as const;

/** The folder of an enforcer's segments, below the service's own. */
export const AUDIT_FOLDER_NAME = "audit";

const FILE = /^audit-([A-Za-z0-9-]{1,60})-(\d{6,9})\.jsonl$/;

/** The name of a segment's file. Names sort as the segments were written. */
export const segmentFile = (chain: string, segment: number): string =>
  `audit-${chain}-${number6(segment)}.jsonl`;

/** Chain and number by a file's name; undefined where it is no segment's. */
export function parseSegmentFile(
  name: string,
): { readonly chain: string; readonly segment: number } | undefined {
  const found = FILE.exec(name);
  if (found?.[1] === undefined) return undefined;
  return { chain: found[1], segment: Number(found[2]) };
}

/** What a checkpoint's signature is over. */
export function checkpointText(checkpoint: Omit<Checkpoint, "signature">): Buffer {
  const { enforcer, chain, segment, seq, hash, time, kid } = checkpoint;
  return Buffer.from(
    ["dynamos-fabric audit checkpoint 1", enforcer, chain, segment, seq, hash, time, kid].join("\n"),
  );
}

/**
 * A header or record as its line: JSON that ends with the hash of all bytes before `,"hash":`. So a line is checked by itself, and by the next
 * line's `prev`, without any rule of how JSON is written.
 */
export function sealLine(content: AuditHeader | AuditRecord): {
  readonly line: string;
  readonly hash: string;
} {
  const body = JSON.stringify(content).slice(0, -1);
  const sum = hash("sha256", body, "base64url");
  return { line: `${body}${HASH_BEGIN}${sum}${HASH_END}\n`, hash: sum };
}

/** A line's content and hash, or what is wrong with it. Takes the bytes without the newline. */
export function openLine(
  bytes: Buffer,
):
  | { readonly content: Readonly<Record<string, unknown>>; readonly hash: string }
  | { readonly wrong: string } {
  const at = bytes.length - TAIL_LENGTH;
  if (at <= 0) return { wrong: "it is no record" };
  const tail = bytes.toString("latin1", at);
  const body = bytes.subarray(0, at);
  if (!tail.startsWith(HASH_BEGIN) || !tail.endsWith(HASH_END))
    return { wrong: "it does not end with a hash" };
  const sum = tail.slice(HASH_BEGIN.length, -HASH_END.length);
  // Of the bytes, not of their text: two different bytes may both be no text.
  if (hash("sha256", body, "base64url") !== sum) return { wrong: "its hash is not that of its content" };
  try {
    const content: unknown = JSON.parse(`${body.toString("utf8")}}`);
    if (typeof content === "object" && content !== null)
      return { content: content as Readonly<Record<string, unknown>>, hash: sum };
  } catch {
    // told below
  }
  return { wrong: "it is not JSON" };
}

const HASH_BEGIN = ',"hash":"';
const HASH_END = '"}';
const TAIL_LENGTH = HASH_BEGIN.length + NO_HASH.length + HASH_END.length;

function number6(segment: number): string {
  return String(segment).padStart(6, "0");
}
