// `main` of Pulumi.yaml: always there, so that a plain `pulumi up` on a fresh clone says what is missing instead of failing.
"use strict";
const { existsSync } = require("node:fs");
const { dirname, join } = require("node:path");

const root = dirname(__dirname);
const program = join(root, "dist", "dynamos", "program.js");

function problem() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 22 || (major === 22 && minor < 12)) {
    return `TOOL-NODE-OLD  Node ${process.versions.node} is older than 22.12; use \`npm run up\`, which brings its own, or install Node 22 or newer`;
  }
  if (!existsSync(program))
    return "TOOL-NOT-BUILT  dist/ is missing; run `npm run up` (or `npm ci && npm run build`)";
  // Our own command has just built it, and a test may have edited a source since.
  if (process.env.DYNAMOS_FABRIC_STATE !== undefined) return undefined;
  if (!require("../infra/toolchain/source-hash.cjs").isBuilt(root)) {
    return "TOOL-NOT-BUILT  dist/ is older than the sources; run `npm run preview` or `npm run up`";
  }
  return undefined;
}

const text = problem();
if (text !== undefined) {
  // Told without a stack trace, as the SDK does with errors of this class.
  const { RunError } = require("@pulumi/pulumi");
  const error = new RunError(text);
  // The SDK formats it all the same, with a function of Node 22.23 that takes half a minute for such paths.
  error.stack = text;
  throw error;
}
module.exports = require(program);
