// Imported before all else: with an older Node the next import would end in a stack trace.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 12)) {
  const remedy = "use `npm run ...` in a clone, which brings its own, or install Node 22 or newer";
  process.stderr.write(
    `error: TOOL-NODE-OLD  Node ${process.versions.node} is older than 22.12; ${remedy}\n`,
  );
  process.exit(1);
}

export {};
