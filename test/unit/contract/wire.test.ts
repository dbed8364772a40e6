import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MESSAGE, type MessageType } from "../../../policy/contract/names.js";
import { decode, encode, messageType, packRequest, unpackRequest } from "../../../policy/contract/wire.js";

describe("messages", () => {
  it("have DYNAMOS's field numbers on the wire", () => {
    // type = 1, user = 2 {id = 1, user_name = 2}, data_providers = 3, destination_queue = 4, options = 5 {key = 1, value = 2}
    const bytes = encode.requestApproval({
      type: "t",
      user: { id: "1", userName: "u" },
      dataProviders: ["a", "b"],
      destinationQueue: "q",
      options: { o: true },
    });
    const hex = [
      "0a0174",
      "1206",
      "0a0131",
      "120175",
      "1a0161",
      "1a0162",
      "220171",
      "2a05",
      "0a016f",
      "1001",
    ].join("");
    expect(Buffer.from(bytes).toString("hex")).toBe(hex);
  });

  it("come back as they were sent", () => {
    const data = { learning_rate: 0.05, names: ["x", null, true], nested: { deep: [1, 2] } };
    const request = {
      type: "vfl",
      data,
      user: { id: "1", userName: "ada@uva.nl" },
      requestMetadata: { jobId: "j" },
      options: {},
    };
    const sent = encode.microserviceCommunication({
      type: MESSAGE.microserviceCommunication,
      requestType: "vfl",
      data: { accuracy: 0.5 },
      metadata: { round: "3" },
      originalRequest: packRequest(request),
      requestMetadata: { correlationId: "c", returnAddress: "orchestrator-in", jobId: "j" },
      result: Uint8Array.of(1, 2, 3),
    });
    const got = decode("microserviceCommunication", sent);
    expect(got).toMatchObject({ requestType: "vfl", data: { accuracy: 0.5 }, metadata: { round: "3" } });
    expect(got.requestMetadata).toMatchObject({
      correlationId: "c",
      returnAddress: "orchestrator-in",
      jobId: "j",
      jobName: "",
    });
    expect([...got.result]).toEqual([1, 2, 3]);
    expect(unpackRequest(got.originalRequest)).toMatchObject({ ...request, requestMetadata: { jobId: "j" } });
  });

  it("carry revisions beyond 32 bits", () => {
    const revision = 2 ** 45 + 1;
    const got = decode(
      "validationResponse",
      encode.validationResponse({ revision, agreementRevisions: { a: revision } }),
    );
    expect([got.revision, got.agreementRevisions.a]).toEqual([revision, revision]);
  });

  it("are refused by a coded error, and no other, when the bytes are none", () => {
    expect(() => decode("requestApproval", Uint8Array.of(0x0a, 0xff))).toThrow(
      expect.objectContaining({ code: "BUS-MALFORMED", path: "requestApproval" }),
    );
    expect(() => unpackRequest(undefined)).toThrow(expect.objectContaining({ code: "BUS-MALFORMED" }));
    const types = Object.keys(encode) as MessageType[];
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.uint8Array({ maxLength: 64 }), (type, bytes) => {
        try {
          decode(type, bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: "BUS-MALFORMED" });
        }
      }),
      { numRuns: 500 },
    );
  });

  it("are known by their AMQP type, the one that DYNAMOS writes with a capital included", () => {
    expect(Object.values(MESSAGE).map(messageType)).toEqual(Object.values(MESSAGE));
    expect(messageType("Request")).toBe("request");
    expect([messageType(""), messageType("toString"), messageType("__proto__")]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
