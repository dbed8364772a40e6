import { it } from "vitest";

/**
 * For a test of many seconds whose subject is also shown in a shorter way: `npm test -- --deep` and `.ci/run` run it. Its name and reason are in
 * test/skips.json.
 */
export const deepIt: (name: string, test: () => unknown, milliseconds?: number) => void =
  process.env.DEEP === "1" ? it : it.skip;
