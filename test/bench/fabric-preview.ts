// A preview that changes nothing, of a slice with three nodes at each of 33 sites, against an empty program with as many dynamic resources.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startWholeTestbed } from "../support/whole-testbed.js";
import type { Line } from "./measure.js";
import { againstEmpty } from "./preview.js";

export async function fabricPreviewLine(blocks: number): Promise<Line> {
  const folder = mkdtempSync(join(tmpdir(), "dynamos-fabric bench "));
  const testbed = await startWholeTestbed(folder);
  try {
    console.log("bringing up a slice over 33 sites");
    const what = "preview without change, 33 sites x 3 nodes";
    return await againstEmpty(testbed.stack, { what, goal: 1.5, blocks });
  } finally {
    // What it holds ends with the emulator.
    await testbed.end();
    rmSync(folder, { recursive: true, force: true });
  }
}
