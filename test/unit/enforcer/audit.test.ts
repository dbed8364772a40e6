import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuditRecord, parseSegmentFile, sealLine } from "../../../policy/contract/audit.js";
import { type SegmentFile, verifyAudit, type Witness } from "../../../policy/contract/audit-verify.js";
import { Audit } from "../../../policy/enforcer/audit.js";
import { MemoryStore } from "./memory-store.js";

const log = pino({ level: "silent" });
let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "audit-"));
});
afterAll(() => rmSync(root, { recursive: true }));

const small = { segmentBytes: 900, checkpointRecords: 3, checkpointMs: 1e6, retryMs: 5, gatherMs: 0 };
const start = (folder: string, memory: MemoryStore, more: object = {}): Audit =>
  new Audit({ folder, enforcer: "policy-enforcer", store: memory.store, log, ...small, ...more });
const entry = (n: number) =>
  ({ kind: "decision", facts: { n, text: 'ä€\u{1F600}\n"'.repeat(n % 4) } }) as const;

const filesOf = (folder: string): SegmentFile[] =>
  readdirSync(folder)
    .sort()
    .map((name) => ({ name, read: () => readFileSync(join(folder, name)) }));

/** Verifies, and gives all decisions' numbers in order beside what was found. */
function check(files: readonly SegmentFile[], witness: Witness | undefined) {
  const records: AuditRecord[] = [];
  const verified = verifyAudit(files, witness, (record) => records.push(record));
  return { ...verified, records, told: records.filter((r) => r.kind === "decision").map((r) => r.facts.n) };
}

describe("an audit's life", () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ append: fc.integer({ min: 1, max: 5 }) }) },
    { weight: 1, arbitrary: fc.constant("restart" as const) },
    { weight: 2, arbitrary: fc.record({ crash: fc.nat() }) },
  );

  it("verifies exactly what was written, over restarts, rotations and crashes at any byte", async () => {
    let number = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        const folder = join(root, `life-${++number}`);
        const memory = new MemoryStore();
        let audit = start(folder, memory);
        let written: number[] = [];
        let n = 0;
        for (const action of steps) {
          if (action === "restart") {
            await audit.close();
            audit = start(folder, memory);
          } else if ("append" in action) {
            const numbers = Array.from({ length: action.append }, () => ++n);
            // All at once, as many requests do: the order is that of the calls.
            await Promise.all(numbers.map((i) => audit.append(entry(i))));
            written.push(...numbers);
          } else {
            // What a killed process leaves: no last checkpoint, and any part of what no checkpoint vouches for.
            memory.away = true;
            await audit.close();
            memory.away = false;
            written = crash(folder, memory.witness, action.crash, written);
            audit = start(folder, memory);
          }
        }
        await audit.append(entry(++n));
        written.push(n);
        await audit.close();
        const found = check(readdirSafe(folder), memory.witness);
        expect(found.problems).toEqual([]);
        expect(found.told).toEqual(written);
        // A chain that crashes never break is one.
        expect(found.chains.length).toBeLessThanOrEqual(1);
        for (const chain of found.chains)
          expect([chain.vouched, chain.unfinished]).toEqual([chain.records, 0]);
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  const readdirSafe = (folder: string): SegmentFile[] => {
    try {
      return filesOf(folder);
    } catch {
      return []; // nothing was ever written
    }
  };

  /** Cuts the last file at a byte that no checkpoint vouches for; answers what is left of the decisions. */
  function crash(folder: string, witness: Witness, at: number, written: readonly number[]): number[] {
    const last = readdirSafe(folder).at(-1);
    if (last === undefined) return [...written];
    const vouched = Math.max(0, ...witness.checkpoints.map((c) => c.seq));
    const lines = last
      .read()
      .toString("utf8")
      .split(/(?<=\n)/);
    let least = 0;
    let length = 0;
    for (const line of lines) {
      length += Buffer.byteLength(line);
      if (!line.endsWith("\n")) continue; // unfinished since the crash before
      const { seq } = JSON.parse(line) as { seq?: number };
      if (seq !== undefined && seq <= vouched) least = length;
    }
    truncateSync(join(folder, last.name), least + (at % (length - least + 1)));
    const left = new Set(check(filesOf(folder), undefined).told);
    return written.filter((n) => left.has(n));
  }

  it("notes what it cuts off", async () => {
    const folder = join(root, "cut");
    const memory = new MemoryStore();
    const audit = start(folder, memory, { segmentBytes: 1e6 });
    await audit.append(entry(1));
    memory.away = true;
    await audit.append(entry(2));
    await audit.close();
    memory.away = false;
    const file = join(folder, readdirSync(folder)[0] ?? "");
    truncateSync(file, readFileSync(file).length - 10);
    const next = start(folder, memory);
    await next.append(entry(3));
    await next.close();
    const { records, told, problems } = check(filesOf(folder), memory.witness);
    expect([told, problems]).toEqual([[1, 3], []]);
    expect(records.map((r) => r.kind)).toEqual(["decision", "cut", "decision"]);
    expect(records[1]?.facts).toMatchObject({ file: readdirSync(folder)[0], bytes: expect.any(Number) });
  });

  it("finds a chain that was cut below its checkpoint when it starts, says so in a new one, and leaves the old", async () => {
    const folder = join(root, "broken");
    const memory = new MemoryStore();
    const audit = start(folder, memory, { segmentBytes: 1e6 });
    for (const n of [1, 2, 3]) await audit.append(entry(n));
    await audit.close();
    const file = join(folder, readdirSync(folder)[0] ?? "");
    const before = readFileSync(file);
    writeFileSync(file, before.subarray(0, before.lastIndexOf(0x0a, before.length - 2) + 1));
    const next = start(folder, memory);
    await next.append(entry(4));
    await next.close();
    const { chains, problems, told, records } = check(filesOf(folder), memory.witness);
    expect(chains).toHaveLength(2);
    expect(problems).toMatchObject([{ code: "AUD-MISSING", seq: 3 }]);
    // Which chain comes first is told by nothing: their names are random.
    expect([...told].sort()).toEqual([1, 2, 4]);
    const broken = (records.find((r) => r.kind === "break")?.facts ?? {}) as Record<string, unknown>;
    expect(broken.seq).toBe(3);
    expect(chains.map((c) => c.chain)).toContain(broken.chain);
  });

  it("says in a new chain that its file was removed under its hands", async () => {
    const folder = join(root, "removed");
    const memory = new MemoryStore();
    const audit = start(folder, memory, { checkpointRecords: 1, segmentBytes: 1e6 });
    await audit.append(entry(1));
    await expect.poll(() => memory.witness.checkpoints.length).toBe(1);
    for (const name of readdirSync(folder)) rmSync(join(folder, name));
    await audit.append(entry(2)); // into the removed file; its checkpoint finds out
    await expect
      .poll(async () => {
        await audit.append(entry(3));
        return readdirSync(folder).length;
      })
      .toBe(1);
    await audit.close();
    const { problems, records } = check(filesOf(folder), memory.witness);
    expect(problems).toMatchObject([{ code: "AUD-MISSING", seq: 1 }]);
    expect(records[0]).toMatchObject({ kind: "break", seq: 1 });
  });

  it("cannot write: says so, keeps what waits in order, and goes on by itself", async () => {
    const folder = join(root, "blocked");
    writeFileSync(folder, "a file where the folder belongs");
    const memory = new MemoryStore();
    const audit = start(folder, memory);
    const appended = Promise.all([1, 2, 3].map((n) => audit.append(entry(n))));
    await expect.poll(() => audit.trouble?.code).toBe("AUD-UNWRITABLE");
    rmSync(folder);
    await appended;
    expect(audit.trouble).toBeUndefined();
    await audit.close();
    expect(check(filesOf(folder), memory.witness)).toMatchObject({ problems: [], told: [1, 2, 3] });
  });

  it("that ends while it cannot write fails what waits", async () => {
    const folder = join(root, "never");
    writeFileSync(folder, "");
    const audit = start(folder, new MemoryStore());
    const appended = expect(audit.append(entry(1))).rejects.toMatchObject({ code: "AUD-UNWRITABLE" });
    await audit.close();
    await appended;
  });
});

