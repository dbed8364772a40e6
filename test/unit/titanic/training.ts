import { join } from "node:path";
import type { Matrix } from "ml-matrix";
import { readTable } from "../../../examples/titanic/microservices/table.mts";
import {
  batch,
  descend,
  EMBEDDING,
  forward,
  joinColumns,
  type Linear,
  linear,
  train,
} from "../../../examples/titanic/microservices/vfl.mts";

export const TITANIC = join(__dirname, "../../../examples/titanic");
/** In the order in which the server joins them. */
export const CLIENTS = ["clientone", "clientthree", "clienttwo"];

export interface Training {
  readonly rounds: number;
  readonly seed: number;
  readonly client: number;
  readonly server: number;
  readonly batches?: number;
}

export interface Measured {
  readonly accuracy: number;
  readonly loss: number;
}

/** The whole training in one process, without a marketplace: what the services must arrive at. */
export function trainAlone({ rounds, seed, client, server, batches = 1 }: Training): Measured[] {
  const tables = CLIENTS.map((party) => readTable(join(TITANIC, "data", party, "titanic.csv")).values);
  const labels = readTable(join(TITANIC, "data/server/titanic.csv")).values;
  let clients = CLIENTS.map((party, i) => linear(tables[i]?.columns ?? 0, EMBEDDING, `${seed}/${party}`));
  let head: Linear = linear(EMBEDDING * CLIENTS.length, 1, `${seed}/server`);
  const measured: Measured[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    const inputs = tables.map((table) => batch(table, round, batches));
    const truth = batch(labels, round, batches).getColumn(0);
    const trained = train(
      head,
      joinColumns(clients.map((layer, i) => forward(layer, at(inputs, i)))),
      truth,
      server,
    );
    head = trained.layer;
    clients = clients.map((layer, i) => {
      const from = i * EMBEDDING;
      const gradient = trained.gradient.subMatrix(0, truth.length - 1, from, from + EMBEDDING - 1);
      return descend(layer, at(inputs, i), gradient, client);
    });
    measured.push({ accuracy: trained.accuracy, loss: trained.loss });
  }
  return measured;
}

function at(matrices: readonly Matrix[], index: number): Matrix {
  const matrix = matrices[index];
  if (matrix === undefined) throw new RangeError(`no matrix ${index}`);
  return matrix;
}
