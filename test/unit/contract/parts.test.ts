import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bytesToFloat64,
  float64Part,
  float64ToBytes,
  PART_LIMITS,
  type Part,
  packParts,
  unpackParts,
} from "../../../policy/contract/parts.js";
import { CodedError } from "../../../policy/contract/problem.js";

const part: fc.Arbitrary<Part> = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.float64Array({ maxLength: 10 }) as fc.Arbitrary<Float64Array>,
);
const name = fc
  .string({ minLength: 1, maxLength: 40, unit: "grapheme" })
  .filter((n) => new TextEncoder().encode(n).length <= PART_LIMITS.nameBytes);
const parts = fc.array(fc.tuple(name, part), { maxLength: 8 }).map((entries) => Object.fromEntries(entries));

const plain = (value: Readonly<Record<string, Part>>) =>
  Object.entries(value)
    .map(([n, p]) => [n, p instanceof Float64Array ? "float64" : "bytes", [...p]] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));

describe("packed parts", () => {
  it("come back as they were, wherever in memory the bytes lie", () => {
    fc.assert(
      fc.property(parts, fc.nat(9), (value, offset) => {
        const packed = packParts(value);
        const moved = new Uint8Array(packed.length + offset);
        moved.set(packed, offset);
        expect(plain(unpackParts(moved.subarray(offset)))).toEqual(plain(value));
      }),
    );
  });

  it("cost nothing where there are none", () => {
    expect(packParts({})).toHaveLength(0);
    expect(Object.keys(unpackParts(new Uint8Array(0)))).toEqual([]);
  });

  it("survive no cut, and no byte string makes unpacking fail otherwise than by a coded error", () => {
    fc.assert(
      fc.property(parts, fc.nat(), (value, at) => {
        const packed = packParts(value);
        fc.pre(packed.length > 0);
        const cut = at % packed.length;
        if (cut > 0) expect(() => unpackParts(packed.subarray(0, cut))).toThrow(CodedError);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.boolean(), (noise, withMagic) => {
        const bytes = withMagic ? Uint8Array.from([0x44, 0x46, 0x50, 0x31, 1, 0, 0, 0, ...noise]) : noise;
        try {
          unpackParts(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: "BUS-MALFORMED" });
        }
      }),
    );
  });

  it("may be named like Object's own fields", () => {
    const value = Object.fromEntries([
      ["__proto__", new Uint8Array([1])],
      ["constructor", new Uint8Array([2])],
    ]);
    const back = unpackParts(packParts(value));
    expect(Object.keys(back).sort()).toEqual(["__proto__", "constructor"]);
  });

  it("are refused beyond their limits", () => {
    const many = Object.fromEntries(
      Array.from({ length: PART_LIMITS.count + 1 }, (_, i) => [`p${i}`, new Uint8Array(0)]),
    );
    expect(() => packParts(many)).toThrow(expect.objectContaining({ code: "JOB-PARTS" }));
    expect(() => packParts({ "": new Uint8Array(1) })).toThrow(
      expect.objectContaining({ code: "JOB-PARTS" }),
    );
    expect(() => packParts({ ["x".repeat(256)]: new Uint8Array(1) })).toThrow(
      expect.objectContaining({ code: "JOB-PARTS" }),
    );
  });

  it("say which part is missing or of the wrong kind", () => {
    const value = { a: Float64Array.of(1, 2), b: new Uint8Array(3) };
    expect(float64Part(value, "a")).toEqual(Float64Array.of(1, 2));
    expect(() => float64Part(value, "b")).toThrow(expect.objectContaining({ code: "JOB-PARTS", path: "b" }));
    expect(() => float64Part(value, "toString")).toThrow(expect.objectContaining({ code: "JOB-PARTS" }));
  });

  it("are little-endian on the wire", () => {
    expect([...float64ToBytes([1])]).toEqual([0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
    expect(bytesToFloat64(Uint8Array.of(0, 0, 0, 0, 0, 0, 0xf0, 0x3f))).toEqual(Float64Array.of(1));
    expect(() => bytesToFloat64(new Uint8Array(7))).toThrow(
      expect.objectContaining({ code: "BUS-MALFORMED" }),
    );
  });
});
