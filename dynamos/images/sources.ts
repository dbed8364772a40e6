import { createHash } from "node:crypto";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { packageFolder } from "../../infra/local/package-folder.js";
import { programOf } from "../../policy/contract/images.js";
import { readExperiment } from "../experiment.js";

/** What one image holds: programs, each bundled into one file. */
export interface ImageSource {
  /** `gateway`, `agent`, ..., and `microservice` for all of an experiment's. */
  readonly name: string;
  /** By the file in the image below `/app`: the program's own file. */
  readonly programs: Readonly<Record<string, string>>;
}

const built = (): string => join(packageFolder(), "dist", "policy");
/** The one that all images are built by. */
export const containerfile = (): string => join(packageFolder(), "policy", "Containerfile");

/** The image of the experiment's microservices: a job names one of its programs. */
export const MICROSERVICES = "microservice";

/** All images: one a service, and one for an experiment's microservices. */
export function imageSources(experiment: string): readonly ImageSource[] {
  const rooms = globSync("*/main.js", { cwd: built() }).sort();
  const services = rooms.map((file) => ({
    name: file.split(sep)[0] ?? file,
    programs: { "main.js": join(built(), file) },
  }));
  const programs = Object.fromEntries(
    entriesOf(experiment).map((entry) => [programOf(entry), join(experiment, entry)]),
  );
  return [...services, { name: MICROSERVICES, programs }];
}

function entriesOf(experiment: string): string[] {
  const { documents } = readExperiment(experiment).experiment;
  const entries = documents.flatMap(({ kind, value }) =>
    kind === "microservice" && typeof value.entry === "string" ? [value.entry] : [],
  );
  return [...new Set(entries)].filter((entry) => existsSync(join(experiment, entry))).sort();
}

/**
 * A hash of all that the images are made from, in milliseconds: services as compiled, the experiment's programs, the packages they are bundled
 * with, and the Containerfile.
 */
export function sourcesHash(experiment: string): string {
  const hash = createHash("sha256");
  const add = (name: string, text: string | Buffer): void => {
    hash.update(`${name}\0${text.length}\0`).update(text);
  };
  const { version, dependencies } = JSON.parse(
    readFileSync(join(packageFolder(), "package.json"), "utf8"),
  ) as { readonly version: string; readonly dependencies: unknown };
  add("package", JSON.stringify([version, dependencies]));
  add("Containerfile", readFileSync(containerfile()));
  for (const [folder, pattern] of [
    [built(), "**/*.js"],
    [join(experiment, "microservices"), "**/*"],
  ] as const) {
    for (const entry of globSync(pattern, { cwd: folder, withFileTypes: true })
      .filter((found) => found.isFile())
      .map((found) => join(found.parentPath, found.name))
      .sort())
      add(relative(folder, entry).split(sep).join("/"), readFileSync(entry));
  }
  return hash.digest("hex");
}
