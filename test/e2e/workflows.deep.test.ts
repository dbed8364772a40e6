// docs/workflows.md, step by step, with the package as it is published: what a newcomer types, and what the page says they then see.
import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const run = promisify(execFile);
const repository = resolve(__dirname, "../..");
const page = readFileSync(join(repository, "docs/workflows.md"), "utf8");
const fences = (language: string): string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(
    ([, text = ""]) => text,
  );
/** All lines that the page tells to type, in order. */
const commands = fences("sh").flatMap((text) => text.trim().split("\n"));
const files = [...page.matchAll(/^`(\S+)`:\n\n```\w+\n([\s\S]*?)^```$/gm)].map(
  ([, file = "", text = ""]) => ({
    file,
    text,
  }),
);

describe("the tutorial", { timeout: 300_000 }, () => {
  const project = mkdtempSync(join(tmpdir(), "dynamos-fabric tutorial "));
  const installed = join(project, "node_modules", "dynamos-fabric");
  /** The page's line, as the shell would do it. */
  async function type(line: string): Promise<{ code: number; stdout: string; stderr: string }> {
    expect(commands).toContain(line);
    const [npx, name, ...args] = line.split(" ");
    expect([npx, name]).toEqual(["npx", "dynamos-fabric"]);
    const program = [join(installed, "dist/dynamos/cli/main.js"), ...args];
    try {
      const { stdout, stderr } = await run(process.execPath, program, { cwd: project, env: environment() });
      return { code: 0, stdout, stderr };
    } catch (error) {
      const {
        code = 1,
        stdout = "",
        stderr = "",
      } = error as { code?: number; stdout?: string; stderr?: string };
      return { code, stdout, stderr };
    }
  }

  beforeAll(async () => {
    // `npm init` and `npm install`, without a registry: the tarball unpacked, and what it declares (nothing else) beside it.
    expect(commands.slice(0, 2)).toEqual(["npm init -y", "npm install dynamos-fabric @pulumi/pulumi"]);
    const npm = ["pack", "--ignore-scripts", "--silent", "--pack-destination", project];
    const tarball = (await run("npm", npm, { cwd: repository })).stdout.trim();
    mkdirSync(installed, { recursive: true });
    await run("tar", ["-xzf", join(project, tarball), "--strip-components=1", "-C", installed]);
    const pack = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as {
      readonly dependencies: object;
    };
    for (const name of [...Object.keys(pack.dependencies), "@pulumi/pulumi"]) {
      const link = join(project, "node_modules", name);
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(join(repository, "node_modules", name), link);
    }
    writeFileSync(join(project, "package.json"), JSON.stringify({ name: "tutorial", private: true }));
  }, 120_000);
  afterAll(async () => {
    if (existsSync(join(project, "Pulumi.yaml")))
      await run(process.execPath, [join(installed, "dist/dynamos/cli/main.js"), "-s", "hours", "down"], {
        cwd: project,
        env: environment(),
      }).catch(() => {});
    rmSync(project, { recursive: true, force: true });
  }, 120_000);

  it("ends in the answer that it promises, with what it promises to say", async () => {
    const made = await type("npx dynamos-fabric new hours --like universities");
    expect(made.code, made.stderr).toBe(0);
    expect(files.map(({ file }) => file)).toHaveLength(8);
    for (const { file, text } of files) writeFileSync(join(project, file), text);

    const up = await type("npx dynamos-fabric -s hours up");
    expect(up.code, up.stdout + up.stderr).toBe(0);

    const asked = "npx dynamos-fabric -s hours request workingHours --user ada@uva.nl --providers uva,vu";
    const { code, stdout, stderr } = await type(asked);
    expect(code, stderr).toBe(0);
    expect(fences("json").map((text) => JSON.parse(text))).toContainEqual(JSON.parse(stdout));
    const [explained = ""] = fences("text");
    expect(explained.trim().split("\n").length).toBeGreaterThan(4);
    for (const line of explained.trim().split("\n")) expect(stderr).toContain(line);

    const stranger = await type(asked.replace("ada@uva.nl", "bob@vu.nl"));
    expect([stranger.code, stranger.stdout]).toEqual([3, ""]);
    const { stdout: logs } = await run(
      process.execPath,
      [join(installed, "dist/dynamos/cli/main.js"), "-s", "hours", "logs", "agent-surf"],
      { cwd: project, env: environment() },
    );
    expect(logs).toContain("numbers of uva, vu");
  });
});

/** Nothing of the tests' own: but where programs are, and what was fetched before. */
function environment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, VITEST: _vitest, INIT_CWD: _cwd, ...rest } = process.env;
  return rest;
}
