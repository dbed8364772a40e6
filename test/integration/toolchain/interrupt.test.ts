import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { nameOf, TestStack } from "../../support/engine.js";

const provider = `
const { existsSync, writeFileSync } = require("node:fs");
exports.handler = () => ({
  create: async (news) => {
    writeFileSync(news.folder + "/creating", "");
    while (!existsSync(news.folder + "/go")) await new Promise((r) => setTimeout(r, 20));
    return { id: "thing", outs: { folder: news.folder } };
  },
});`;
const program = `
const pulumi = require("@pulumi/pulumi");
class Thing extends pulumi.CustomResource {
  constructor(name, args, opts) { super("pulumi-nodejs:dynamic/test:Thing", name, { ...args, __provider: ${JSON.stringify(provider)} }, opts); }
}
const folder = new pulumi.Config().require("folder");
const one = new Thing("one", { folder });
new Thing("two", { folder }, { dependsOn: one });
`;

describe("Ctrl-C during `up`", { timeout: 120_000 }, () => {
  const stack = new TestStack({ program });
  afterAll(() => stack.end());

  it("lets the engine finish and record what it had begun, and begins nothing more", async () => {
    stack.config({ "test:folder": stack.folder });
    const main = resolve(__dirname, "../../../dist/dynamos/cli/main.js");
    const up = spawn(process.execPath, [main, "up", "--cwd", stack.folder, "--stack", stack.stack], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let text = "";
    for (const stream of [up.stdout, up.stderr])
      stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    const ended = new Promise<number | null>((settle) => up.once("exit", settle));
    const deadline = performance.now() + 60_000;
    while (!existsSync(join(stack.folder, "creating"))) {
      if (performance.now() > deadline || up.exitCode !== null)
        throw new Error(`the create did not begin: ${text}`);
      await new Promise((settle) => setTimeout(settle, 25));
    }
    up.kill("SIGINT");
    // npm passes the signal on as well: it must not count as a second wish.
    up.kill("SIGINT");
    setTimeout(() => writeFileSync(join(stack.folder, "go"), ""), 1_000);
    expect(await ended).not.toBe(0);
    const engine = await stack.engine();
    expect(engine.onDisk.pendingOperations()).toEqual([]);
    expect(engine.onDisk.resourceCount(), text).toBe(1);
    expect(engine.onDisk.clearDeadLocks()).toBeUndefined();
    const next = await stack.up();
    expect(next.resources.map((resource) => nameOf(resource.urn))).toEqual(
      expect.arrayContaining(["one", "two"]),
    );
  });
});
