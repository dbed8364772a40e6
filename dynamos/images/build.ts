import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { packageFolder } from "../../infra/local/package-folder.js";
import { InfraError } from "../../infra/problem.js";
import type { Environment } from "../../infra/toolchain/cache.js";
import { execute } from "../../infra/toolchain/execute.js";
import type { Progress } from "../../infra/toolchain/progress.js";
import { archiveDigest } from "./archive.js";
import { BASE_HERE, BASE_HERE_IMAGE, DEFAULT_BASE, writeBase } from "./base.js";
import {
  type BuilderStorage,
  type BuilderTool,
  buildCommand,
  findBuilder,
  pushCommand,
  removeCommand,
  run,
  saveCommand,
} from "./builder.js";
import { bundleImage } from "./bundle.js";
import { type ImageLock, LOCK_FILE, writeLock } from "./lock.js";
import { containerfile, type ImageSource, imageSources, sourcesHash } from "./sources.js";

/** How images are built, and where they go. */
export interface ImagesInput {
  /** The folder of Pulumi.yaml; the lock is written there. */
  readonly project: string;
  /** The experiment's folder, relative to it. */
  readonly experiment: string;
  /** What the images are called before their own names, e.g. `ghcr.io/me`. Default `localhost/dynamos-fabric`. */
  readonly registry?: string;
  /** Base image, or `this-machine`. Default: Node on distroless Debian. */
  readonly base?: string;
  /** Folder for OCI archives, one an image. Absent: the images are pushed. */
  readonly save?: string;
}

/** One image that was built. */
export interface BuiltImage {
  readonly name: string;
  readonly image: string;
  readonly digest: string;
  /** Its archive, and the archive's size in bytes; only where it was saved. */
  readonly archive?: { readonly file: string; readonly bytes: number };
}

/** Without a registry an image is of this machine only. */
export const LOCAL_REGISTRY = "localhost/dynamos-fabric";

/**
 * Builds all images of a project, pushes or saves them, and writes the image lock once all are where they should be.
 *
 * @throws InfraError `K8S-IMAGES-BUNDLE`, `K8S-IMAGES-BASE`, `K8S-IMAGES-BUILD`, `K8S-IMAGES-REGISTRY`, and those of the toolchain
 */
export async function buildImages(
  input: ImagesInput,
  progress: Progress,
  env: Environment = process.env,
): Promise<readonly BuiltImage[]> {
  const { project, registry = LOCAL_REGISTRY, save } = input;
  if (save === undefined && registry === LOCAL_REGISTRY) {
    throw new InfraError({
      code: "K8S-IMAGES-REGISTRY",
      message: "images are either pushed to a registry or saved into a folder",
      remedy: "name one: --registry ghcr.io/me, or --save images",
    });
  }
  const experiment = join(project, input.experiment);
  const sources = sourcesHash(experiment);
  const tool = await findBuilder(env, progress);
  const work = mkdtempSync(join(tmpdir(), "dynamos-fabric-images-"));
  const step = progress.step("images");
  try {
    const storage = prepareStorage(work);
    const base = await baseOf(input.base ?? DEFAULT_BASE, tool, storage, work, env);
    const version = `${packageVersion()}-${sources.slice(0, 12)}`;
    if (save !== undefined) mkdirSync(save, { recursive: true });
    const built: BuiltImage[] = [];
    for (const source of imageSources(experiment)) {
      step.update(source.name);
      const image = `${registry}/${source.name}:${version}`;
      built.push(await buildOne({ source, image, version, base, tool, storage, work, save, env }));
    }
    const lock: ImageLock = {
      sources,
      from: save === undefined ? "registry" : "archive",
      ...(save === undefined ? {} : { archives: relative(project, save) || "." }),
      base: input.base ?? DEFAULT_BASE,
      images: Object.fromEntries(built.map(({ name, image, digest }) => [name, { image, digest }])),
    };
    writeLock(project, save === undefined ? byDigest(lock) : lock);
    step.done(`images: ${built.length} built by ${tool.kind}, written down in ${LOCK_FILE}`);
    return built;
  } finally {
    step.done();
    // vfs keeps folders that even their owner may not enter.
    await execute("chmod", ["-R", "u+rwX", work], { env });
    rmSync(work, { recursive: true, force: true });
  }
}

