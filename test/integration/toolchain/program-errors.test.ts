import { statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { TestStack } from "../../support/engine.js";

describe("a program that fails", { timeout: 120_000 }, () => {
  const stack = new TestStack({ program: "" });
  afterAll(() => stack.end());

  it("shows an error it tells by itself, once, and no stack trace", async () => {
    stack.program(`const { RunError } = require("@pulumi/pulumi"); throw new RunError("T-WRONG  mend it");`);
    const preview = await stack.preview();
    expect(preview.code).not.toBe(0);
    expect(preview.diagnostics.map((diagnostic) => diagnostic.message.trim())).toContainEqual(
      expect.stringContaining("T-WRONG  mend it"),
    );
    expect(preview.text).not.toMatch(/\n\s+at /);
  });

  it("shows where an unforeseen error came from", async () => {
    stack.program(`process.exit(7);`);
    const preview = await stack.preview();
    expect(preview.code).not.toBe(0);
    expect(preview.text).toContain("program exited with code 7");
  });

  it("makes one passphrase and one salt when two runs begin at once, for nobody else to read", async () => {
    const fresh = new TestStack({ program: "exports.x = require('@pulumi/pulumi').secret('s');" });
    try {
      const both = await Promise.all([fresh.preview(), fresh.preview()]);
      expect(
        both.map((preview) => preview.code),
        both.map((preview) => preview.text).join(),
      ).toEqual([0, 0]);
      const up = await fresh.up();
      expect(up.outputs, up.text).toEqual({ x: "s" });
      expect(statSync(join(fresh.state, "passphrase")).mode & 0o777).toBe(0o600);
      expect(statSync(fresh.state).mode & 0o777).toBe(0o700);
    } finally {
      fresh.end();
    }
  });
});
