import { resolve } from "node:path";
import { build } from "esbuild";

const root = resolve(__dirname, "../..");

/** One program of the project as one file of CommonJS, so that a test runs it as a process without a build. */
export async function bundle(entry: string, outfile: string): Promise<void> {
  await build({
    entryPoints: [resolve(root, entry)],
    outfile,
    bundle: true,
    platform: "node",
    format: "cjs",
    logLevel: "error",
  });
}
