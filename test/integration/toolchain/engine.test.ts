import { afterAll, describe, expect, it } from "vitest";
import { nameOf, TestStack } from "../../support/engine.js";

const provider = `
const { existsSync, readFileSync, writeFileSync } = require("node:fs");
exports.handler = () => ({
  check: async (olds, news) => ({ inputs: news, failures: news.size > 9 ? [{ property: "size", reason: "T-TOO-BIG 10" }] : [] }),
  diff: async (id, olds, news) => ({ changes: olds.size !== news.size }),
  create: async (news) => ({ id: "thing", outs: { size: news.size, node: process.version } }),
  update: async (id, olds, news) => ({ outs: { size: news.size } }),
  delete: async () => {},
  read: async (id, props) => ({ id, props }),
});`;
const program = `
const pulumi = require("@pulumi/pulumi");
const __provider = ${JSON.stringify(provider)};
class Thing extends pulumi.CustomResource {
  constructor(name, args) { super("pulumi-nodejs:dynamic/test:Thing", name, { ...args, node: undefined, __provider }); }
}
const config = new pulumi.Config();
const thing = new Thing("one", { size: config.requireNumber("size") });
exports.size = thing.size; exports.node = thing.node; exports.secret = pulumi.secret("hidden");
exports.where = process.cwd();
// A provider that is written as text by the SDK, with what it refers to.
const greeting = "hello";
class Greeting extends pulumi.dynamic.Resource {
  constructor(name) { super({ create: async () => ({ id: "g", outs: { said: greeting + " " + name } }) }, name, { said: undefined }); }
}
exports.said = new Greeting("world").said;
`;

describe("the engine on a program of ours", { timeout: 120_000 }, () => {
  const stack = new TestStack({ program, config: { "test:size": 3 } });
  afterAll(() => stack.end());

  it("previews, makes, changes, refreshes and destroys", async () => {
    const preview = await stack.preview();
    expect(preview.code, preview.text).toBe(0);
    expect(preview.steps.map((step) => [step.op, nameOf(step.urn)]).sort()).toEqual([
      ["create", "one"],
      ["create", "test-test"],
      ["create", "world"],
    ]);

    const up = await stack.up();
    expect(up.code, up.text).toBe(0);
    expect(up.outputs).toEqual({
      ...{ size: 3, node: process.version, secret: "hidden", where: stack.folder },
      said: "hello world",
    });
    expect(up.text).not.toContain("warning");

    stack.config({ "test:size": 4 });
    const change = await stack.preview();
    expect(change.changeSummary).toEqual({ same: 2, update: 1 });
    expect((await stack.up()).outputs.size).toBe(4);
    expect((await stack.refresh()).code).toBe(0);

    const destroyed = await stack.destroy();
    expect(destroyed.code, destroyed.text).toBe(0);
    expect(destroyed.resources).toEqual([]);
  });
});
