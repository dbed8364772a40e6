import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  ensureMark,
  forgetMark,
  isEnding,
  knownMarks,
  noteEnding,
  noteSubmission,
  submittedTo,
} from "../../../infra/fabric/mark-file.js";

const owner = { project: "p", stack: "dev" };
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "marks-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("a slice's mark on the disk", () => {
  it("tells whether, and where, the slice was submitted; the mark stays the same", () => {
    const mark = ensureMark(folder, "p dev/1", owner);
    expect(submittedTo(folder, "p dev/1")).toBeUndefined();
    const endpoint = { kind: "fabric", host: "h.example", tokenFile: "~/t.json" } as const;
    noteSubmission(folder, "p dev/1", endpoint);
    expect(submittedTo(folder, "p dev/1")).toEqual(endpoint);
    expect(ensureMark(folder, "p dev/1", owner)).toEqual(mark);
    expect(knownMarks(folder)).toEqual({ "p dev/1": mark });
    expect(isEnding(folder, "p dev/1")).toBe(false);
    noteEnding(folder, "p dev/1", true);
    expect(isEnding(folder, "p dev/1")).toBe(true);
    expect(submittedTo(folder, "p dev/1")).toEqual(endpoint);
    noteEnding(folder, "p dev/1", false);
    expect(isEnding(folder, "p dev/1")).toBe(false);
    noteEnding(folder, "of no slice", true);
    expect(isEnding(folder, "of no slice")).toBe(false);
    forgetMark(folder, "p dev/1");
    expect(submittedTo(folder, "p dev/1")).toBeUndefined();
    expect(existsSync(join(folder, "slices", "p%20dev%2F1.json"))).toBe(false);
  });
});
