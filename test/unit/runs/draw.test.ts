import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { drawMoment, runSeed } from "../../../dynamos/runs/draw.js";

describe("the moment of the change", () => {
  it("lies strictly between the bounds and leaves a round to be refused", () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 7, max: 300 }),
        (seed, run, rounds) => {
          const moment = drawMoment(seed, run, { after: 5, before: 50, rounds });
          expect(moment?.round).toBeGreaterThan(5);
          expect(moment?.round).toBeLessThan(Math.min(50, rounds));
          expect(moment?.fraction).toBeGreaterThanOrEqual(0);
          expect(moment?.fraction).toBeLessThan(1);
        },
      ),
    );
  });

  it("is the same for the same seed and run, and reaches every round", () => {
    const bounds = { after: 5, before: 50, rounds: 100 };
    expect(drawMoment(7, 3, bounds)).toEqual(drawMoment(7, 3, bounds));
    const drawn = new Set(Array.from({ length: 2000 }, (_, run) => drawMoment(7, run, bounds)?.round));
    expect(drawn.size).toBe(44);
  });

  it("does not exist where no round is left", () => {
    expect(drawMoment(1, 1, { after: 5, before: 50, rounds: 6 })).toBeUndefined();
    expect(drawMoment(1, 1, { after: 5, before: 6, rounds: 100 })).toBeUndefined();
  });

  it("gives each run a seed of its own", () => {
    expect(new Set(Array.from({ length: 100 }, (_, run) => runSeed(7, run))).size).toBe(100);
  });
});
