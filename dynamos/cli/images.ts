import { resolve } from "node:path";
import type { Command } from "commander";
import { terminalProgress } from "../../infra/toolchain/progress.js";
import { BASE_HERE, DEFAULT_BASE } from "../images/base.js";
import { type BuiltImage, buildImages } from "../images/build.js";
import { columns } from "./columns.js";
import type { CommandContext } from "./context.js";

interface ImagesOptions {
  readonly registry?: string;
  readonly base?: string;
  readonly experiment?: string;
  readonly save?: string;
  readonly json?: boolean;
}

/** `dynamos-fabric images (--registry NAME | --save DIR) [--base IMAGE] [--experiment DIR]`: builds what runs on a cluster, and writes the image lock. */
export function registerImages(program: Command, context: () => CommandContext): void {
  program
    .command("images")
    .description("build the images that run on a cluster, push or save them, and write images.lock.json")
    .option("--registry <name>", "push them there, e.g. ghcr.io/me; with --save, only what they are called")
    .option("--save <folder>", "write each as an OCI archive instead of pushing it")
    .option(
      "--experiment <folder>",
      "relative to Pulumi.yaml; default: the marketplace's, by the stack's configuration",
    )
    .option("--base <image>", `what they are built on; ${BASE_HERE}: this machine's Node`, DEFAULT_BASE)
    .option("--json", "as JSON")
    .action(async ({ registry, base, save, json, experiment }: ImagesOptions) => {
      const stack = context();
      const { project } = stack;
      const built = await buildImages(
        {
          project,
          // A program of one's own has no such configuration.
          experiment: experiment ?? stack.spec.experiment,
          ...(registry === undefined ? {} : { registry }),
          ...(base === undefined ? {} : { base }),
          ...(save === undefined ? {} : { save: resolve(save) }),
        },
        terminalProgress(),
      );
      process.stdout.write(json === true ? `${JSON.stringify(built, null, 2)}\n` : imagesTable(built));
    });
}

const MB = 1_000_000;

/** A line an image. */
export const imagesTable = (images: readonly BuiltImage[]): string =>
  columns([
    ["image", "digest", "archive"],
    ...images.map(({ image, digest, archive }) => [
      image,
      digest.slice(0, 19),
      archive === undefined ? "" : `${archive.file} (${(archive.bytes / MB).toFixed(1)} MB)`,
    ]),
  ]);
