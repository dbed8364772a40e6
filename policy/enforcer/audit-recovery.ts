import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, readFile, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { type Checkpoint, parseSegmentFile } from "../contract/audit.js";
import { CHAIN_BEGIN, type ChainEnd, readSegment } from "../contract/audit-segment.js";

/** Where to go on. */
export interface Recovered {
  readonly chain: string;
  readonly end: ChainEnd;
  /** What was cut off: a line that a killed process left unfinished. */
  readonly cut?: { readonly file: string; readonly bytes: number; readonly sha256: string };
  /** Why a new chain begins: the one before is broken, and stays as it is. */
  readonly broken?: {
    readonly chain: string;
    readonly file: string;
    readonly seq: number;
    readonly message: string;
  };
}

/**
 * Looks at what earlier processes left in the folder, cuts off an unfinished last line, and says where the chain goes on. Only the last
 * segment is read: `audit verify` reads all.
 *
 * @param checkpointsOf - the store's checkpoints of a chain
 */
export async function recover(
  folder: string,
  checkpointsOf: (chain: string) => Promise<readonly Checkpoint[]>,
  newChain: () => string,
): Promise<Recovered> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const names = (await readdir(folder)).filter((name) => parseSegmentFile(name) !== undefined).sort();
  for (;;) {
    const name = names.pop();
    const named = name === undefined ? undefined : parseSegmentFile(name);
    if (name === undefined || named === undefined) return { chain: newChain(), end: CHAIN_BEGIN };
    const path = join(folder, name);
    const bytes = await readFile(path);
    const read = readSegment(bytes, undefined, named);
    const checkpoints = await checkpointsOf(named.chain);
    const last = [...checkpoints].sort((a, b) => a.seq - b.seq).at(-1);
    if (
      read.header === undefined &&
      read.broken === undefined &&
      !checkpoints.some((c) => c.segment >= named.segment)
    ) {
      // Killed before its first line was whole: there is nothing in it.
      await rm(path);
      await syncFolder(folder);
      if (names.some((n) => parseSegmentFile(n)?.chain === named.chain)) continue;
      return { chain: named.chain, end: CHAIN_BEGIN };
    }
    const wrong = read.broken ?? contradiction(bytes, read.end, named, last);
    if (wrong !== undefined) {
      const { seq, message } = wrong;
      return {
        chain: newChain(),
        end: CHAIN_BEGIN,
        broken: { chain: named.chain, file: name, seq, message },
      };
    }
    if (read.unfinished === 0) return { chain: named.chain, end: read.end };
    const torn = bytes.subarray(bytes.length - read.unfinished);
    await truncate(path, bytes.length - read.unfinished);
    await syncFile(path);
    const sha256 = createHash("sha256").update(torn).digest("base64url");
    return { chain: named.chain, end: read.end, cut: { file: name, bytes: torn.length, sha256 } };
  }
}

/** What the newest checkpoint says and the last segment does not. */
function contradiction(
  bytes: Buffer,
  end: ChainEnd,
  named: { readonly chain: string; readonly segment: number },
  point: Checkpoint | undefined,
): { readonly seq: number; readonly message: string } | undefined {
  if (point === undefined) return undefined;
  if (point.seq > end.seq)
    return { seq: end.seq + 1, message: `records up to ${point.seq} were signed and are missing` };
  let same: boolean | undefined;
  readSegment(bytes, undefined, named, (record, hash) => {
    if (record.seq === point.seq) same = hash === point.hash;
  });
  return same === false ? { seq: point.seq, message: "it is not the record that was signed" } : undefined;
}

async function syncFile(path: string): Promise<void> {
  await synced(await open(path, "r+"));
}

/** A new file's name is on disk only when its folder is. */
export async function syncFolder(folder: string): Promise<void> {
  await synced(await open(folder, "r"));
}

async function synced(handle: FileHandle): Promise<void> {
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
