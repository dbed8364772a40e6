import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { prepareEngine, pulumi } from "../../infra/toolchain/engine.js";
import { execute } from "../../infra/toolchain/execute.js";

const repository = resolve(__dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "dynamos-fabric e2e "));
const clone = join(folder, "a clone");
const project = join(folder, "a project");

/** A copy of what git would give to somebody, with this repository's dependencies. */
function makeClone(): void {
  const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "-z"], {
    cwd: repository,
    encoding: "utf8",
  });
  for (const file of files.split("\0")) {
    if (file === "" || !existsSync(join(repository, file))) continue;
    mkdirSync(dirname(join(clone, file)), { recursive: true });
    cpSync(join(repository, file), join(clone, file));
  }
  symlinkSync(join(repository, "node_modules"), join(clone, "node_modules"));
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@t", ...args], { cwd: clone });
  git("init", "--quiet");
  // A folder is ignored as `node_modules/`; here it is a link.
  writeFileSync(join(clone, ".git", "info", "exclude"), "node_modules\n");
  git("add", "-A");
  git("commit", "--quiet", "-m", "all");
}

function makeProject(): void {
  mkdirSync(project);
  writeFileSync(
    join(project, "Pulumi.yaml"),
    "name: empty\nruntime: { name: nodejs, options: { typescript: false } }\nmain: program.cjs\n",
  );
  writeFileSync(join(project, "package.json"), '{ "name": "empty", "private": true }\n');
  writeFileSync(join(project, "program.cjs"), 'require("@pulumi/pulumi"); exports.answer = 42;\n');
  symlinkSync(join(repository, "node_modules"), join(project, "node_modules"));
}

const run = (...args: string[]) =>
  execute(process.execPath, [join(clone, "infra/toolchain/bootstrap.mjs"), ...args], {
    cwd: clone,
    timeoutMs: 240_000,
  });

describe("the npm scripts' way into a fresh clone, in a path with a space", { timeout: 300_000 }, () => {
  beforeAll(() => {
    makeClone();
    makeProject();
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("builds once for two that start at the same time, and brings both stacks up", async () => {
    const both = await Promise.all(["one", "two"].map((stack) => run("up", "-C", project, "--stack", stack)));
    for (const { code, stdout, stderr } of both) expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(both.filter(({ stderr }) => stderr.includes("build: done"))).toHaveLength(1);
    for (const { stderr } of both) expect(stderr).toMatch(/^tools: engine /m);
  });

  it("the second time builds nothing and changes nothing", async () => {
    const up = await run("up", "-C", project, "-s", "one");
    expect(up.code, up.stderr).toBe(0);
    expect(up.stderr).not.toContain("build");
    expect(up.stdout).toMatch(/1 unchanged/);
    const preview = await run("preview", "-C", project, "-s", "one", "--json");
    expect(JSON.parse(preview.stdout).changeSummary).toEqual({ same: 1 });
  });

  it("builds again when a source changes, and removes what came from a source that is gone", async () => {
    const source = join(clone, "infra", "passing.ts");
    const compiled = join(clone, "dist", "infra", "passing.js");
    writeFileSync(source, "export const passing = 1;\n");
    expect((await run("--version")).stderr).toContain("build: done");
    expect(existsSync(compiled)).toBe(true);
    rmSync(source);
    expect((await run("--version")).stderr).toContain("build: done");
    expect(existsSync(compiled)).toBe(false);
    expect((await run("--version")).stderr).toBe("");
  });

  it("tells a mistake in the sources and in the command line by exit codes", async () => {
    const source = join(clone, "infra", "wrong.ts");
    writeFileSync(source, "export const wrong: number = 'text';\n");
    const failed = await run("--version");
    expect([failed.code, failed.stderr]).toEqual([1, expect.stringContaining("TOOL-BUILD")]);
    expect(failed.stderr).toContain("infra/wrong.ts(1,14)");
    rmSync(source);
    expect((await run("no-such-command")).code).toBe(2);
    expect((await run("up", "-C", folder)).stderr).toMatch(/^error: TOOL-NO-PROJECT/m);
  });

  it("`npm run demo:sql` shows the joined table with and without the third party, who computed, who saw what, and why", async () => {
    const npm = (...args: string[]) => execute("npm", ["run", ...args], { cwd: clone, timeoutMs: 280_000 });
    const { code, stdout, stderr } = await npm("demo:sql");
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    // Titles and tables go to one stream, explanations to the other.
    const [, without = "", joined = ""] = stdout.split("\n== ");
    expect(without).toMatch(/^Without the third party[\s\S]*\nuva\nparty +gender +role +people\n(uva .*\n)+\nvu\nparty +gender +role +people\n(vu .*\n)+/); // biome-ignore format: one line
    expect(joined).toMatch(/^With the third party[\s\S]*\nparty +gender +role +people\n((uva|vu) .*\n)+/);
    const people = (text: string): number =>
      [...text.matchAll(/^(?:uva|vu) .* (\d+)$/gm)].reduce((sum, [, n]) => sum + Number(n), 0);
    expect([people(without), people(joined)]).toEqual([700, 700]);
    for (const line of [
      "archetype computeToData (weight 100): allowed by uva, vu",
      "combine: uva, vu, each on its own answer to query",
      "not computeToData (weight 100): not allowed by uva, vu",
      "surf computes: allowed by uva, vu, 0 jobs at work there",
      "combine: surf on the answers to query of uva, vu",
      "the requestor sees the answer to combine of surf",
    ])
      expect(stderr).toContain(line);
    const down = await npm("down", "--", "-s", "universities");
    expect(down.code, down.stderr).toBe(0);
  });

  it("takes both down, twice, and leaves nothing", async () => {
    for (const stack of ["one", "two", "one"]) {
      const down = await run("down", "-C", project, "-s", stack);
      expect(down.code, down.stderr).toBe(0);
      expect(down.stderr).toContain(`stack ${stack} is down`);
    }
    expect(readdirSync(join(project, ".state"))).toEqual([]);
    const status = execFileSync("git", ["status", "--porcelain"], { cwd: clone, encoding: "utf8" });
    expect(status).toBe("");
  });

  it("a plain `pulumi` says first what is missing", async () => {
    const engine = await prepareEngine({ project: clone, stack: "plain" });
    const plain = { env: { DYNAMOS_FABRIC_STATE: undefined } };
    const source = join(clone, "infra", "newer.ts");
    writeFileSync(source, "export const newer = 1;\n");
    expect((await pulumi(engine, ["preview"], plain)).stdout).toMatch(
      /TOOL-NOT-BUILT {2}dist\/ is older than the sources/,
    );
    rmSync(join(clone, "dist"), { recursive: true });
    const missing = await pulumi(engine, ["preview"], plain);
    expect(missing.stdout).toMatch(/TOOL-NOT-BUILT {2}dist\/ is missing; run `npm run up`/);
    expect(missing.stdout).not.toMatch(/\n\s+at /);
  });
});
