import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { packageFolder } from "../../infra/local/package-folder.js";
import { InfraError } from "../../infra/problem.js";
import type { ImageSource } from "./sources.js";

/**
 * Writes an image's programs below `folder`, each one file with all that it needs but Node itself.
 *
 * @throws InfraError K8S-IMAGES-BUNDLE
 */
export async function bundleImage({ name, programs }: ImageSource, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  for (const [file, program] of Object.entries(programs)) {
    const outfile = join(folder, file);
    mkdirSync(dirname(outfile), { recursive: true });
    try {
      await build({
        entryPoints: [program],
        outfile,
        bundle: true,
        platform: "node",
        target: "node22",
        format: "cjs",
        minifySyntax: true,
        minifyWhitespace: true,
        legalComments: "none",
        logLevel: "silent",
        // An experiment's program names the library as other people's do; it need not be installed beside it.
        alias: {
          "dynamos-fabric/microservice": join(packageFolder(), "dist", "policy", "sidecar", "index.js"),
        },
        nodePaths: [join(packageFolder(), "node_modules")],
      });
    } catch (error) {
      const [first] = (error as { readonly errors?: readonly { readonly text: string }[] }).errors ?? [];
      throw new InfraError(
        {
          code: "K8S-IMAGES-BUNDLE",
          file: program,
          message: `the program of the image ${name} cannot be bundled: ${first?.text ?? String(error)}`,
          remedy: "correct the program, or install the package it names",
        },
        { cause: error },
      );
    }
  }
}
