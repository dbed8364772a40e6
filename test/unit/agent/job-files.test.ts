import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FileName, JobFiles } from "../../../policy/agent/job-files.js";
import { FILE_LIMITS } from "../../../policy/contract/files.js";

let job: string;
/** A microservice's working folder. */
let own: string;
let files: JobFiles;
const live = new AbortController().signal;

beforeEach(() => {
  job = mkdtempSync(join(tmpdir(), "job-files-"));
  own = join(job, "probe");
  mkdirSync(own);
  files = new JobFiles(join(job, "files"));
});
afterEach(() => rmSync(job, { recursive: true, force: true }));

const code = (expected: string) => expect.objectContaining({ code: expected });
const name = (file = "rows", round = 1) => ({ round, step: "give", from: "omega", file });
/** Receives a file of which this comes. */
const receive = (what: FileName, bytes: number, text: string, error?: Error): Promise<void> =>
  files.receive(
    what,
    bytes,
    Readable.from([Buffer.from(text)]),
    async function* (source) {
      yield* source;
      if (error !== undefined) throw error;
    },
    live,
  );
const onDisk = (): string[] =>
  readdirSync(job, { recursive: true, withFileTypes: true }).flatMap((e) => (e.isFile() ? [e.name] : []));

describe("a file that a microservice gives", () => {
  it("is the agent's from then on, until its round is over", () => {
    writeFileSync(join(own, "out.csv"), "1,2,3");
    const { rows } = files.take(1, own, { rows: "out.csv" });
    expect(existsSync(join(own, "out.csv"))).toBe(false);
    expect(rows?.bytes).toBe(5);
    expect(readFileSync(rows?.path ?? "", "utf8")).toBe("1,2,3");
    files.forgetBefore(1);
    expect(existsSync(rows?.path ?? "")).toBe(true);
    files.forgetBefore(2);
    expect(existsSync(rows?.path ?? "")).toBe(false);
  });

  it("is none but a plain file of its own folder", () => {
    writeFileSync(join(job, "outside"), "secret");
    mkdirSync(join(own, "folder"));
    symlinkSync(join(job, "outside"), join(own, "link"));
    symlinkSync(job, join(own, "way"));
    for (const path of ["../outside", join(job, "outside"), "link", "way/outside", "folder", ".", "", "none"])
      expect(() => files.take(1, own, { rows: path }), path).toThrow(code("JOB-FILE"));
    writeFileSync(join(own, "right"), "x");
    expect(() => files.take(1, own, { "../rows": "right" })).toThrow(code("AGT-JOB-NAME"));
    // On a cluster: a pod's folder is none of the agent's.
    expect(() => files.take(1, undefined, { rows: "right" })).toThrow(code("JOB-FILE"));
    expect(readFileSync(join(job, "outside"), "utf8")).toBe("secret");
  });

  it("has a limit, and so has all that a job has", () => {
    const sparse = (file: string, bytes: number): void => {
      writeFileSync(join(own, file), "");
      truncateSync(join(own, file), bytes);
    };
    sparse("large", FILE_LIMITS.bytes + 1);
    expect(() => files.take(1, own, { rows: "large" })).toThrow(code("AGT-FILE-TOO-LARGE"));
    for (let i = 0; i < FILE_LIMITS.jobBytes / FILE_LIMITS.bytes; i += 1) {
      sparse("most", FILE_LIMITS.bytes);
      files.take(1, own, { [`rows${i}`]: "most" });
    }
    sparse("more", 1);
    expect(() => files.take(1, own, { rows: "more" })).toThrow(code("AGT-FILE-TOO-LARGE"));
    files.forgetBefore(2);
    expect(files.take(2, own, { rows: "more" }).rows?.bytes).toBe(1);
  });
});

describe("a file that another agent hands over", () => {
  it("is found by the answer that names it, with its size", async () => {
    await receive(name(), 3, "abc");
    const { rows } = files.received(name(), { rows: 3 });
    expect(readFileSync(rows?.path ?? "", "utf8")).toBe("abc");
    for (const [sizes, from] of [
      [{ rows: 4 }, "omega"],
      [{ other: 3 }, "omega"],
      [{ rows: 3 }, "kappa"],
    ] as const)
      expect(() => files.received({ ...name(), from }, sizes)).toThrow(code("AGT-FILE-MISSING"));
  });

  it("leaves nothing when it breaks, and its place is free again", async () => {
    await expect(receive(name(), FILE_LIMITS.bytes, "ab", new Error("broken"))).rejects.toThrow("broken");
    const stop = new AbortController();
    // Its sender says no more and does not go.
    const source = new PassThrough();
    source.write("a");
    const ended = files.receive(name(), 3, source, (bytes) => bytes, stop.signal);
    setTimeout(() => stop.abort(new Error("the job has ended")), 50);
    await expect(ended).rejects.toThrow("the job has ended");
    expect(onDisk()).toEqual([]);
    for (let i = 0; i < 4; i += 1) await receive(name(`f${i}`), FILE_LIMITS.bytes, "x");
    await expect(receive(name("more"), 1, "x")).rejects.toEqual(code("AGT-FILE-TOO-LARGE"));
  });

  it("takes the place of its first copy", async () => {
    await receive(name(), 3, "abc");
    await receive(name(), 3, "abd");
    expect(onDisk()).toHaveLength(1);
    expect(readFileSync(files.received(name(), { rows: 3 }).rows?.path ?? "", "utf8")).toBe("abd");
  });

  it("is refused once its round or its job is over, and nothing is left", async () => {
    await receive(name(), 3, "abc");
    files.forgetBefore(2);
    expect(onDisk()).toEqual([]);
    await expect(receive(name(), 3, "abc")).rejects.toEqual(code("AGT-TOKEN-OLD"));
    await receive(name("rows", 2), 3, "abc");
    files.close();
    expect(onDisk()).toEqual([]);
    await expect(receive(name("rows", 3), 3, "abc")).rejects.toEqual(code("AGT-TOKEN-OLD"));
  });
});
