import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { goInstallCommand, goIsNewEnough } from "../../../infra/toolchain/engine-go.js";
import { isNewEnough } from "../../../infra/toolchain/tools.js";

describe("goIsNewEnough", () => {
  it.each([
    ["go version go1.26.8 linux/amd64", true],
    ["go version go1.25.11 linux/amd64", true],
    ["go version go1.25.10 darwin/arm64", false],
    ["go version go1.25 linux/amd64", false],
    ["go version go1.25rc1 linux/amd64", false],
    ["go version go2.0 linux/amd64", true],
    ["go version devel +abc", false],
    ["", false],
  ])("%s: %s", (answer, expected) => expect(goIsNewEnough(answer)).toBe(expected));

  it("never takes a version for older than a smaller one", () => {
    const version = fc.tuple(fc.nat(3), fc.nat(40), fc.nat(20));
    fc.assert(
      fc.property(version, fc.nat(2), fc.nat(10), (lower, position, more) => {
        const higher = lower.map((part, i) => (i === position ? part + more + 1 : part));
        const ok = (parts: readonly number[]): boolean =>
          goIsNewEnough(`go version go${parts.join(".")} linux/amd64`);
        expect(ok(higher) || !ok(lower)).toBe(true);
      }),
    );
  });

  it("names a command for each system", () => {
    expect(goInstallCommand("darwin")).toContain("brew install go");
    expect(goInstallCommand("linux")).toContain("apt install golang-go");
  });
});

describe("isNewEnough", () => {
  it.each([
    ["v3.259.0\n", true],
    ["3.200.0", true],
    ["v3.199.9", false],
    ["v2.300.0", false],
    ["v4.0.0-alpha.1", true],
    ["", false],
    ["not a version", false],
  ])("%j: %s", (answer, expected) => expect(isNewEnough(answer)).toBe(expected));
});
