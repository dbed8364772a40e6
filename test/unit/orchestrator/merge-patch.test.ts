import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mergePatch } from "../../../policy/orchestrator/merge-patch.js";

describe("a JSON merge patch", () => {
  // RFC 7396, appendix A.
  it.each([
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ a: "foo" }, "bar", "bar"],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])("makes %j with %j to %j", (target, patch, result) => {
    expect(mergePatch(target, patch)).toEqual(result);
  });

  it("says all that it says, leaves the rest, and changes nothing given to it, for any values", () => {
    const flat = fc.dictionary(fc.string(), fc.oneof(fc.integer(), fc.constant(null)));
    fc.assert(
      fc.property(flat, flat, (target, patch) => {
        const before = JSON.stringify([target, patch]);
        const merged = mergePatch(target, patch) as Record<string, unknown>;
        for (const key of new Set([...Object.keys(target), ...Object.keys(patch)])) {
          const wanted = Object.hasOwn(patch, key) ? (patch[key] ?? undefined) : target[key];
          expect(Object.hasOwn(merged, key) ? merged[key] : undefined).toEqual(wanted);
        }
        expect(JSON.stringify([target, patch])).toBe(before);
      }),
    );
  });

  it("ends on the deepest nesting", () => {
    const deep = JSON.parse(`${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`) as unknown;
    expect(() => mergePatch({}, deep)).not.toThrow();
  });
});
