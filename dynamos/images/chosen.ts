import { resolve } from "node:path";
import { InfraError, type Problem } from "../../infra/problem.js";
import type { ClusterOptions } from "../cluster-options.js";
import type { Images } from "../kubernetes/options.js";
import { archiveDigest } from "./archive.js";
import { LOCK_FILE, lockedImages } from "./lock.js";
import { OUR_IMAGES } from "./names.js";

type Reference = Images["references"][string];

/** What the choice follows from. */
export interface ChosenInput {
  /** The folder of Pulumi.yaml. */
  readonly project: string;
  /** The experiment's folder, relative to it. */
  readonly experiment: string;
  /** As the configuration object has them. */
  readonly images: ClusterOptions["images"];
}

/**
 * The images that a stack runs: those of the image lock, and in their place those that the configuration names. Where all of ours are named, there
 * need be no lock. Archives are looked at: another digest is another image, and shows as a change.
 *
 * @throws InfraError with all problems: K8S-IMAGES-MISSING, K8S-IMAGES-STALE, K8S-IMAGES-LOCK, K8S-IMAGES-FROM, K8S-ARCHIVE-MISSING,
 * K8S-ARCHIVE-STALE
 */
export function chosenImages({ project, experiment, images }: ChosenInput): Images {
  const { from } = images;
  const named: Partial<Record<string, ClusterOptions["images"]["references"]["agent"]>> = images.references;
  const all = OUR_IMAGES.every((name) => named[name] !== undefined);
  const locked = all ? undefined : lockedImages(project, experiment);
  if (locked !== undefined && locked.from !== from)
    throw new InfraError({
      code: "K8S-IMAGES-FROM",
      path: "kubernetes.images.from",
      message: `${from}, and ${LOCK_FILE} is of images from ${locked.from === "archive" ? "archives" : "a registry"}`,
      remedy:
        locked.from === "archive"
          ? "write from: archive, or push the images: dynamos-fabric images --registry NAME"
          : "write from: registry, or save the images: dynamos-fabric images --save DIR",
    });
  const problems: Problem[] = [];
  const own = Object.entries(images.references).map(
    ([name, { image, digest, archive }]): [string, Reference] => {
      const file = archive === undefined || from === "registry" ? undefined : resolve(project, archive);
      return [name, { image, digest: digest ?? image, ...(file === undefined ? {} : { archive: file }) }];
    },
  );
  const together: Images["references"] = { ...locked?.references, ...Object.fromEntries(own) };
  const references = Object.entries(together).map(([name, reference]): [string, Reference] => {
    if (reference.archive === undefined) return [name, reference];
    const written = named[name] === undefined || named[name].digest !== undefined;
    const looked = lookAt(name, reference.archive, written ? reference.digest : undefined);
    if (typeof looked === "string") return [name, { ...reference, digest: looked }];
    problems.push(looked);
    return [name, reference];
  });
  if (problems.length > 0) throw new InfraError(problems);
  return { from, references: Object.fromEntries(references) };
}

/** An archive's digest, or what is wrong with it. */
function lookAt(name: string, file: string, wanted: string | undefined): string | Problem {
  const path = `kubernetes.images.references.${name}`;
  let digest: string | undefined;
  try {
    digest = archiveDigest(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const message = `the archive of ${name} cannot be read: ${file} (${code})`;
    return { code: "K8S-ARCHIVE-MISSING", path, message, remedy: "run `dynamos-fabric images --save DIR`" };
  }
  if (digest === undefined) {
    const message = `${file} is not an OCI archive`;
    return {
      code: "K8S-ARCHIVE-MISSING",
      path,
      message,
      remedy: "save it with docker 25 or newer, podman or buildah",
    };
  }
  if (wanted === undefined || digest === wanted) return digest;
  const message = `the archive of ${name} holds ${digest}, and ${wanted} is asked for`;
  return {
    code: "K8S-ARCHIVE-STALE",
    path,
    message,
    remedy: "run `dynamos-fabric images --save DIR`, and commit the lock",
  };
}
