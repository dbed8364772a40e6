import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Preview } from "../support/engine.js";
import { startWholeTestbed, type WholeTestbed, wholeTestbedNodes } from "../support/whole-testbed.js";

let folder = "";
let testbed: WholeTestbed;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "dynamos-fabric 33 "));
  testbed = await startWholeTestbed(folder);
});
afterAll(async () => {
  await testbed?.end();
  rmSync(folder, { recursive: true, force: true });
});

const changes = (preview: Preview): string[] =>
  preview.steps.filter((s) => s.op !== "same").map((s) => `${s.op} ${s.urn}`);

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const from = performance.now();
  const result = await work();
  console.log(`33 sites x 3 nodes, ${what}: ${((performance.now() - from) / 1000).toFixed(1)} s`);
  return result;
}

describe("a slice over the whole testbed", () => {
  it("comes up with three nodes at each of 33 sites, shows no change, and goes", {
    timeout: 600_000,
  }, async () => {
    const { stack, emulator } = testbed;
    const up = await timed("up", () => stack.up());
    expect(up.code, up.text).toBe(0);
    // Name, address, number of routes.
    const hosts = (up.outputs.hosts as readonly string[]).map((line) => line.split(" "));
    expect(hosts.map(([name]) => name)).toEqual(Object.keys(wholeTestbedNodes).sort());
    expect(new Set(hosts.map(([, address]) => address)).size).toBe(99);
    for (const [, address, routes] of hosts) {
      expect(address).toMatch(/^10\.\d+\.\d+\.\d+$/);
      expect(routes).toBe("32");
    }
    expect(up.resources.filter((r) => r.type.startsWith("pulumi-nodejs:dynamic/fabric:"))).toHaveLength(133);

    const preview = await timed("preview", () => stack.preview());
    expect(preview.code, preview.text).toBe(0);
    expect(changes(preview)).toEqual([]);

    const down = await timed("destroy", () => stack.destroy());
    expect(down.code, down.text).toBe(0);
    expect(down.resources.filter((r) => !r.type.startsWith("pulumi:"))).toEqual([]);
    const [slice, ...others] = emulator.state().slices;
    expect(others).toEqual([]);
    expect(slice?.operation.kind).toBe("delete");
    expect(slice?.slivers.filter((s) => s.closedAt === undefined)).toEqual([]);
  });
});