/** A chain in several segments, closed: its last checkpoint vouches for every record. */
interface Kept {
  readonly files: readonly { readonly name: string; readonly bytes: Buffer }[];
  readonly witness: Witness;
}

describe("verify", () => {
  let kept: Kept;
  beforeAll(async () => {
    const folder = join(root, "kept");
    const memory = new MemoryStore();
    for (const life of [0, 1]) {
      const audit = start(folder, memory);
      for (let n = 1; n <= 9; n += 1) await audit.append(entry(life * 9 + n));
      await audit.close();
    }
    const files = filesOf(folder).map(({ name, read }) => ({ name, bytes: read() }));
    kept = { files, witness: memory.witness };
    expect(files.length).toBeGreaterThan(3);
  });

  const verify = (
    files: readonly { readonly name: string; readonly bytes: Buffer }[],
    witness = kept.witness,
  ) =>
    check(
      files.map(({ name, bytes }) => ({ name, read: () => bytes })),
      witness,
    );
  const replaced = (index: number, bytes: Buffer) =>
    kept.files.map((file, i) => (i === index ? { ...file, bytes } : file));
  /** Lines of a file with the sequence that is lost with each: a header's loss is that of its first record. */
  const linesOf = (index: number): { readonly text: Buffer; readonly seq: number }[] => {
    const { bytes } = kept.files[index] ?? { bytes: Buffer.alloc(0) };
    return bytes
      .toString("utf8")
      .split(/(?<=\n)/)
      .map((text) => {
        const { seq, first } = JSON.parse(text) as { seq?: number; first?: number };
        return { text: Buffer.from(text), seq: seq ?? first ?? 0 };
      });
  };
  /** The line that a byte of the file is in. */
  const lineAt = (lines: ReturnType<typeof linesOf>, place: number) => {
    const ends = lines.map((_, i) => lines.slice(0, i + 1).reduce((sum, l) => sum + l.text.length, 0));
    return lines[ends.findIndex((end) => end > place)];
  };
  const anyFile = fc.nat().map((n) => n % 4);

  it("accepts the chain as it was written", () => {
    const { problems, told, chains } = verify(kept.files);
    expect(problems).toEqual([]);
    expect(told).toEqual(Array.from({ length: 18 }, (_, i) => i + 1));
    expect(chains).toMatchObject([{ records: 18, vouched: 18, unfinished: 0 }]);
  });

  it("finds any changed byte, and names its record", () => {
    fc.assert(
      fc.property(anyFile, fc.nat(), fc.integer({ min: 1, max: 255 }), (index, at, by) => {
        const lines = linesOf(index);
        const bytes = Buffer.concat(lines.map((l) => l.text));
        const place = at % bytes.length;
        bytes[place] = (bytes[place] ?? 0) ^ by;
        const hit = lineAt(lines, place);
        expect(verify(replaced(index, bytes)).problems[0]?.seq).toBe(hit?.seq);
      }),
      { numRuns: 1000 },
    );
  });

  it("finds any removed, repeated or exchanged line, and names the first record that is not in its place", () => {
    fc.assert(
      fc.property(
        anyFile,
        fc.nat(),
        fc.nat(),
        fc.constantFrom("remove", "repeat", "exchange"),
        (index, a, b, how) => {
          const lines = linesOf(index);
          const [i = 0, j = 0] = [a % lines.length, b % lines.length].sort((x, y) => x - y);
          const [first, second] = [lines[i], lines[j]];
          fc.pre(first !== undefined && second !== undefined && (how !== "exchange" || i !== j));
          const changed =
            how === "remove"
              ? lines.filter((_, k) => k !== i)
              : how === "repeat"
                ? [...lines.slice(0, i + 1), ...lines.slice(i)]
                : lines.map((l, k) => (k === i ? (second ?? l) : k === j ? (first ?? l) : l));
          const [problem] = verify(replaced(index, Buffer.concat(changed.map((l) => l.text)))).problems;
          // After a repeated header stands the first record's place, after a repeated record that of the next.
          const expected = how === "repeat" && i > 0 ? (first?.seq ?? 0) + 1 : first?.seq;
          expect(problem?.seq).toBe(expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("finds any file that is cut short or gone, and names the first record that is missing", () => {
    fc.assert(
      fc.property(anyFile, fc.nat(), fc.boolean(), (index, at, gone) => {
        const lines = linesOf(index);
        const bytes = Buffer.concat(lines.map((l) => l.text));
        const length = at % bytes.length;
        const hit = gone ? lines[0] : lineAt(lines, length);
        const files = gone
          ? kept.files.filter((_, i) => i !== index)
          : replaced(index, bytes.subarray(0, length));
        expect(verify(files).problems[0]?.seq).toBe(hit?.seq);
      }),
      { numRuns: 300 },
    );
    expect(verify([]).problems).toMatchObject([{ code: "AUD-MISSING", seq: 1 }]);
  });

  it("finds a chain that was written anew with right hashes, by its signed checkpoints", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 18 }), (from) => {
        let before: string | undefined;
        const files = kept.files.map(({ name, bytes }) => {
          const lines = bytes
            .toString("utf8")
            .trimEnd()
            .split("\n")
            .map((line) => {
              const { hash, ...content } = JSON.parse(line);
              const facts = content.seq === from ? { ...content.facts, answer: "deny" } : content.facts;
              const sealed = sealLine({
                ...content,
                ...(facts === undefined ? {} : { facts }),
                prev: before ?? content.prev,
              });
              before = sealed.hash;
              return sealed.line;
            });
          return { name, bytes: Buffer.from(lines.join("")) };
        });
        const [problem] = verify(files).problems;
        expect(problem?.code).toBe("AUD-REWRITTEN");
        expect(problem?.seq).toBeLessThanOrEqual(from);
        // The files alone do not show it.
        expect(
          check(
            files.map(({ name, bytes }) => ({ name, read: () => bytes })),
            undefined,
          ).problems,
        ).toEqual([]);
      }),
    );
  });

  it("finds checkpoints and chains that no enforcer signed", () => {
    const { witness, files } = kept;
    const last = witness.checkpoints.at(-1);
    const forged = witness.checkpoints.map((c) => (c === last ? { ...c, seq: c.seq - 1 } : c));
    expect(verify(files, { ...witness, checkpoints: forged }).problems.map((p) => p.code)).toContain(
      "AUD-SIGNATURE",
    );
    expect(verify(files, { checkpoints: [], keys: witness.keys }).problems).toMatchObject([
      { code: "AUD-UNKNOWN" },
    ]);
    const [one] = witness.keys;
    expect(
      verify(files, { ...witness, keys: one === undefined ? [] : [one] }).problems.map((p) => p.code),
    ).toContain("AUD-UNKNOWN");
    expect(parseSegmentFile(files[0]?.name ?? "")?.segment).toBe(1);
  });
});
