/** The server of vertical federated learning: it knows the labels, joins the clients' embeddings and predicts. */
import { join } from "node:path";
import { CodedError, serve } from "dynamos-fabric/microservice";
import type { Matrix } from "ml-matrix";
import { fingerprint, readTable } from "./table.mts";
import { batch, EMBEDDING, joinColumns, type Linear, linear, pack, train, unpack } from "./vfl.mts";

let labels: Matrix | undefined;
/** Of the people the labels are about. */
let people = "";
let learner: { readonly layer: Linear; readonly learnt: number } | undefined;

serve({
  train({ round, request, data, parts, steward, dataFolder }) {
    const {
      seed,
      learningRate,
      batches = 1,
    } = request as {
      seed: number;
      learningRate: { server: number };
      batches?: number;
    };
    // By name, so that the order in which answers came does not matter.
    const clients = Object.keys(parts).sort();
    if (round === 1) {
      const table = readTable(join(dataFolder, "titanic.csv"));
      labels = table.values;
      people = fingerprint(table);
      learner = { layer: linear(EMBEDDING * clients.length, 1, `${seed}/${steward}`), learnt: 0 };
    }
    if (labels === undefined || learner?.learnt !== round - 1)
      throw new Error(`round ${round} cannot follow ${learner?.learnt ?? 0} learnt rounds`);

    // Rows that are about different people would be learnt from without a complaint.
    const { embed = {} } = data as { embed?: Record<string, { people?: string }> };
    const strangers = clients.filter((client) => embed[client]?.people !== people);
    if (strangers.length > 0)
      throw new CodedError({
        code: "VFL-PEOPLE",
        message: `the rows of ${strangers.join(", ")} are not about the same people in the same order as the labels`,
        remedy: "align the tables by their first column",
      });

    const truth = batch(labels, round, batches).getColumn(0);
    const embeddings = clients.map((client) => {
      const packed = parts[client];
      if (!(packed instanceof Float64Array)) throw new Error(`${client} sent no embedding`);
      return unpack(packed, EMBEDDING, truth.length);
    });
    const trained = train(learner.layer, joinColumns(embeddings), truth, learningRate.server);
    learner = { layer: trained.layer, learnt: round };
    const gradients = clients.map((client, i) => {
      const own = trained.gradient.subMatrix(0, truth.length - 1, i * EMBEDDING, (i + 1) * EMBEDDING - 1);
      return [client, pack(own)] as const;
    });
    return {
      data: { accuracy: trained.accuracy, loss: trained.loss, rows: truth.length },
      parts: Object.fromEntries(gradients),
    };
  },
});
