import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { packParts, unpackParts, viewParts } from "../../../policy/contract/parts.js";
import { decode, encode, encodeWithParts } from "../../../policy/contract/wire.js";

const part = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.float64Array({ maxLength: 100 }));
const parts = fc.dictionary(fc.stringMatching(/^[a-z/]{1,20}$/), part, { maxKeys: 5 });
const draft = {
  type: "microserviceCommunication",
  data: { a: [1, null, "x"] },
  metadata: { round: "3" },
  requestMetadata: { jobId: "j" },
};

describe("parts that are handed on", () => {
  it("make the same message as parts that are packed anew", () => {
    fc.assert(
      fc.property(parts, (given) => {
        const packed = packParts(given as Record<string, Uint8Array>);
        const handedOn = decode("microserviceCommunication", encodeWithParts(draft, viewParts(packed)));
        const anew = decode(
          "microserviceCommunication",
          encode.microserviceCommunication({ ...draft, result: packed }),
        );
        expect(Buffer.from(handedOn.result).equals(anew.result)).toBe(true);
        expect({ ...handedOn, result: 0 }).toEqual({ ...anew, result: 0 });
      }),
    );
  });

  it("keep their numbers under another name, through a prefix of several bytes", () => {
    const numbers = Float64Array.from({ length: 50_000 }, (_, i) => i / 7);
    const views = viewParts(packParts({ embedding: numbers }));
    const message = decode(
      "microserviceCommunication",
      encodeWithParts(draft, { clientone: views.embedding ?? fail() }),
    );
    expect(unpackParts(message.result).clientone).toEqual(numbers);
  });

  it("are refused as unpacked parts are: too long a name, none at all, bytes that are no parts", () => {
    const view = { kind: 0, payload: new Uint8Array(1) };
    for (const name of ["", "x".repeat(256)])
      expect(() => encodeWithParts(draft, { [name]: view })).toThrow(
        expect.objectContaining({ code: "JOB-PARTS" }),
      );
    for (const bytes of [Uint8Array.of(1, 2, 3), packParts({ a: Uint8Array.of(1) }).subarray(0, 10)]) {
      expect(() => viewParts(bytes)).toThrow(expect.objectContaining({ code: "BUS-MALFORMED" }));
    }
  });
});

function fail(): never {
  throw new Error("the part is not there");
}