/** What a registry gives is asked for by digest, so that nobody can put another image under a tag. */
const byDigest = (lock: ImageLock): ImageLock => ({
  ...lock,
  images: Object.fromEntries(
    Object.entries(lock.images).map(([name, { image, digest }]) => [
      name,
      { image: `${image}@${digest}`, digest },
    ]),
  ),
});

interface One {
  readonly source: ImageSource;
  readonly image: string;
  readonly version: string;
  readonly base: string;
  readonly tool: BuilderTool;
  readonly storage: BuilderStorage;
  readonly work: string;
  readonly save: string | undefined;
  readonly env: Environment;
}

async function buildOne(one: One): Promise<BuiltImage> {
  const { source, image, version, base, tool, storage, work, save, env } = one;
  const { name } = source;
  const context = join(work, "context");
  await bundleImage(source, join(context, name));
  const build = {
    image,
    containerfile: containerfile(),
    context,
    arguments: { BASE: base, NAME: name, VERSION: version },
  };
  await run(buildCommand(tool, storage, build), name, env);
  rmSync(context, { recursive: true });
  const digestFile = join(work, "digest");
  let built: BuiltImage;
  if (save === undefined) {
    await run(pushCommand(tool, storage, image, digestFile), name, env);
    built = { name, image, digest: await pushedDigest(tool, image, digestFile, env) };
  } else {
    const file = join(save, `${name}.tar`);
    // An archive that is there would get a second image, not another one.
    rmSync(file, { force: true });
    await run(saveCommand(tool, storage, image, file), name, env);
    const digest = savedDigest(file, name);
    built = { name, image, digest, archive: { file, bytes: statSync(file).size } };
  }
  await run(removeCommand(tool, storage, image), name, env);
  return built;
}

async function pushedDigest(
  { kind, program }: BuilderTool,
  image: string,
  digestFile: string,
  env: Environment,
): Promise<string> {
  if (kind !== "docker") return readFileSync(digestFile, "utf8").trim();
  const told = await run(
    [program, "image", "inspect", "--format", "{{index .RepoDigests 0}}", image],
    image,
    env,
  );
  return told.trim().replace(/^.*@/, "");
}

/** The digest of what was saved. */
function savedDigest(file: string, name: string): string {
  const digest = archiveDigest(file);
  if (digest !== undefined) return digest;
  throw new InfraError({
    code: "K8S-IMAGES-BUILD",
    path: name,
    message: `${file} is not an OCI archive`,
    remedy: "use docker 25 or newer, podman or buildah",
  });
}

async function baseOf(
  base: string,
  tool: BuilderTool,
  storage: BuilderStorage,
  work: string,
  env: Environment,
): Promise<string> {
  if (base !== BASE_HERE) return base;
  const context = join(work, "base");
  const file = await writeBase(context, env);
  const input = { image: BASE_HERE_IMAGE, containerfile: file, context, arguments: {} };
  await run(buildCommand(tool, storage, input), "base", env);
  rmSync(context, { recursive: true });
  return BASE_HERE_IMAGE;
}

/** Folders and settings of a builder that has none of its own on this system: it trusts what it is told to fetch, as docker does. */
function prepareStorage(work: string): BuilderStorage {
  const folder = join(work, "storage");
  mkdirSync(folder);
  writeFileSync(join(folder, "policy.json"), '{"default":[{"type":"insecureAcceptAnything"}]}\n');
  writeFileSync(join(folder, "registries.conf"), "unqualified-search-registries = []\n");
  return { folder };
}

const packageVersion = (): string =>
  (JSON.parse(readFileSync(join(packageFolder(), "package.json"), "utf8")) as { version: string }).version;
