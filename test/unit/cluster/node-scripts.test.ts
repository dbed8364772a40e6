import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { foldersScript, importScript } from "../../../infra/cluster/scripts/node.js";
import { script } from "../../../infra/cluster/scripts/script.js";

const home = mkdtempSync(join(tmpdir(), "node scripts "));
afterAll(() => rmSync(home, { recursive: true, force: true }));

const run = (text: string) =>
  spawnSync("bash", ["-s", "--", "do"], {
    input: text,
    encoding: "utf8",
    env: { HOME: home, PATH: `${join(home, "bin")}:${process.env.PATH}` },
  });

/** The real containerd takes archives in the lab; here stands a program that keeps a list, to see what the script asks of it and makes of its answers. */
const ctr = `#!/bin/bash
echo "$*" >>"$HOME/asked"
[ "$1 $2 $3 $4" = "--address /run/x y.sock -n k8s.io" ] || exit 9
shift 4
case "$1 $2" in
  "images ls") [ -e "$HOME/has" ] && cat "$HOME/has"; exit 0 ;;
  "images import") [ -e "$HOME/broken" ] && { echo "no space left" >&2; exit 1; }; cat "$3" >"$HOME/has" ;;
esac
`;
const step = () =>
  run(script({ HOST: "losa", IMAGE: "r/agent:1", DIGEST: "sha256:aa", ARCHIVE: "a b.tar", CTR: "ctr", SOCKET: "/run/x y.sock" }, importScript)); // biome-ignore format: one line

beforeEach(() => {
  rmSync(home, { recursive: true, force: true });
  mkdirSync(join(home, "bin"), { recursive: true });
  writeFileSync(join(home, "bin/ctr"), ctr, { mode: 0o755 });
});

describe("the import of an image's archive", () => {
  it("takes the archive in once, and away", () => {
    writeFileSync(join(home, "a b.tar"), "r/agent:1 application/x sha256:aa 50MB");
    expect(step()).toMatchObject({ status: 0, stdout: "imported r/agent:1\n" });
    expect(existsSync(join(home, "a b.tar"))).toBe(false);
    expect(step()).toMatchObject({ status: 0, stdout: "r/agent:1 is there\n" });
    expect(readFileSync(join(home, "asked"), "utf8").match(/import/g)).toHaveLength(1);
  });

  it("says by its code what keeps the image away", () => {
    expect(step()).toMatchObject({ status: 1, stderr: expect.stringContaining("losa  CLU-IMAGE  the archive of r/agent:1 is not on the machine any more") }); // biome-ignore format: one line
    writeFileSync(join(home, "a b.tar"), "r/agent:1 application/x sha256:bb 50MB");
    expect(step().stderr).toContain("CLU-IMAGE  the archive holds another image");
    writeFileSync(join(home, "broken"), "");
    expect(step().stderr).toContain("CLU-IMAGE  containerd did not take r/agent:1: no space left");
    expect(existsSync(join(home, "a b.tar"))).toBe(true);
  });
});

describe("folders for volumes", () => {
  it("are made for their owner and its group, and keep what is in them", () => {
    const folders = [join(home, "var/one"), join(home, "var/two words")];
    const { uid, gid } = statSync(home);
    const make = () => run(script({ HOST: "losa", FOLDERS: folders.join("\n"), OWNER: uid }, foldersScript));
    expect(uid).toBe(gid);
    expect(make()).toMatchObject({ status: 0, stderr: "" });
    writeFileSync(join(folders[1] ?? "", "kept"), "x", { mode: 0o600 });
    expect(make().status).toBe(0);
    for (const folder of folders) expect(statSync(folder).mode & 0o777).toBe(0o750);
    expect(statSync(join(folders[1] ?? "", "kept")).mode & 0o777).toBe(0o600);
    writeFileSync(join(home, "file"), "");
    const below = run(script({ HOST: "losa", FOLDERS: join(home, "file/x"), OWNER: uid }, foldersScript));
    expect(below).toMatchObject({ status: 1, stderr: expect.stringContaining("losa  CLU-FOLDER") });
  });
});
