import { createPublicKey, type KeyObject, verify } from "node:crypto";
import {
  type AuditKey,
  type AuditRecord,
  type Checkpoint,
  checkpointText,
  parseSegmentFile,
} from "./audit.js";
import { CHAIN_BEGIN, readSegment } from "./audit-segment.js";
import type { Problem } from "./problem.js";

/** A segment's file. Its bytes are read when its turn comes. */
export interface SegmentFile {
  readonly name: string;
  readonly read: () => Buffer;
}

/** What vouches for the files: as the store has it. */
export interface Witness {
  readonly checkpoints: readonly Checkpoint[];
  readonly keys: readonly AuditKey[];
}

export interface VerifiedChain {
  readonly chain: string;
  readonly segments: number;
  /** Records that hold. */
  readonly records: number;
  /** Sequence of the last one that a checkpoint vouches for; 0: none. */
  readonly vouched: number;
  /** Bytes of a line that is being written, or was when the enforcer was killed. */
  readonly unfinished: number;
}

/** A problem with the sequence of the first record that it concerns. */
export interface AuditProblem extends Problem {
  readonly chain: string;
  readonly seq: number;
}

export interface Verified {
  readonly chains: readonly VerifiedChain[];
  /** Of each chain the first broken record, and a checkpoint that nobody of ours signed. */
  readonly problems: readonly AuditProblem[];
}

/**
 * Checks all chains of one enforcer, each up to its first broken record. Pure but for the reading.
 *
 * Codes: AUD-BROKEN, AUD-MISSING, AUD-REWRITTEN, AUD-SIGNATURE, AUD-UNKNOWN.
 *
 * @param witness - undefined: only what the files say of each other
 */
export function verifyAudit(
  files: readonly SegmentFile[],
  witness: Witness | undefined,
  onRecord: (record: AuditRecord, file: string) => void = () => {},
): Verified {
  const chains = new Map<string, (SegmentFile & { readonly segment: number })[]>();
  for (const checkpoint of witness?.checkpoints ?? []) chains.set(checkpoint.chain, []);
  for (const file of files) {
    const named = parseSegmentFile(file.name);
    if (named === undefined) continue;
    chains.set(named.chain, [...(chains.get(named.chain) ?? []), { ...file, segment: named.segment }]);
  }
  const keys = importKeys(witness?.keys ?? []);
  const results = [...chains].sort().map(([chain, segments]) => {
    const told = witness?.checkpoints.filter((c) => c.chain === chain);
    const signed = told?.filter((c) => isSigned(c, keys)).sort((a, b) => a.seq - b.seq);
    segments.sort((a, b) => a.segment - b.segment);
    const walk = new Walk(chain, signed, keys, onRecord);
    const problem = walk.files(segments) ?? walk.finish(segments.at(-1)?.name ?? chain);
    const forged = told?.find((c) => signed?.includes(c) === false);
    return {
      chain: { chain, segments: segments.length, ...walk.result },
      problems: [
        ...(problem === undefined ? [] : [problem]),
        ...(forged === undefined ? [] : [signatureProblem(chain, forged)]),
      ],
    };
  });
  return { chains: results.map((r) => r.chain), problems: results.flatMap((r) => r.problems) };
}

/** The way through one chain, up to the first record that does not hold. */
class Walk {
  readonly #chain: string;
  readonly #checkpoints: readonly Checkpoint[] | undefined;
  readonly #points: ReadonlyMap<number, Checkpoint>;
  readonly #keys: ReadonlyMap<string, KeyObject>;
  readonly #onRecord: (record: AuditRecord, file: string) => void;
  #end = CHAIN_BEGIN;
  #vouched = 0;
  #unfinished = 0;

  constructor(
    chain: string,
    checkpoints: readonly Checkpoint[] | undefined,
    keys: ReadonlyMap<string, KeyObject>,
    onRecord: (record: AuditRecord, file: string) => void,
  ) {
    this.#chain = chain;
    this.#checkpoints = checkpoints;
    this.#points = new Map(checkpoints?.map((c) => [c.seq, c]));
    this.#keys = keys;
    this.#onRecord = onRecord;
  }

