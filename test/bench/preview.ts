// A preview that changes nothing, of the whole marketplace, against an empty program with as many dynamic resources.
import { readFileSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { shutdownStack } from "../../infra/local/index.js";
import { TestStack } from "../support/engine.js";
import { type Line, median, timeLine } from "./measure.js";

const marketplace = `module.exports = require("dynamos-fabric/provider/dynamos/program");`;

/** `count` dynamic resources that do nothing, in the same short form as the product's. */
const empty = (count: number): string => `
const pulumi = require("@pulumi/pulumi");
const provider = "exports.handler=()=>({check:async(o,n)=>({inputs:n}),diff:async()=>({changes:false}),create:async(i)=>({id:'x',outs:i}),delete:async()=>{}})";
class Nothing extends pulumi.CustomResource {
  constructor(name) { super("pulumi-nodejs:dynamic/bench:Nothing", name, { name, __provider: provider }); }
}
for (let i = 0; i < ${count}; i++) new Nothing("nothing-" + i);`;

export async function previewLine(blocks: number): Promise<Line> {
  const config = (
    parse(readFileSync(resolve("Pulumi.dev.yaml"), "utf8")) as { config: Record<string, unknown> }
  ).config;
  const product = new TestStack({ program: marketplace, config, project: "dynamos-fabric" });
  symlinkSync(resolve("examples"), join(product.folder, "examples"));
  try {
    console.log("bringing up the stack whose preview is measured");
    return await againstEmpty(product, { what: "preview without change", goal: 2.0, blocks });
  } finally {
    await product.destroy();
    await shutdownStack(product.state);
    await product.end();
  }
}

/** Brings a stack up and measures its preview without change against an empty program with as many dynamic resources. */
export async function againstEmpty(
  product: TestStack,
  { what, goal, blocks }: { readonly what: string; readonly goal: number; readonly blocks: number },
): Promise<Line> {
  const up = await product.up();
  if (up.code !== 0) throw new Error(up.text);
  const dynamic = up.resources.filter((r) => r.type.startsWith("pulumi-nodejs:dynamic/")).length;
  const floor = new TestStack({ program: empty(dynamic), project: "floor" });
  try {
    const started = await floor.up();
    if (started.code !== 0) throw new Error(started.text);
    const times: { product: number[]; floor: number[] } = { product: [], floor: [] };
    for (let i = 0; i <= blocks; i++) {
      const [a, b] = [await seconds(product), await seconds(floor)];
      // The first pair warms the disk's cache.
      if (i > 0) times.product.push(a) && times.floor.push(b);
    }
    const name = `${what}, ${dynamic} dynamic resources`;
    return timeLine(name, median(times.product), median(times.floor), goal, "s");
  } finally {
    await floor.destroy();
    await floor.end();
  }
}

/** How long a preview takes that must show no change. */
async function seconds(stack: TestStack): Promise<number> {
  const from = performance.now();
  const preview = await stack.preview();
  const changed = preview.steps.filter((s) => s.op !== "same");
  if (preview.code !== 0 || changed.length > 0)
    throw new Error(`not a preview without change: ${preview.text}`);
  return (performance.now() - from) / 1000;
}
