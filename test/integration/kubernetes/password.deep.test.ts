import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { TestStack } from "../../support/engine.js";

const program = `
const { generatedSecrets } = require("dynamos-fabric/kubernetes");
const secrets = generatedSecrets("vfl", {});
exports.one = secrets.value("broker-one");
exports.same = secrets.value("broker-one");
exports.two = secrets.value("broker-two");
`;

/** Everything below a folder, in one text. */
const textOf = (folder: string): string =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile())
    .map((file) => readFileSync(file, "utf8"))
    .join("\n");

describe("the passwords of a marketplace on a cluster", () => {
  const stack = new TestStack({ program });
  afterAll(async () => {
    await stack.destroy();
    await stack.end();
  }, 60_000);

  it("are made once, kept, and nowhere in clear", async () => {
    const first = await stack.up();
    expect(first.code, first.text).toBe(0);
    const { one, same, two } = first.outputs as Record<string, string>;
    expect(one).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(same).toBe(one);
    expect(two).not.toBe(one);
    expect(first.text).not.toContain(one);
    expect(textOf(stack.state)).not.toContain(one);
    expect(textOf(stack.state)).not.toContain(two);

    const again = await stack.up();
    expect(again.outputs).toEqual(first.outputs);
    const preview = await stack.preview();
    expect(preview.changeSummary.create ?? 0).toBe(0);
    expect(preview.changeSummary.update ?? 0).toBe(0);
  }, 180_000);
});
