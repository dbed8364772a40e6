import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative, resolve } from "node:path";

const root = resolve(__dirname, "../..");

/**
 * What ran: sources of the package's room that the suite is about, and of its tests, in twelve letters.
 *
 * @param folder - of the suite's own tests; those of other suites do not count
 */
export function sourceStamp(room: "infra" | "policy", folder: string): string {
  const built = createRequire(join(root, "x.js"))("./infra/toolchain/source-hash.cjs") as {
    sources(root: string): string[];
  };
  const own = folder === __dirname ? [] : filesBelow(folder);
  const tests = [...readdirSync(__dirname).map((name) => join(__dirname, name)), ...own]
    .map((file) => relative(root, file))
    .filter((file) => /\.m?ts$/.test(file));
  const hash = createHash("sha256");
  const sources = built.sources(root).filter((path) => path.startsWith(`${room}/`));
  for (const path of [...sources, ...tests.sort()])
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update("\0");
  return hash.digest("hex").slice(0, 12);
}

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name));
