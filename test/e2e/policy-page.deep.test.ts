// docs/policy.md, as one types it: all its examples in one shell, and under each what it prints.
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findProgram } from "../support/servers.js";
import { STACK, TestMarket } from "./market.js";

const page = readFileSync(resolve("docs/policy.md"), "utf8");
/** Each example: its commands, and what they print. */
const examples = [...page.matchAll(/^```sh\n([\s\S]*?)^```\n\n```text\n([\s\S]*?)^```$/gm)].map(
  ([, commands = "", prints = ""]) => ({ commands, prints }),
);
const [, decide = ""] = /^```js\n([\s\S]*?)^```$/m.exec(page) ?? [];
const chapters = ["Agreements", "Users", "Decisions", "Grants", "Revocation", "Audit"];

describe("the examples of docs/policy.md", { timeout: 300_000 }, () => {
  let market: TestMarket;
  let folder: string;

  beforeAll(async () => {
    market = new TestMarket();
    ({ folder } = market.engine);
    symlinkSync(resolve("dist"), join(folder, "dist"));
    writeFileSync(join(folder, "decide.mjs"), decide);
    const up = await market.run(["up"]);
    expect(up.code, up.stdout + up.stderr).toBe(0);
  }, 240_000);
  afterAll(() => market.end(), 120_000);

  it("are there in each chapter, and each prints what the page says", async () => {
    for (const chapter of chapters) {
      const [, text = ""] = page.split(`\n## ${chapter}\n`);
      expect(text.split("\n## ")[0], chapter).toMatch(/^```sh$/m);
    }
    expect(page.match(/^```sh$/gm)).toHaveLength(examples.length);
    const script = examples.map(({ commands }, i) => `{ ${commands}} > out.${i} 2>&1`).join("\n");
    const ended = await shell(script);
    for (const [i, { commands, prints }] of examples.entries())
      expect
        .soft(readFileSync(join(folder, `out.${i}`), "utf8"), `${commands}${ended}`)
        .toMatch(pattern(prints));
  });

  /** In a shell that finds the commands which the page names: of this stack, not of one in this repository. */
  async function shell(script: string): Promise<string> {
    const bin = join(folder, "bin");
    mkdirSync(bin);
    const own = (args: string) =>
      `exec "${process.execPath}" "${resolve("dist/dynamos/cli/main.js")}" --stack ${STACK} --cwd "${folder}" ${args}\n`;
    const programs = {
      "dynamos-fabric": `#!/bin/sh\n${own('"$@"')}`,
      // npm run [-s] NAME [-- ARGUMENTS]
      npm: `#!/bin/sh\nshift; [ "$1" = -s ] && shift\nname=$1; shift; [ "$1" = -- ] && shift\n${own('"$name" "$@"')}`,
    };
    for (const [name, text] of Object.entries(programs)) {
      writeFileSync(join(bin, name), text);
      chmodSync(join(bin, name), 0o755);
    }
    const path = [bin, dirname(process.execPath), process.env.PATH, dirname(findProgram("etcdctl"))].join(
      ":",
    );
    const child = spawn("bash", ["-c", script], {
      cwd: folder,
      env: { ...process.env, PATH: path, STACK },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += String(text)));
    await new Promise((done) => child.once("close", done));
    return said;
  }
});

/** The page's text: `N` is a number, `...` anything within its line. */
function pattern(prints: string): RegExp {
  const line = prints.trimEnd().replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${line.replaceAll("\\.\\.\\.", ".*").replace(/\bN\b/g, "\\d+")}\\s*$`);
}
