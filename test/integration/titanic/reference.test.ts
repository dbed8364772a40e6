import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { cacheFolder } from "../../../infra/toolchain/cache.js";
import { CLIENTS, type Measured, TITANIC, type Training, trainAlone } from "../../unit/titanic/training.js";

const CACHE = cacheFolder();
const PYTHON = join(CACHE, "venv-numpy/bin/python");

/** A Python with numpy, made once for all clones. */
beforeAll(() => {
  if (existsSync(PYTHON) && run(PYTHON, ["-c", "import numpy"], "").status === 0) return;
  const final = dirname(dirname(PYTHON));
  mkdirSync(CACHE, { recursive: true });
  rmSync(final, { recursive: true, force: true });
  for (const [program, args] of [
    ["python3", ["-m", "venv", final]],
    [PYTHON, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "numpy"]],
  ] as const) {
    const { status, stderr, error } = run(program, args, "");
    if (status === 0) continue;
    rmSync(final, { recursive: true, force: true });
    throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? stderr}`);
  }
}, 300_000);

function run(program: string, args: readonly string[], input: string) {
  return spawnSync(program, args, { input, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
}

function reference(training: Training): Measured[] {
  const ask = { folder: join(TITANIC, "data"), clients: CLIENTS, ...training };
  const { status, stdout, stderr } = run(PYTHON, [join(__dirname, "reference.py")], JSON.stringify(ask));
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Measured[];
}

describe("the training against an independent numpy script", () => {
  it.each([
    ["the paper's rates", { client: 0.05, server: 0.01 }],
    ["the demonstration's rates", { client: 0.2, server: 0.2 }],
  ])(
    "has the same accuracy in each of 100 rounds with %s, within 1e-9",
    (_, rates) => {
      for (const seed of [7, 1, 20_250_601]) {
        const training = { rounds: 100, seed, ...rates };
        const [ours, theirs] = [trainAlone(training), reference(training)];
        expect(theirs).toHaveLength(100);
        for (const [round, { accuracy, loss }] of ours.entries()) {
          expect(
            Math.abs(accuracy - (theirs[round]?.accuracy ?? Number.NaN)),
            `round ${round + 1}`,
          ).toBeLessThan(1e-9);
          expect(Math.abs(loss - (theirs[round]?.loss ?? Number.NaN)), `round ${round + 1}`).toBeLessThan(
            1e-9,
          );
        }
      }
    },
    60_000,
  );

  it("ends above 0.75 with the demonstration's rates there too", () => {
    expect(reference({ rounds: 100, seed: 7, client: 0.2, server: 0.2 }).at(-1)?.accuracy).toBeGreaterThan(
      0.75,
    );
  });
});
