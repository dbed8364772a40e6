// A preview that changes nothing, of a slice with three nodes at each of 33 sites, against an empty program with as many dynamic resources.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestStack } from "../support/engine.js";
import { startWholeTestbed } from "../support/whole-testbed.js";
import { type Line, median, timeLine } from "./measure.js";
import { empty, seconds } from "./preview.js";

export async function fabricPreviewLine(blocks: number): Promise<Line> {
  const folder = mkdtempSync(join(tmpdir(), "dynamos-fabric bench "));
  const testbed = await startWholeTestbed(folder);
  let floor: TestStack | undefined;
  try {
    console.log("bringing up a slice over 33 sites");
    const up = await testbed.stack.up();
    if (up.code !== 0) throw new Error(up.text);
    const dynamic = up.resources.filter((r) => r.type.startsWith("pulumi-nodejs:dynamic/")).length;
    floor = new TestStack({ program: empty(dynamic), project: "floor" });
    const started = await floor.up();
    if (started.code !== 0) throw new Error(started.text);
    const times: { product: number[]; floor: number[] } = { product: [], floor: [] };
    for (let i = 0; i <= blocks; i++) {
      const [a, b] = [await seconds(testbed.stack), await seconds(floor)];
      // The first pair warms the disk's cache.
      if (i > 0) times.product.push(a) && times.floor.push(b);
    }
    return timeLine(
      `preview without change, 33 sites x 3 nodes, ${dynamic} dynamic resources`,
      median(times.product),
      median(times.floor),
      1.5,
      "s",
    );
  } finally {
    floor?.end();
    // What it holds ends with the emulator.
    await testbed.end();
    rmSync(folder, { recursive: true, force: true });
  }
}
