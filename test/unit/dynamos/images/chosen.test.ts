import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { kubernetesSchema } from "../../../../dynamos/cluster-options.js";
import { archiveDigest } from "../../../../dynamos/images/archive.js";
import { chosenImages } from "../../../../dynamos/images/chosen.js";
import { writeLock } from "../../../../dynamos/images/lock.js";
import { OUR_IMAGES } from "../../../../dynamos/images/names.js";
import { sourcesHash } from "../../../../dynamos/images/sources.js";

const project = mkdtempSync(join(tmpdir(), "chosen images "));
mkdirSync(join(project, "x"));
afterAll(() => rmSync(project, { recursive: true }));

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
/** An OCI archive as far as it is read: an index behind other files, made by tar itself. */
function archive(name: string, index: unknown): string {
  const folder = join(project, `of-${name}`);
  mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
  writeFileSync(join(folder, "blobs/sha256/1"), "x".repeat(1_300));
  writeFileSync(join(folder, "index.json"), typeof index === "string" ? index : JSON.stringify(index));
  mkdirSync(join(project, "saved"), { recursive: true });
  execFileSync("tar", ["-cf", join(project, "saved", `${name}.tar`), "-C", folder, "./blobs", "index.json"]);
  return `saved/${name}.tar`;
}
const indexOf = (digit: string) => ({ schemaVersion: 2, manifests: [{ digest: digest(digit) }] });
const choose = (images: object) =>
  chosenImages({ project, experiment: "x", images: kubernetesSchema.parse({ images }).images });
const codes = (images: object): string[] => {
  try {
    choose(images);
    return [];
  } catch (error) {
    return (error as { problems: { code: string; path?: string }[] }).problems.map(
      ({ code, path = "" }) => `${code} ${path}`,
    );
  }
};
const lock = (from: "registry" | "archive") =>
  writeLock(project, {
    sources: sourcesHash(join(project, "x")),
    from,
    ...(from === "archive" ? { archives: "saved" } : {}),
    base: "b",
    images: Object.fromEntries(
      OUR_IMAGES.map((name) => [name, { image: `r/${name}:1`, digest: digest("a") }]),
    ),
  });

describe("an archive", () => {
  it("says its image's digest, and says nothing where it is none", () => {
    expect(archiveDigest(join(project, archive("good", indexOf("c"))))).toBe(digest("c"));
    for (const [i, wrong] of ["{", { manifests: [] }, { manifests: [{ digest: "md5:1" }] }, []].entries())
      expect(archiveDigest(join(project, archive(`wrong${i}`, wrong)))).toBeUndefined();
    writeFileSync(join(project, "noise"), "x".repeat(5_000));
    expect(archiveDigest(join(project, "noise"))).toBeUndefined();
    writeFileSync(join(project, "empty"), "");
    expect(archiveDigest(join(project, "empty"))).toBeUndefined();
  });
});

describe("the images that a stack runs", () => {
  it("are the lock's, and those that the configuration names in their place", () => {
    expect(codes({})).toEqual(["K8S-IMAGES-MISSING "]);
    lock("registry");
    const { references } = choose({ references: { broker: { image: "mine/broker:1" }, agent: { image: "mine/agent:2", digest: digest("b") } } }); // biome-ignore format: one line
    expect(references.gateway).toEqual({ image: "r/gateway:1", digest: digest("a") });
    expect(references.agent).toEqual({ image: "mine/agent:2", digest: digest("b") });
    expect(references.broker).toEqual({ image: "mine/broker:1", digest: "mine/broker:1" });
    expect(codes({ from: "archive" })).toEqual(["K8S-IMAGES-FROM kubernetes.images.from"]);
  });

  it("need archives that hold them: another digest is another image", () => {
    lock("archive");
    for (const name of OUR_IMAGES) archive(name, indexOf("a"));
    const broker = { image: "localhost/broker:1", archive: archive("broker", indexOf("d")) };
    const { references } = choose({ from: "archive", references: { broker } });
    expect(references.agent?.archive).toBe(join(project, "saved/agent.tar"));
    expect(references.broker).toEqual({ image: "localhost/broker:1", digest: digest("d"), archive: join(project, "saved/broker.tar") }); // biome-ignore format: one line
    archive("agent", indexOf("b"));
    rmSync(join(project, "saved/setup.tar"));
    expect(codes({ from: "archive", references: { broker: { ...broker, digest: digest("e") } } })).toEqual([
      "K8S-ARCHIVE-STALE kubernetes.images.references.agent",
      "K8S-ARCHIVE-MISSING kubernetes.images.references.setup",
      "K8S-ARCHIVE-STALE kubernetes.images.references.broker",
    ]);
  });

  it("need no lock where all of ours are named", () => {
    rmSync(join(project, "images.lock.json"));
    const references = Object.fromEntries(OUR_IMAGES.map((name) => [name, { image: `mine/${name}:1` }]));
    expect(choose({ references }).from).toBe("registry");
  });
});
