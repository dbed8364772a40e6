import { describe, expect, it } from "vitest";
import type { FabricSliver } from "../../../infra/fabric/api-answers.js";
import { failuresOf, progressLine } from "../../../infra/fabric/slice-watch.js";

const sliver = (name: string, state: string, notice?: string): FabricSliver => ({
  ...{ sliverId: `s-${name}`, nodeId: `n-${name}`, name, state },
  ...(notice === undefined ? {} : { notice }),
});

describe("progress", () => {
  it("counts what is up and names what is waited for", () => {
    const slivers = [sliver("core", "Active"), sliver("losa", "Ticketed"), sliver("old", "Closed")];
    expect(progressLine({ name: "vfl", state: "Configuring" }, slivers)).toBe(
      "slice vfl is Configuring: 1 of 2 up, waiting for losa (Ticketed)",
    );
    expect(progressLine({ name: "vfl", state: "Closing" }, [])).toBe("slice vfl is Closing: 0 of 0 up");
    const many = "abcdef".split("").map((n) => sliver(n, "Nascent"));
    expect(progressLine({ name: "vfl", state: "Nascent" }, many)).toMatch(/, d \(Nascent\), 2 more$/);
  });
});

describe("failures", () => {
  const why = "Reservation r (Slice s) is in state (Failed,None_), err=Insufficient resources : ['core']";

  it("are told by sliver in FABRIC's words", () => {
    expect(failuresOf([sliver("core", "Failed", why), sliver("losa", "Active")])).toEqual([
      "core: Insufficient resources : ['core']",
    ]);
    expect(failuresOf([sliver("core", "Failed")])).toEqual(["core: Failed, without a reason"]);
  });

  it("are not what was taken away on purpose, nor old words of what is up in a slice that is well", () => {
    const slivers = [sliver("gone", "Closed"), sliver("gpu", "Active", "x, err=Component not available")];
    expect(failuresOf(slivers, { state: "ModifyOK", model: "<n-gpu/>" })).toEqual([]);
    expect(failuresOf(slivers, { state: "ModifyError", model: "<n-gpu/><n-gone/>" })).toEqual([
      "gone: Closed, without a reason",
      "gpu: Component not available",
    ]);
  });
});
