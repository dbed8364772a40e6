import fc from "fast-check";
import { Matrix } from "ml-matrix";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../examples/titanic/microservices/random.mts";
import {
  batch,
  descend,
  forward,
  joinColumns,
  type Linear,
  linear,
  pack,
  train,
  unpack,
} from "../../../examples/titanic/microservices/vfl.mts";
import { trainAlone } from "./training.js";

const numbers = (rows: number, columns: number, seed: string): Matrix => {
  const random = seededRandom(seed);
  return Matrix.from1DArray(
    rows,
    columns,
    Array.from({ length: rows * columns }, () => 4 * random() - 2),
  );
};

describe("seededRandom", () => {
  it("gives these very numbers for this seed, so that a recorded run can be repeated by any later version", () => {
    const random = seededRandom("7/clientone");
    expect([random(), random(), random()]).toMatchInlineSnapshot(`
      [
        0.4934806674718857,
        0.8601938388310373,
        0.28474375256337225,
      ]
    `);
  });

  it("stays in [0, 1) and fills it evenly", () => {
    fc.assert(
      fc.property(fc.string(), (seed) => {
        const random = seededRandom(seed);
        const drawn = Array.from({ length: 2_000 }, random);
        expect(drawn.every((n) => n >= 0 && n < 1)).toBe(true);
        const mean = drawn.reduce((sum, n) => sum + n, 0) / drawn.length;
        expect(Math.abs(mean - 0.5)).toBeLessThan(0.05);
      }),
      { numRuns: 50 },
    );
  });
});

describe("train and descend", () => {
  /** The loss of a whole training step's forward pass, for differences. */
  const loss = (
    layers: readonly Linear[],
    head: Linear,
    inputs: readonly Matrix[],
    labels: readonly number[],
  ): number =>
    train(
      head,
      joinColumns(layers.map((layer, i) => forward(layer, inputs[i] ?? new Matrix(0, 0)))),
      labels,
      0,
    ).loss;

  it("go down the very slope that differences of the loss show, at the server and at each client", () => {
    const inputs = [numbers(11, 3, "a"), numbers(11, 2, "b")];
    const layers = inputs.map((input, i) => linear(input.columns, 4, `layer ${i}`));
    const head = linear(8, 1, "head");
    const labels = Array.from({ length: 11 }, (_, i) => i % 2);
    const trained = train(
      head,
      joinColumns(layers.map((layer, i) => forward(layer, inputs[i] ?? new Matrix(0, 0)))),
      labels,
      1,
    );
    const step = 1e-6;
    const moved = (matrix: Matrix, row: number, column: number): Matrix =>
      matrix.clone().set(row, column, matrix.get(row, column) + step);
    const slope = (changed: number): number => (changed - loss(layers, head, inputs, labels)) / step;

    for (const [row, column] of [
      [0, 0],
      [5, 0],
    ] as const) {
      const difference = slope(
        loss(layers, { ...head, weights: moved(head.weights, row, column) }, inputs, labels),
      );
      expect(head.weights.get(row, column) - trained.layer.weights.get(row, column)).toBeCloseTo(
        difference,
        5,
      );
    }
    expect(head.bias.get(0, 0) - trained.layer.bias.get(0, 0)).toBeCloseTo(
      slope(loss(layers, { ...head, bias: moved(head.bias, 0, 0) }, inputs, labels)),
      5,
    );

    layers.forEach((layer, i) => {
      const own = trained.gradient.subMatrix(0, 10, i * 4, i * 4 + 3);
      const after = descend(layer, inputs[i] ?? new Matrix(0, 0), own, 1);
      for (const key of ["weights", "bias"] as const) {
        const changed = layers.map((other, k) =>
          k === i ? { ...layer, [key]: moved(layer[key], 0, 2) } : other,
        );
        expect(layer[key].get(0, 2) - after[key].get(0, 2)).toBeCloseTo(
          slope(loss(changed, head, inputs, labels)),
          5,
        );
      }
    });
  });

  it("do not overflow for scores far from 0", () => {
    const head: Linear = { weights: Matrix.from1DArray(1, 1, [1]), bias: new Matrix(1, 1) };
    const trained = train(head, Matrix.columnVector([1e4, -1e4]), [0, 1], 0.1);
    expect(trained.loss).toBe(1e4);
    expect(trained.accuracy).toBe(0);
    expect(pack(trained.gradient)).toEqual(Float64Array.of(0.5, -0.5));
  });
});

describe("batch", () => {
  it("takes each row once in as many rounds as there are batches", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 0, max: 5 }),
        (rows, batches, pass) => {
          fc.pre(batches <= rows);
          const table = Matrix.columnVector([...Array(rows).keys()]);
          const seen = Array.from({ length: batches }, (_, i) =>
            batch(table, pass * batches + i + 1, batches).getColumn(0),
          ).flat();
          expect(seen.sort((a, b) => a - b)).toEqual([...Array(rows).keys()]);
        },
      ),
    );
  });
});

describe("pack and unpack", () => {
  it("bring a matrix over, and refuse numbers that are no whole rows", () => {
    const matrix = numbers(5, 4, "m");
    expect(unpack(pack(matrix), 4, 5).to2DArray()).toEqual(matrix.to2DArray());
    expect(() => unpack(pack(matrix), 4, 6)).toThrow(RangeError);
  });
});

describe("the demonstration's training", () => {
  it("ends above 0.75 with rates of 0.2, whatever the seed", () => {
    for (const seed of [1, 7, 42])
      expect(trainAlone({ rounds: 100, seed, client: 0.2, server: 0.2 }).at(-1)?.accuracy).toBeGreaterThan(
        0.75,
      );
  });

  it("is the same to the last bit each time, and another with another seed", () => {
    const run = (seed: number) => trainAlone({ rounds: 5, seed, client: 0.05, server: 0.01 });
    expect(run(7)).toEqual(run(7));
    expect(run(7)).not.toEqual(run(8));
  });

  it("learns in mini-batches too", () => {
    const all = trainAlone({ rounds: 200, seed: 7, client: 0.2, server: 0.2, batches: 4 });
    const mean = all.slice(-4).reduce((sum, { accuracy }) => sum + accuracy / 4, 0);
    expect(mean).toBeGreaterThan(0.75);
  });
});
