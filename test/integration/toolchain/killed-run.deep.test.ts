import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { engineArguments } from "../../../infra/toolchain/engine.js";
import { silentProgress } from "../../../infra/toolchain/progress.js";
import { repairStack } from "../../../infra/toolchain/repair.js";
import { nameOf, TestStack } from "../../support/engine.js";

/** A provider whose create waits until a file is there, and notes its own pid and what it made. */
const provider = `
const { existsSync, writeFileSync } = require("node:fs");
exports.handler = () => ({
  check: async (olds, news) => ({ inputs: news }),
  create: async (news) => {
    writeFileSync(news.folder + "/creating-" + process.pid, "");
    while (!existsSync(news.folder + "/go")) await new Promise((r) => setTimeout(r, 20));
    writeFileSync(news.folder + "/made-" + process.pid, "");
    return { id: "thing", outs: { folder: news.folder } };
  },
  delete: async () => {},
});`;
const program = `
const pulumi = require("@pulumi/pulumi");
class Thing extends pulumi.CustomResource {
  constructor(name, args) { super("pulumi-nodejs:dynamic/test:Thing", name, { ...args, __provider: ${JSON.stringify(provider)} }); }
}
new Thing("one", { folder: new pulumi.Config().require("folder") });
`;

async function until<T>(look: () => T | undefined, what: string): Promise<T> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`not within 30 s: ${what}`);
    await new Promise((settle) => setTimeout(settle, 25));
  }
}
const runs = (pid: number): boolean =>
  existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
const childrenOf = (pid: number): number[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((child) => {
      try {
        return new RegExp(`^PPid:\\s+${pid}$`, "m").test(readFileSync(`/proc/${child}/status`, "utf8"));
      } catch {
        return false;
      }
    });

describe.runIf(process.platform === "linux")(
  "a run of the engine that is killed in the middle",
  { timeout: 120_000 },
  () => {
    const stack = new TestStack({ program });
    const folder = join(stack.folder, "things");
    mkdirSync(folder);
    stack.config({ "test:folder": folder });
    afterAll(() => stack.end());

    it("leaves no process, and the next run takes it up again", async () => {
      const engine = await stack.engine();
      const run = spawn(
        engine.tool.path,
        [...engineArguments(engine, ["up", "--yes", "--skip-preview"]), "--non-interactive"],
        {
          cwd: engine.project,
          env: engine.env,
          stdio: "ignore",
        },
      );
      if (run.pid === undefined) throw new Error("the engine did not start");
      const started = await until(
        () => readdirSync(folder).find((name) => name.startsWith("creating-")),
        "the create begins",
      );
      const provider = Number(started.slice("creating-".length));
      const children = childrenOf(run.pid);
      const all = [...children, ...children.flatMap(childrenOf)];
      expect(all).toContain(provider);
      // The language host and the program it runs.
      expect(all.length).toBeGreaterThanOrEqual(3);

      await expect(repairStack(engine, silentProgress)).rejects.toMatchObject({ code: "TOOL-STACK-BUSY" });
      run.kill("SIGKILL");
      await until(() => (all.some(runs) ? undefined : true), `the ends of ${all.join(", ")}`);
      writeFileSync(join(folder, "go"), "");
      expect(readdirSync(folder).filter((name) => name.startsWith("made-"))).toEqual([]);

      const lines: string[] = [];
      await repairStack(await stack.engine(), { ...silentProgress, line: (text) => lines.push(text) });
      expect(lines).toEqual(["a run was killed while creating one; taking it up again"]);
      const up = await stack.up();
      expect(up.code, up.text).toBe(0);
      expect(up.text).not.toContain("warning");
      expect(up.resources.map((resource) => nameOf(resource.urn))).toContain("one");
      await repairStack(await stack.engine(), { ...silentProgress, line: (text) => lines.push(text) });
      expect(lines).toHaveLength(1);
    });

    // A kill while one of these was written left it empty, and the state unreadable: "failed to load checkpoint: EOF".
    it("has no file beside its state that is not replaced as a whole", async () => {
      const files = readdirSync(join(stack.state, "backend"), { recursive: true, encoding: "utf8" });
      expect(files.some((file) => /stacks\/.*\.json$/.test(file))).toBe(true);
      expect(files.filter((file) => file.endsWith(".attrs"))).toEqual([]);
    });
  },
);
