/** A client of vertical federated learning: it knows some columns of everybody, and learns to tell what matters in them. */
import { join } from "node:path";
import { serve } from "dynamos-fabric/microservice";
import type { Matrix } from "ml-matrix";
import { fingerprint, readTable } from "./table.mts";
import { batch, descend, EMBEDDING, forward, type Linear, linear, pack, unpack } from "./vfl.mts";

interface Learner {
  readonly table: Matrix;
  /** Of the people in the table, in order: the server compares it between clients. */
  readonly people: string;
  readonly layer: Linear;
  /** Rounds learnt. */
  readonly learnt: number;
}

let learner: Learner | undefined;
/** What the open round embeds. */
let rows: { readonly round: number; readonly values: Matrix } | undefined;

serve({
  embed({ round, request, steward, dataFolder }) {
    const { seed, batches = 1 } = request as { seed: number; batches?: number };
    if (round === 1) {
      const table = readTable(join(dataFolder, "titanic.csv"));
      const layer = linear(table.values.columns, EMBEDDING, `${seed}/${steward}`);
      learner = { table: table.values, people: fingerprint(table), layer, learnt: 0 };
    }
    // A service that was started anew in the middle would go on from untrained weights, and nobody would see it.
    if (learner?.learnt !== round - 1)
      throw new Error(`round ${round} cannot follow ${learner?.learnt ?? 0} learnt rounds`);
    rows = { round, values: batch(learner.table, round, batches) };
    return {
      data: { people: learner.people },
      parts: { embedding: pack(forward(learner.layer, rows.values)) },
    };
  },

  update({ round, request, parts }) {
    const { learningRate } = request as { learningRate: { client: number } };
    if (learner === undefined || rows?.round !== round)
      throw new Error(`round ${round} was not embedded here`);
    const [packed] = Object.values(parts);
    if (!(packed instanceof Float64Array)) throw new Error("no gradient came from the server");
    const gradient = unpack(packed, EMBEDDING, rows.values.rows);
    learner = {
      ...learner,
      layer: descend(learner.layer, rows.values, gradient, learningRate.client),
      learnt: round,
    };
    return {};
  },
});
