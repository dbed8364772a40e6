// Which sources dist was built from. Plain CommonJS, since it must run before anything is built and on any Node.
"use strict";
const { createHash } = require("node:crypto");
const { existsSync, readdirSync, readFileSync } = require("node:fs");
const { join } = require("node:path");

const folders = ["infra", "dynamos", "policy"];
const settings = ["tsconfig.json", "tsconfig.build.json", "package-lock.json"];

/** File of the stamp, below the package's folder. */
const stampFile = "dist/.built";

/** All sources that go into dist, relative to the package's folder, sorted. */
function sources(root) {
  const found = [];
  const walk = (folder) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (/\.[cm]?ts$|\.json$/.test(entry.name)) found.push(path);
    }
  };
  for (const folder of folders) walk(folder);
  return found.sort();
}

/** SHA-256 over names and contents: a file's time says nothing after a checkout. */
function sourceHash(root) {
  const hash = createHash("sha256");
  for (const path of [...settings.filter((name) => existsSync(join(root, name))), ...sources(root)]) {
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update("\0");
  }
  return hash.digest("hex");
}

/** The compiler's own record changes whenever it writes: a build by other hands than ours is noticed. */
function buildHash(root) {
  const info = join(root, "dist", ".tsbuildinfo");
  return existsSync(info) ? createHash("sha256").update(readFileSync(info)).digest("hex") : "";
}

/** The text of the stamp for what is there now. */
function stamp(root) {
  return `${sourceHash(root)} ${buildHash(root)}\n`;
}

/** Whether dist is there and built from exactly these sources. */
function isBuilt(root) {
  const file = join(root, stampFile);
  return existsSync(file) && readFileSync(file, "utf8") === stamp(root);
}

module.exports = { isBuilt, sources, stamp, stampFile };
