/** The release workflow's own commands, run up to what leaves this machine: the package is packed and not sent, images are saved and not pushed. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { BASE_HERE } from "../../../dynamos/images/base.js";

interface Step {
  readonly name?: string;
  readonly run?: string;
}
const { jobs } = parse(readFileSync(".github/workflows/release.yml", "utf8")) as {
  readonly jobs: Readonly<Record<string, { readonly steps: readonly Step[] }>>;
};
const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { readonly version: string };
const folder = mkdtempSync(join(tmpdir(), "dynamos-fabric release "));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The command line of a step, as it is written. */
function command(job: string, name: string): string {
  const found = jobs[job]?.steps.find((step) => step.name === name)?.run;
  if (found === undefined) throw new Error(`no step ${name} in ${job}`);
  return found;
}

const env = {
  ...process.env,
  GITHUB_REF_NAME: `v${version}`,
  GITHUB_REPOSITORY: "Someone/Fork",
  GITHUB_ACTOR: "someone",
};
const bash = (line: string, cwd: string): string =>
  execFileSync("bash", ["-euo", "pipefail", "-c", line], { cwd, env, encoding: "utf8", maxBuffer: 1e8 });

describe("the release workflow", () => {
  it("refuses a tag that is not the package's version", () => {
    const line = command("check", "the tag is the package's version");
    expect(() => bash(line, resolve("."))).not.toThrow();
    expect(() => bash(`GITHUB_REF_NAME=v0.0.0-other; ${line}`, resolve("."))).toThrow();
  });

  it("packs what a user needs and no more, and would publish it", () => {
    const pack = `${command("package", "pack")} --json --ignore-scripts --pack-destination '${folder}'`;
    const [{ name, version: packed, files }] = JSON.parse(bash(pack, resolve("."))) as [
      {
        readonly name: string;
        readonly version: string;
        readonly files: readonly { readonly path: string }[];
      },
    ];
    expect({ name, packed }).toEqual({ name: "dynamos-fabric", packed: version });
    // `--provenance` is signed by the workflow itself, which is not here.
    const publish = command("package", "publish").replace("--provenance ", "");
    expect(bash(`${publish} --dry-run 2>&1`, folder)).toContain(`+ dynamos-fabric@${version}`);
    const paths = files.map(({ path }) => path);
    const wanted = [
      "dist/dynamos/cli/main.js",
      "dist/infra/toolchain/kubernetes/plugin.js",
      "policy/Containerfile",
    ];
    expect(paths).toEqual(expect.arrayContaining([...wanted, "LICENSE", "README.md", "package.json"]));
    expect(
      paths.filter((path) => /^(test|docs\/decisions|\.|infra\/|dynamos\/)|Pulumi\.|\.state/.test(path)),
    ).toEqual([]);
  }, 120_000);

  it("builds every image and writes which they are", () => {
    // A project of its own, so that the lock of this one stays; archives in place of the push, and a base that no registry has to give.
    const project = join(folder, "project");
    bash(
      `mkdir -p '${project}' && cp -r Pulumi.yaml Pulumi.dev.yaml package.json examples '${project}'`,
      resolve("."),
    );
    for (const name of ["dist", "node_modules", "policy"]) symlinkSync(resolve(name), join(project, name));
    bash(`${command("images", "images")} --save '${join(folder, "images")}' --base ${BASE_HERE}`, project);
    const lock = JSON.parse(readFileSync(join(project, "images.lock.json"), "utf8")) as {
      readonly images: object;
    };
    const saved = readdirSync(join(folder, "images")).map((file) => file.replace(/\.tar$/, ""));
    expect(saved.length).toBeGreaterThan(5);
    expect(Object.keys(lock.images).sort()).toEqual(saved.sort());
    for (const image of Object.values(lock.images) as { readonly image: string }[])
      expect(image.image).toMatch(/^ghcr\.io\/someone\/fork\/[\w-]+:/);
  }, 900_000);
});
