import { availableParallelism } from "node:os";
import { configDefaults, defineConfig } from "vitest/config";

// biome-ignore lint/style/noDefaultExport: vitest reads the default export
export default defineConfig({
  test: {
    include: ["test/{unit,component,integration,e2e,lab}/**/*.test.ts"],
    // Minutes of the real engine and FABRIC's own libraries: `npm test -- --deep`, which .ci/run uses.
    // What builds Kubernetes or images first: `LAB=1 npm test -- integration kubernetes`.
    exclude: [
      ...configDefaults.exclude,
      ...(process.env.DEEP === "1" ? [] : ["**/*.deep.test.ts"]),
      ...(process.env.LAB === "1" ? [] : ["**/*.lab.test.ts"]),
    ],
    globalSetup: ["test/support/shared-brokers.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Real brokers and engines run beside the tests.
    maxWorkers: Math.max(2, Math.floor(availableParallelism() / 2)),
    // A test that was left out must be named in test/skips.json; one that was singled out by mistake hides all others.
    allowOnly: false,
  },
});
