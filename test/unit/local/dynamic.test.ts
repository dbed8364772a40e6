import { describe, expect, it } from "vitest";
import {
  dynamicProvider,
  hasUnknown,
  madeInPart,
  stripUndefined,
  unknownValue,
  withoutStack,
} from "../../../infra/dynamic.js";

describe("dynamicProvider", () => {
  it("names the module, holds no path and is short", () => {
    const text = dynamicProvider("infra/local/process-provider");
    expect(text).toContain("dynamos-fabric/provider/infra/local/process-provider");
    expect(text).not.toContain(process.cwd());
    expect(text.length).toBeLessThan(200);
    const module: { handler?: () => unknown } = {};
    new Function("exports", "require", text)(module, require);
    expect(module.handler).toBeTypeOf("function");
  });

  it("takes no text that could leave the string", () => {
    for (const bad of ["a'b", "", "/a", "../a", "a/", "a b"])
      expect(() => dynamicProvider(bad)).toThrow(RangeError);
  });
});

describe("what goes to the engine", () => {
  it("has no undefined values", () => {
    expect(stripUndefined({ a: undefined, b: { c: undefined, d: 1 } })).toStrictEqual({ b: { d: 1 } });
  });

  it("may hold values that are not known yet", () => {
    expect(hasUnknown({ a: [{ b: unknownValue }] })).toBe(true);
    expect(hasUnknown({ a: "x" })).toBe(false);
    expect(hasUnknown(undefined)).toBe(false);
  });

  it("keeps the provider's text with what was made in part, and no stack", () => {
    const error = madeInPart(
      new Error("no"),
      "x",
      { name: "x", pid: undefined },
      { __provider: "text", spec: 1 },
    );
    expect(error).toMatchObject({
      id: "x",
      properties: { name: "x", __provider: "text" },
      reasons: ["no"],
      stack: "no",
    });
    expect(withoutStack("text")).toMatchObject({ message: "text", stack: "text" });
  });
});
