/** Images, really built here: by buildah from Debian, on a base made of this machine's Node. Minutes. */
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BASE_HERE } from "../../../dynamos/images/base.js";
import { type BuiltImage, buildImages } from "../../../dynamos/images/build.js";
import { LOCK_FILE, lockedImages } from "../../../dynamos/images/lock.js";
import { silentProgress } from "../../../infra/toolchain/progress.js";

const MOST_BYTES = 70_000_000;
const folder = mkdtempSync(join(tmpdir(), "images test-"));
const project = join(folder, "project");
let built: readonly BuiltImage[];

interface Config {
  readonly config: {
    readonly User: string;
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
    readonly Labels: Readonly<Record<string, string>>;
    readonly Env: readonly string[];
  };
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

/** A file of an image's archive. */
const blob = (file: string, digest: string): Buffer =>
  execFileSync("tar", ["-xOf", file, `blobs/${digest.replace(":", "/")}`], { maxBuffer: 1e9 });

function inspect({ archive, digest }: BuiltImage): {
  readonly config: Config;
  readonly layers: readonly string[];
} {
  const file = archive?.file ?? "";
  const manifest = JSON.parse(blob(file, digest).toString()) as {
    config: { digest: string };
    layers: { digest: string }[];
  };
  return {
    config: JSON.parse(blob(file, manifest.config.digest).toString()) as Config,
    layers: manifest.layers.map((layer) => layer.digest),
  };
}

const named = (name: string): BuiltImage => {
  const found = built.find((image) => image.name === name);
  if (found === undefined) throw new Error(`no image ${name}`);
  return found;
};

/** An image's file system, unpacked. */
function unpack(image: BuiltImage): string {
  const root = join(folder, `root-${image.name}`);
  mkdirSync(root);
  for (const digest of inspect(image).layers) {
    const layer = join(folder, "layer.tar.gz");
    writeFileSync(layer, blob(image.archive?.file ?? "", digest));
    execFileSync("tar", ["-xzf", layer, "-C", root]);
  }
  return root;
}

/** A program inside an image's file system, with nothing of this machine's. */
const inside = (root: string, ...command: readonly string[]) =>
  spawnSync("unshare", ["--map-root-user", "chroot", root, "/usr/local/bin/node", ...command], {
    encoding: "utf8",
    env: { PATH: process.env.PATH },
    timeout: 60_000,
  });

const build = (save: string): Promise<readonly BuiltImage[]> =>
  buildImages(
    { project, experiment: "titanic", base: BASE_HERE, save: join(folder, save) },
    silentProgress,
    process.env,
  );

beforeAll(async () => {
  mkdirSync(project);
  cpSync("examples/titanic", join(project, "titanic"), { recursive: true });
  built = await build("first");
}, 900_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the images", () => {
  it("are one a service and one for the experiment's microservices, each small, written down in the lock", () => {
    expect(built.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["agent", "enforcer", "gateway", "microservice", "orchestrator", "setup"]),
    );
    for (const { name, archive } of built) {
      console.log(`${name}: ${((archive?.bytes ?? 0) / 1e6).toFixed(1)} MB compressed`);
      expect(archive?.bytes).toBeLessThan(MOST_BYTES);
    }
    const images = lockedImages(project, "titanic");
    expect(images.from).toBe("archive");
    expect(Object.keys(images.references)).toEqual(built.map(({ name }) => name).sort());
    const { image, digest, archive } = named("agent");
    expect(images.references.agent).toEqual({ image, digest, archive: archive?.file });
  });

  it("share their base, and run as nobody", () => {
    const bases = built.map((image) => inspect(image).config.rootfs.diff_ids[0]);
    expect(new Set(bases).size).toBe(1);
    for (const image of built) {
      const { config } = inspect(image).config;
      expect(config).toMatchObject({ User: "10001:10001", Entrypoint: ["node"], Cmd: ["/app/main.js"] });
      expect(config.Labels["org.opencontainers.image.version"]).toBe(image.image.split(":").at(-1));
      expect(config.Labels["org.opencontainers.image.title"]).toBe(`dynamos-fabric ${image.name}`);
      expect(config.Env.join("\n")).not.toMatch(/PASSWORD|TOKEN|SECRET/);
    }
  });

  it("hold programs that need nothing else, and nothing of the deployment's", () => {
    const roots = new Map(built.map((image) => [image.name, unpack(image)]));
    for (const [name, root] of roots) {
      const file = name === "microservice" ? "microservices/vfl-client.js" : "main.js";
      const program = readFileSync(join(root, "app", file), "utf8");
      expect(program.length).toBeGreaterThan(100_000);
      expect(program, name).not.toContain("@pulumi");
      const run = inside(root, `/app/${file}`);
      // It begins, and says what it has not been told.
      expect(run.stdout + run.stderr, name).toContain("CFG-INVALID");
      expect(run.status, name).toBe(1);
    }
  });

  it("come out the same from the same sources, and are old when a microservice has changed", async () => {
    const lock = readFileSync(join(project, LOCK_FILE), "utf8");
    await build("second");
    // Where they were saved is another folder; nothing else is another.
    expect(readFileSync(join(project, LOCK_FILE), "utf8")).toBe(lock.replace("../first", "../second"));

    appendFileSync(join(project, "titanic/microservices/vfl.mts"), "\nexport const more = 1;\n");
    expect(() => lockedImages(project, "titanic")).toThrow(
      expect.objectContaining({ code: "K8S-IMAGES-STALE" }),
    );
  }, 900_000);
});
