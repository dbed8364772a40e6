import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { InfraError } from "../../infra/problem.js";
import type { Images } from "../kubernetes/options.js";
import { sourcesHash } from "./sources.js";

/** Beside Pulumi.yaml; to be committed, so that everybody's `up` runs the same images. */
export const LOCK_FILE = "images.lock.json";

const schema = z.strictObject({
  /** Of what the images were made from: when it is another, they are old. */
  sources: z.string().regex(/^[0-9a-f]{64}$/),
  from: z.enum(["registry", "archive"]),
  /** Where the archives lie, relative to Pulumi.yaml: `<name>.tar` for each image. */
  archives: z.string().min(1).optional(),
  /** Of the image that all are built on. */
  base: z.string().min(1),
  images: z.record(
    z.string(),
    z.strictObject({
      image: z.string().min(1),
      digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
    }),
  ),
});

/** The images of a stack, as they were built last. */
export type ImageLock = z.output<typeof schema>;

const remedy = "run `dynamos-fabric images`, and commit the file";

/** Writes the lock: whole or not at all. Images in the order of their names, so that a change shows as one. */
export function writeLock(project: string, { images, ...rest }: ImageLock): void {
  const sorted = Object.fromEntries(Object.entries(images).sort(([a], [b]) => (a < b ? -1 : 1)));
  const file = join(project, LOCK_FILE);
  writeFileSync(`${file}.new`, `${JSON.stringify({ ...rest, images: sorted }, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}

/**
 * The images that a stack runs, for {@link KubernetesOptions}.
 *
 * @param project the folder of Pulumi.yaml
 * @param experiment its folder, relative to Pulumi.yaml
 * @throws InfraError `K8S-IMAGES-MISSING` where they were never built, `K8S-IMAGES-STALE` where services or microservices have changed since,
 * `K8S-IMAGES-LOCK` where the file cannot be read
 */
export function lockedImages(project: string, experiment: string): Images {
  const lock = readLock(project);
  if (lock.sources !== sourcesHash(join(project, experiment))) {
    throw new InfraError({
      code: "K8S-IMAGES-STALE",
      file: LOCK_FILE,
      path: "sources",
      message: "the images were built from other services or microservices than those that are here",
      remedy,
    });
  }
  const { archives, from, images } = lock;
  if (from === "registry" || archives === undefined) return { from, references: images };
  const saved = Object.entries(images).map(([name, image]) => [
    name,
    { ...image, archive: join(project, archives, `${name}.tar`) },
  ]);
  return { from, references: Object.fromEntries(saved) };
}

function readLock(project: string): ImageLock {
  const file = join(project, LOCK_FILE);
  if (!existsSync(file)) {
    throw new InfraError({
      code: "K8S-IMAGES-MISSING",
      file: LOCK_FILE,
      message: "no image was built for this project yet",
      remedy,
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw unreadable("", error instanceof Error ? error.message : String(error));
  }
  const read = schema.safeParse(value);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw unreadable(issue?.path.join(".") ?? "", issue?.message ?? "not an image lock");
}

const unreadable = (path: string, message: string): InfraError =>
  new InfraError({ code: "K8S-IMAGES-LOCK", file: LOCK_FILE, path, message, remedy });
