import { describe, expect, it } from "vitest";
import { partialFailure } from "../../../infra/fabric/provider-support.js";

describe("a resource that exists and is not well", () => {
  it("is remembered with its provider's text, or the engine could never delete it", () => {
    const error = partialFailure("id-1", { name: "dev" }, ["core: no room"], {
      name: "dev",
      __provider: "exports.x=1",
    });
    expect(error).toMatchObject({
      id: "id-1",
      properties: { name: "dev", __provider: "exports.x=1" },
      reasons: ["core: no room"],
      stack: "core: no room",
    });
    expect(partialFailure("id-1", { name: "dev" }, [], {})).toMatchObject({ properties: { name: "dev" } });
  });
});
