import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { importScript } from "../../../infra/cluster/scripts/node.js";
import { script } from "../../../infra/cluster/scripts/script.js";

const folder = mkdtempSync(join(tmpdir(), "import image "));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Stands for containerd's program: writes down how it was called, and remembers what was imported. */
const ctr = join(folder, "a ctr");
writeFileSync(
  ctr,
  `#!/bin/sh
printf '%s\\n' "$*" >>'${folder}/calls'
case "$*" in
  *"images ls"*) [ ! -e '${folder}/imported' ] || echo "sha256:1" ;;
  *"images import"*) touch '${folder}/imported' ;;
esac
`,
);
chmodSync(ctr, 0o755);
writeFileSync(join(folder, "image.tar"), "an archive");

const run = () =>
  spawnSync("bash", ["-s", "--", "do"], {
    input: script({ HOST: "core", IMAGE: "localhost/a:1", DIGEST: "sha256:1", ARCHIVE: "image.tar", CTR: ctr, SOCKET: "/run/c.sock" }, importScript), // biome-ignore format: one line
    env: { PATH: process.env.PATH, HOME: folder },
    encoding: "utf8",
  });

describe.skipIf(userInfo().uid !== 0)("an image that is imported on a node", () => {
  it("is looked for first, imported by the program at the socket that was named, and its archive goes", () => {
    expect(run()).toMatchObject({ status: 0, stdout: "imported localhost/a:1\n" });
    expect(readFileSync(join(folder, "calls"), "utf8")).toContain(
      `--address /run/c.sock -n k8s.io images import ${folder}/image.tar`,
    );
    expect(existsSync(join(folder, "image.tar"))).toBe(false);
    expect(run()).toMatchObject({ status: 0, stdout: "localhost/a:1 is there\n" });
  });
});