  get result(): Pick<VerifiedChain, "records" | "vouched" | "unfinished"> {
    return { records: this.#end.seq, vouched: this.#vouched, unfinished: this.#unfinished };
  }

  files(files: readonly (SegmentFile & { readonly segment: number })[]): AuditProblem | undefined {
    for (const [index, file] of files.entries()) {
      const problem = this.#file(file) ?? this.#torn(file.name, index === files.length - 1);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  /** What the store knows of and the files have not. */
  finish(name: string): AuditProblem | undefined {
    const last = this.#checkpoints?.at(-1);
    const { seq } = this.#end;
    if (last !== undefined && last.seq > seq) return missingProblem(this.#chain, name, seq + 1, last.seq);
    if (this.#checkpoints?.length === 0 && seq > 0)
      return unknownProblem(this.#chain, name, 1, "the store has no signed checkpoint of this chain");
    return undefined;
  }

  #file({ name, segment, read }: SegmentFile & { readonly segment: number }): AuditProblem | undefined {
    const chain = this.#chain;
    let rewritten: Checkpoint | undefined;
    let good = this.#end;
    const named = { chain, segment };
    const { header, broken, end, unfinished } = readSegment(read(), this.#end, named, (record, hash) => {
      const point = this.#points.get(record.seq);
      if (point !== undefined && point.hash !== hash) rewritten ??= point;
      if (rewritten !== undefined) return;
      if (point !== undefined) this.#vouched = record.seq;
      good = { segment, seq: record.seq, hash };
      this.#onRecord(record, name);
    });
    this.#end = rewritten === undefined ? end : good;
    this.#unfinished = unfinished;
    if (rewritten !== undefined) return rewrittenProblem(chain, name, this.#vouched, rewritten);
    if (broken !== undefined) {
      const path = `${name}:${broken.line}`;
      return broken.found !== undefined && broken.found > broken.seq
        ? missingProblem(chain, path, broken.seq, broken.found - 1)
        : brokenProblem(chain, path, broken.seq, broken.message);
    }
    // A file without a line: a process was killed before it wrote one.
    if (header === undefined || this.#checkpoints === undefined) return undefined;
    if (!this.#keys.has(header.key))
      return unknownProblem(chain, name, header.first, `no enforcer has a key ${header.key}`);
    if (this.#checkpoints.some((c) => c.segment === segment && c.kid !== header.key))
      return unknownProblem(chain, name, header.first, "another key than its own signed its checkpoint");
    return undefined;
  }

  /** Only the last line of all may be unfinished: an enforcer cuts off such a line before it goes on. */
  #torn(name: string, last: boolean): AuditProblem | undefined {
    if (last || this.#unfinished === 0) return undefined;
    return brokenProblem(this.#chain, name, this.#end.seq + 1, "its line is not finished");
  }
}

function importKeys(keys: readonly AuditKey[]): ReadonlyMap<string, KeyObject> {
  return new Map(
    keys.flatMap(({ kid, x }): [string, KeyObject][] => {
      try {
        return [[kid, createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" })]];
      } catch {
        return []; // no key: what it should have signed counts as not signed
      }
    }),
  );
}

function isSigned(checkpoint: Checkpoint, keys: ReadonlyMap<string, KeyObject>): boolean {
  const key = keys.get(checkpoint.kid);
  return (
    key !== undefined &&
    verify(null, checkpointText(checkpoint), key, Buffer.from(String(checkpoint.signature), "base64url"))
  );
}

const KEPT =
  "the records before it hold; a copy of the files may have it (docs/audit.md, When verify finds something)";

function signatureProblem(chain: string, { seq, time }: Checkpoint): AuditProblem {
  return {
    ...{ code: "AUD-SIGNATURE", path: `checkpoint of record ${seq}`, chain, seq },
    message: `the store's checkpoint of ${time} is not signed by a key of this enforcer`,
    remedy: "somebody wrote to the store: look at the history of its keys below /policyEnforcer/audit/",
  };
}

function brokenProblem(chain: string, path: string, seq: number, message: string): AuditProblem {
  return { code: "AUD-BROKEN", path, chain, seq, message: `record ${seq}: ${message}`, remedy: KEPT };
}

function missingProblem(chain: string, path: string, seq: number, last: number): AuditProblem {
  const which = seq === last ? `record ${seq} is` : `records ${seq} to ${last} are`;
  return { code: "AUD-MISSING", path, chain, seq, message: `${which} missing`, remedy: KEPT };
}

function rewrittenProblem(chain: string, path: string, vouched: number, point: Checkpoint): AuditProblem {
  const seq = vouched + 1;
  const message = `records were rewritten between ${seq} and ${point.seq}: the chain is not the one that was signed at ${point.time}`;
  return { code: "AUD-REWRITTEN", path, chain, seq, message, remedy: KEPT };
}

function unknownProblem(chain: string, path: string, seq: number, message: string): AuditProblem {
  const remedy =
    "this segment was not written by an enforcer of this marketplace, or the store lost what it knew";
  return { code: "AUD-UNKNOWN", path, chain, seq, message, remedy };
}
