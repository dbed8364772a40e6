import { closeSync, existsSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { statusOf } from "../../infra/local/stack.js";
import { InfraError } from "../../infra/problem.js";
import {
  AUDIT_FOLDER_NAME,
  type AuditRecord,
  openLine,
  parseSegmentFile,
} from "../../policy/contract/audit.js";
import type { SegmentFile } from "../../policy/contract/audit-verify.js";
import { ENFORCER } from "../services.js";

/** How often a followed audit is looked at. */
const pollMs = 200;

/**
 * The folder of the stack's audit, whether its enforcer runs or not.
 *
 * @throws InfraError AUD-NONE
 */
export function auditFolder(state: string): string {
  const enforcer = statusOf(state).services.find((s) => s.name === ENFORCER);
  const folder = enforcer === undefined ? undefined : join(enforcer.folder, AUDIT_FOLDER_NAME);
  if (folder !== undefined && existsSync(folder)) return folder;
  throw new InfraError({
    code: "AUD-NONE",
    path: folder ?? state,
    message: "this stack has no audit here",
    remedy: "bring the stack up first (dynamos-fabric up); `down` removes the audit with all other data",
  });
}

/** Segments in the order of their writing. */
export function segmentFiles(folder: string): readonly SegmentFile[] {
  return readdirSync(folder)
    .filter((name) => parseSegmentFile(name) !== undefined)
    .sort()
    .map((name) => ({ name, read: () => readFileSync(join(folder, name)) }));
}

/** A record with its line's hash. */
export type HashedRecord = AuditRecord & { readonly hash: string };

/** Records of a segment as far as they can be read; `verify` says whether they hold. */
export function recordsOf(bytes: Buffer): readonly HashedRecord[] {
  const records: HashedRecord[] = [];
  for (let from = 0; ; ) {
    const to = bytes.indexOf(0x0a, from);
    if (to < 0) return records;
    const opened = openLine(bytes.subarray(from, to));
    if ("content" in opened && "seq" in opened.content)
      records.push({ ...(opened.content as unknown as AuditRecord), hash: opened.hash });
    from = to + 1;
  }
}

/** Hands out what is appended from now on, in all segments, until it is interrupted. */
export async function follow(
  folder: string,
  ends: Map<string, number>,
  show: (record: AuditRecord) => void,
): Promise<never> {
  for (;;) {
    await sleep(pollMs);
    const names = readdirSync(folder).filter((name) => parseSegmentFile(name) !== undefined);
    for (const name of names.sort()) {
      const from = ends.get(name) ?? 0;
      const bytes = readFrom(join(folder, name), from);
      // A line that is being written waits for its end.
      const whole = bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1);
      ends.set(name, from + whole.length);
      for (const record of recordsOf(whole)) show(record);
    }
  }
}

function readFrom(file: string, from: number): Buffer {
  const opened = openSync(file, "r");
  try {
    const bytes = Buffer.alloc(Math.max(0, fstatSync(opened).size - from));
    return bytes.subarray(0, readSync(opened, bytes, 0, bytes.length, from));
  } finally {
    closeSync(opened);
  }
}
