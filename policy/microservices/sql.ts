import { extname, join } from "node:path";
import { Worker } from "node:worker_threads";
import { CodedError } from "../contract/problem.js";
import type { Handler, StepInput } from "../sidecar/step.js";
import type { SqlAnswer, SqlLimits, SqlOrder } from "./sql-order.js";
import { columnRefused, type RefusedColumn, type StewardTables, stewardTables } from "./steward-tables.js";
import { type Cell, type Table, tablesOf, tablesPart, together } from "./table.js";

export type { SqlLimits } from "./sql-order.js";

const LIMITS: SqlLimits = {
  rows: 100_000,
  bytesOfAnswer: 32 * 1024 * 1024,
  bytesOfMemory: 512 * 1024 * 1024,
  milliseconds: 20_000,
};
const LONGEST_QUERY = 100_000;

export interface SqlOptions {
  /** What is asked: the query, or the request's field that has it. Default `{ field: "query" }`. */
  readonly query?: { readonly field: string } | { readonly text: string };
  /** The answer's table, for steps after this one. Default `result`. */
  readonly table?: string;
  readonly limits?: Partial<SqlLimits>;
}

/**
 * A handler that answers an SQL query (SQLite's dialect, one SELECT, read-only), bounded in time, memory and rows.
 *
 * Over what: without inputs, the steward's CSV files, those columns alone that the agreement lets this request read; a sensitive column that the
 * agreement does not name is not there. With inputs, the tables that these steps handed over: the steward's own as they are; at a compute provider,
 * those of one name as one table with the data provider in the column `party`.
 * The request's `parameters` are bound to `:name` in the query.
 *
 * Errors: TAB-COLUMN-REFUSED, SQL-WRONG, SQL-NOT-A-QUERY, SQL-ROWS, SQL-BYTES, SQL-TIME, SQL-MEMORY, TAB-DATA, TAB-INPUT, TAB-COLUMNS-DIFFER.
 *
 * @example
 * ```ts
 * import { serve } from "dynamos-fabric/microservice";
 * import { sql } from "dynamos-fabric/microservices";
 *
 * serve({ query: sql(), combine: sql({ query: { field: "combine" } }) });
 * ```
 */
export function sql({
  query: asked = { field: "query" },
  table = "result",
  limits,
}: SqlOptions = {}): Handler {
  return async (input) => {
    const query = "text" in asked ? asked.text : queryIn(input, asked.field);
    const { tables, refused } = tablesFor(input);
    const parameters = (input.request.parameters ?? {}) as Readonly<Record<string, Cell>>;
    const order = { tables, query, parameters, limits: { ...LIMITS, ...limits } };
    const answer = outcome(await runSql(order), order, refused);
    return { data: { ...answer }, parts: tablesPart({ [table]: answer }) };
  };
}

function queryIn({ request }: StepInput, field: string): string {
  const query = request[field];
  if (typeof query === "string" && query.length <= LONGEST_QUERY) return query;
  throw new CodedError({
    code: "SQL-NOT-A-QUERY",
    path: `data.${field}`,
    message: `is ${typeof query === "string" ? `longer than ${LONGEST_QUERY} characters` : "no text"}`,
    remedy: "send an SQL query",
  });
}

function tablesFor({ parts, role, dataFolder, access }: StepInput): StewardTables {
  const given = tablesOf(parts);
  if (given.length === 0) return stewardTables(dataFolder, access);
  const tables =
    role === "computeProvider" ? together(given) : Object.assign({}, ...given.map((g) => g.tables));
  return { tables, refused: [] };
}

/** Runs the order in a thread of its own, which is ended with its time. */
async function runSql(order: SqlOrder): Promise<SqlAnswer | { readonly kind: "time" }> {
  // From the sources as from the build.
  const worker = new Worker(join(__dirname, `sql-worker${extname(__filename)}`), {
    workerData: order,
    env: {},
  });
  const { promise, resolve, reject } = Promise.withResolvers<SqlAnswer | { readonly kind: "time" }>();
  const timer = setTimeout(() => resolve({ kind: "time" }), order.limits.milliseconds);
  worker.once("message", resolve);
  worker.once("error", reject);
  worker.once("exit", (code) => reject(new Error(`the SQL engine's thread ended with code ${code}`)));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}

function outcome(
  answer: SqlAnswer | { readonly kind: "time" },
  { limits }: SqlOrder,
  refused: readonly RefusedColumn[],
): Table {
  switch (answer.kind) {
    case "table":
      return answer.table;
    case "notQuery":
      throw notQuery();
    case "rows":
      throw tooMuch("SQL-ROWS", `more than ${limits.rows} rows`);
    case "bytes":
      throw tooMuch("SQL-BYTES", `more than ${limits.bytesOfAnswer} bytes`);
    case "time":
      throw tooMuch("SQL-TIME", `no answer within ${limits.milliseconds / 1_000} s`);
    case "wrong":
      throw wrong(answer.message, limits, refused);
  }
}

function wrong(message: string, limits: SqlLimits, refused: readonly RefusedColumn[]): CodedError {
  if (/readonly database/.test(message)) return notQuery();
  if (/out of memory/.test(message))
    return tooMuch("SQL-MEMORY", `more than ${limits.bytesOfMemory} bytes of memory are needed`);
  const column = /^no such column: (?:.*\.)?"?([^".]+)"?/.exec(message)?.[1]?.toLowerCase();
  const known = refused.find((one) => one.column.toLowerCase() === column);
  if (known !== undefined) return columnRefused(known);
  return new CodedError({
    code: "SQL-WRONG",
    path: "query",
    message,
    remedy: "correct the query (SQLite's dialect); tables and columns are those of the data sets",
  });
}

const notQuery = (): CodedError =>
  new CodedError({
    code: "SQL-NOT-A-QUERY",
    path: "query",
    message: "is not one query",
    remedy: "send one SELECT (or WITH, VALUES); nothing can be written",
  });

const tooMuch = (code: string, message: string): CodedError =>
  new CodedError({ code, path: "query", message, remedy: "ask for less: fewer rows, columns or joins" });
