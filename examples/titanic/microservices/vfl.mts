/**
 * Vertical federated learning of a yes or no, as in "Scattered Directive": every client turns its own columns of the
 * same people into 4 numbers each (a linear layer), the server joins these embeddings and predicts (a linear layer to 1
 * and a sigmoid). Only embeddings and their gradients travel. Both sides learn by plain gradient descent on the mean
 * binary cross entropy. No I/O here.
 */
import { Matrix } from "ml-matrix";
import { seededRandom } from "./random.mts";

/** Numbers in one client's embedding of one person. */
export const EMBEDDING = 4;

/** A linear layer: `x * weights + bias`. */
export interface Linear {
  /** inputs x outputs */
  readonly weights: Matrix;
  /** 1 x outputs */
  readonly bias: Matrix;
}

/**
 * A layer at its start: weights row by row, then the bias, each uniform in +-1/sqrt(inputs).
 *
 * @param seed the training's seed and the layer's owner, e.g. `7/clientone`, so that no two parties start alike
 */
export function linear(inputs: number, outputs: number, seed: string): Linear {
  const random = seededRandom(seed);
  const bound = 1 / Math.sqrt(inputs);
  const draw = (): number => (2 * random() - 1) * bound;
  return {
    weights: Matrix.from1DArray(inputs, outputs, Array.from({ length: inputs * outputs }, draw)),
    bias: Matrix.from1DArray(1, outputs, Array.from({ length: outputs }, draw)),
  };
}

/** The layer's values for rows of inputs. */
export function forward(layer: Linear, rows: Matrix): Matrix {
  return rows.mmul(layer.weights).addRowVector(layer.bias);
}

/** The layer after one step of gradient descent, given the loss's gradient with respect to the layer's values. */
export function descend(layer: Linear, rows: Matrix, gradient: Matrix, rate: number): Linear {
  const bias = Matrix.rowVector(gradient.sum("column")).mul(-rate).add(layer.bias);
  return { weights: rows.transpose().mmul(gradient).mul(-rate).add(layer.weights), bias };
}

export interface Trained {
  readonly layer: Linear;
  /** Mean binary cross entropy before this step. */
  readonly loss: number;
  /** Share of rows predicted rightly before this step, 0 to 1. */
  readonly accuracy: number;
  /** The loss's gradient with respect to the joined embeddings: rows x (clients * EMBEDDING). */
  readonly gradient: Matrix;
}

/**
 * The server's part of a round: predict from the joined embeddings, measure, learn.
 * The gradient for the clients is taken at the weights that predicted, before they learn.
 */
export function train(layer: Linear, embeddings: Matrix, labels: readonly number[], rate: number): Trained {
  const scores = forward(layer, embeddings).getColumn(0);
  let loss = 0;
  let right = 0;
  const errors = scores.map((score, row) => {
    const label = labels[row] ?? Number.NaN;
    // log(1 + e^score) - label * score, written so that no large score overflows
    loss += Math.max(score, 0) - score * label + Math.log1p(Math.exp(-Math.abs(score)));
    if (score > 0 === (label === 1)) right += 1;
    return (sigmoid(score) - label) / scores.length;
  });
  const error = Matrix.columnVector(errors);
  return {
    layer: descend(layer, embeddings, error, rate),
    loss: loss / scores.length,
    accuracy: right / scores.length,
    gradient: error.mmul(layer.weights.transpose()),
  };
}

/** Without overflow for scores far from 0. */
function sigmoid(score: number): number {
  const small = Math.exp(-Math.abs(score));
  return score >= 0 ? 1 / (1 + small) : small / (1 + small);
}

/**
 * The rows of a round. With more than one batch each takes every `batches`-th row, in turns, so that a table sorted by
 * some column still gives mixed batches.
 *
 * @param round counted from 1
 */
export function batch(table: Matrix, round: number, batches: number): Matrix {
  if (batches === 1) return table;
  const first = (round - 1) % batches;
  const rows = Array.from(
    { length: Math.ceil((table.rows - first) / batches) },
    (_, i) => first + i * batches,
  );
  return new Matrix(rows.map((row) => table.getRow(row)));
}

/** Puts matrices of the same number of rows side by side. */
export function joinColumns(parts: readonly Matrix[]): Matrix {
  const joined = new Matrix(
    parts[0]?.rows ?? 0,
    parts.reduce((sum, part) => sum + part.columns, 0),
  );
  let from = 0;
  for (const part of parts) {
    joined.setSubMatrix(part, 0, from);
    from += part.columns;
  }
  return joined;
}

/** A matrix as it travels: row by row. */
export function pack(matrix: Matrix): Float64Array {
  const packed = new Float64Array(matrix.rows * matrix.columns);
  for (let row = 0; row < matrix.rows; row += 1) packed.set(matrix.getRow(row), row * matrix.columns);
  return packed;
}

/** @throws RangeError when the numbers do not fill whole rows, or not as many as asked */
export function unpack(packed: Float64Array, columns: number, rows: number): Matrix {
  if (packed.length !== rows * columns)
    throw new RangeError(`${packed.length} numbers cannot be ${rows} rows of ${columns}`);
  return Matrix.from1DArray(rows, columns, packed as unknown as number[]);
}
