import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const root = resolve(__dirname, "../..");

/** What ran: sources of the package and of these tests, in twelve letters. */
export function sourceStamp(): string {
  const built = createRequire(join(root, "x.js"))("./infra/toolchain/source-hash.cjs") as {
    sources(root: string): string[];
  };
  const tests = readdirSync(__dirname).map((name) => `test/fault/${name}`);
  const hash = createHash("sha256");
  for (const path of [...built.sources(root), ...tests.sort()])
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update("\0");
  return hash.digest("hex").slice(0, 12);
}
