import { createRequire, flushCompileCache } from "node:module";
import { join } from "node:path";
import { endWithParent } from "./end-with-parent.js";
import "./lazy-compiler.js";

// Stands in for `pulumi-resource-pulumi-nodejs`, which only the official command-line package brings. The SDK is the
// program's own, looked up from the program's folder (the engine's working folder for plugins), else the one beside us.
endWithParent();
const request = "@pulumi/pulumi/cmd/dynamic-provider";
let path: string;
try {
  path = createRequire(join(process.cwd(), "program.js")).resolve(request);
} catch {
  // No SDK above the working folder: an engine started elsewhere. Ours speaks the same protocol.
  path = require.resolve(request);
}
require(path);
// The engine ends its plugins by force, before Node keeps what it compiled (NODE_COMPILE_CACHE).
setTimeout(flushCompileCache, 1000).unref();
