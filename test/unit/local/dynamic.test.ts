import { describe, expect, it } from "vitest";
import {
  checkFailures,
  dynamicProvider,
  hasUnknown,
  madeInPart,
  plainErrors,
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
    const inputs = { __provider: "text", spec: 1 };
    expect(madeInPart("x", { name: "x", pid: undefined }, ["no", "never"], inputs)).toMatchObject({
      id: "x",
      properties: { name: "x", __provider: "text" },
      reasons: ["no", "never"],
      stack: "no\nnever",
    });
    expect(madeInPart("x", { name: "x" }, [], {})).toMatchObject({ properties: { name: "x" } });
    expect(withoutStack("text")).toMatchObject({ message: "text", stack: "text" });
  });

  it("shows the text of a method's error alone, also of one that is thrown before it waits", async () => {
    const provider = plainErrors({
      wait: async () => await Promise.reject(new RangeError("late")),
      now: () => {
        throw new Error("early");
      },
      add: async (a: number, b: number) => a + b,
    });
    await expect(provider.wait()).rejects.toMatchObject({ stack: "late", name: "RangeError" });
    await expect(provider.now()).rejects.toMatchObject({ stack: "early" });
    expect(await provider.add(1, 2)).toBe(3);
  });

  it("names what is wrong with inputs by its place, code and remedy", () => {
    const problem = { code: "LOC-X", path: "a.b", message: "is wrong", remedy: "mend it" };
    expect(checkFailures([problem], "spec")).toEqual([
      { property: "spec.a.b", reason: "LOC-X  is wrong; mend it" },
    ]);
    expect(checkFailures([{ code: "LOC-X", message: "is wrong" }])).toEqual([
      { property: "", reason: "LOC-X  is wrong" },
    ]);
  });
});
