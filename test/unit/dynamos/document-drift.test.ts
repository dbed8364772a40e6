import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contentHash } from "../../../infra/content-hash.js";
import { type DriftInput, driftOf } from "../../../policy/setup/document-drift.js";

const base = { kind: "agreement", name: "clientthree", remembered: true } as const;
const verdict = (input: Omit<DriftInput, "kind" | "name" | "remembered"> & { remembered?: boolean }) =>
  driftOf({ ...base, ...input });

describe("driftOf", () => {
  it.each([
    ["a first write", { file: { sha256: "a" } }, { kind: "write", ifRevision: 0 }],
    [
      "a live document that is the file's",
      { file: { sha256: "a" }, live: { sha256: "a", revision: 7 } },
      { kind: "same" },
    ],
    [
      "a changed file over what the stack wrote",
      { file: { sha256: "b" }, last: { sha256: "a", revision: 5 }, live: { sha256: "a", revision: 7 } },
      { kind: "write", ifRevision: 7 },
    ],
    [
      "the API's change under an unchanged file",
      { file: { sha256: "a" }, last: { sha256: "a", revision: 5 }, live: { sha256: "n", revision: 9 } },
      { kind: "drift" },
    ],
    [
      "the API's removal under an unchanged file",
      { file: { sha256: "a" }, last: { sha256: "a", revision: 5 } },
      { kind: "drift" },
    ],
    [
      "the API's removal under a changed file",
      { file: { sha256: "b" }, last: { sha256: "a", revision: 5 } },
      { kind: "conflict" },
    ],
    [
      "both changed",
      { file: { sha256: "b" }, last: { sha256: "a", revision: 5 }, live: { sha256: "n", revision: 9 } },
      { kind: "conflict" },
    ],
    [
      "a live document of unknown origin",
      { file: { sha256: "a" }, live: { sha256: "n", revision: 9 } },
      { kind: "conflict" },
    ],
    [
      "both changed, the file names the live revision",
      {
        file: { sha256: "b", revision: 9 },
        last: { sha256: "a", revision: 5 },
        live: { sha256: "n", revision: 9 },
      },
      { kind: "write", ifRevision: 9 },
    ],
    [
      "both changed, the file names an older revision",
      {
        file: { sha256: "b", revision: 8 },
        last: { sha256: "a", revision: 5 },
        live: { sha256: "n", revision: 9 },
      },
      { kind: "conflict" },
    ],
    [
      "a removal that the file names",
      { file: { sha256: "a", revision: 0 }, last: { sha256: "a", revision: 5 } },
      { kind: "write", ifRevision: 0 },
    ],
    [
      "a new store",
      { file: { sha256: "a" }, last: { sha256: "a", revision: 5 }, remembered: false },
      { kind: "write", ifRevision: 0 },
    ],
  ])("decides %s", (_name, input, expected) => {
    expect(verdict(input)).toMatchObject(expected);
  });

  it("says what to do", () => {
    const found = verdict({
      file: { sha256: "b" },
      last: { sha256: "a", revision: 5 },
      live: { sha256: "n", revision: 9 },
    });
    expect(found).toMatchObject({
      problem: { code: "POL-AGREEMENT-CONFLICT", path: "agreement clientthree" },
    });
    expect("problem" in found && found.problem.remedy).toContain("agreements pull");
    expect("problem" in found && found.problem.remedy).toContain('"$revision": 9');
  });

  const content = fc.constantFrom("a", "b", "c");
  const version = fc.record({ sha256: content, revision: fc.integer({ min: 1, max: 4 }) });
  const any = fc.record({
    file: fc.record({
      sha256: content,
      revision: fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined }),
    }),
    last: fc.option(version, { nil: undefined }),
    live: fc.option(version, { nil: undefined }),
    remembered: fc.boolean(),
  });

  it("never overwrites what the API wrote, unless the file names that revision", () => {
    fc.assert(
      fc.property(any, (input) => {
        const found = verdict(input);
        if (found.kind !== "write") return;
        const { file, last, live, remembered } = input;
        if (live !== undefined)
          expect(live.sha256 === last?.sha256 || file.revision === live.revision).toBe(true);
        else expect(last === undefined || !remembered || file.revision === 0).toBe(true);
        expect(found.ifRevision).toBe(live?.revision ?? 0);
      }),
    );
  });

  it("writes nothing where nothing differs", () => {
    fc.assert(
      fc.property(
        any,
        (input) =>
          void (input.live?.sha256 === input.file.sha256 && expect(verdict(input).kind).toBe("same")),
      ),
    );
  });
});

describe("contentHash", () => {
  it("is the same for any order of keys, and another for another content", () => {
    expect(contentHash({ a: 1, b: { c: [1, 2], d: "x" } })).toBe(
      contentHash({ b: { d: "x", c: [1, 2] }, a: 1 }),
    );
    expect(contentHash({ a: [1, 2] })).not.toBe(contentHash({ a: [2, 1] }));
  });
});
