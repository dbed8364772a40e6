import { copyFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { makeSshKeyPair } from "../../../infra/fabric/ssh-key-pair.js";
import { nameOf, TestStack } from "../../support/engine.js";

/** The example as it is written, in a project that only installs the library. */
describe("examples/own-machines", { timeout: 120_000 }, () => {
  const stack = new TestStack({
    project: "own-machines",
    program: 'module.exports = async () => ({ ...(await import("./index.mjs")) });',
  });
  afterAll(() => stack.end());

  it("previews a step for each machine, and keeps the key secret", async () => {
    copyFileSync(resolve("examples/own-machines/index.mjs"), join(stack.folder, "index.mjs"));
    writeFileSync(join(stack.folder, "key"), makeSshKeyPair("mine").privateKey);
    stack.config({
      "own-machines:hosts": { control: "10.0.0.5", worker: "10.0.0.6" },
      "own-machines:keyFile": join(stack.folder, "key"),
    });
    const { code, steps, text } = await stack.preview();
    expect(code, text).toBe(0);
    const commands = steps
      .filter((s) => s.newState?.type === "command:remote:Command")
      .map((s) => nameOf(s.urn));
    expect(commands.sort()).toEqual(["own-apply", "own-control-check", "own-control-prepare", "own-helm", "own-k9s", "own-key", "own-kubeconfig", "own-kubespray", "own-labels", "own-worker-check", "own-worker-prepare"]); // biome-ignore format: one line
    expect(text).not.toContain("PRIVATE KEY");
  });
});
