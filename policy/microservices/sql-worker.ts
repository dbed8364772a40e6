/**
 * The thread in which SQL runs: SQLite as WebAssembly (sql.js), which has no files, no network and no memory but its own. Whoever started the thread
 * ends it when its time is over. No import of ours at run time, so that it runs from the sources as well.
 */
import { parentPort, workerData } from "node:worker_threads";
import initSqlJs, { type Database, type SqlValue } from "sql.js";
import type { SqlAnswer, SqlOrder } from "./sql-order.js";
import type { Cell, Table, Tables } from "./table.js";

const QUERY = /^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)*(?:select|with|values)\b/i;

async function run({ tables, query, parameters, limits }: SqlOrder): Promise<SqlAnswer> {
  if (!QUERY.test(query)) return { kind: "notQuery" };
  const { Database } = await initSqlJs();
  const database = new Database();
  // A pragma that later says more is not obeyed: this limit can only be lowered.
  database.run(`PRAGMA hard_heap_limit=${limits.bytesOfMemory}`);
  try {
    load(database, tables);
    database.run("PRAGMA query_only=1");
    return ask(database, query, parameters, limits);
  } catch (error) {
    return { kind: "wrong", message: error instanceof Error ? error.message : String(error) };
  }
}

function load(database: Database, tables: Tables): void {
  for (const [name, { columns, rows }] of Object.entries(tables)) {
    if (columns.length === 0) continue; // SQLite knows no table without columns
    database.run(`CREATE TABLE ${quoted(name)} (${columns.map(quoted).join(", ")})`);
    const insert = database.prepare(
      `INSERT INTO ${quoted(name)} VALUES (${columns.map(() => "?").join(", ")})`,
    );
    database.run("BEGIN");
    for (const row of rows) insert.run([...row]);
    database.run("COMMIT");
    insert.free();
  }
}

function ask(
  database: Database,
  query: string,
  parameters: SqlOrder["parameters"],
  limits: SqlOrder["limits"],
): SqlAnswer {
  const statements = database.iterateStatements(query);
  const { value: statement } = statements.next();
  if (statement === undefined || !/^[;\s]*$/.test(statements.getRemainingSQL())) return { kind: "notQuery" };
  statement.bind(Object.fromEntries(Object.entries(parameters).map(([name, value]) => [`:${name}`, value])));
  const columns = distinct(statement.getColumnNames());
  const rows: Cell[][] = [];
  let bytes = 0;
  while (statement.step()) {
    if (rows.length >= limits.rows) return { kind: "rows" };
    const row = statement.get().map(cell);
    bytes += JSON.stringify(row).length;
    if (bytes > limits.bytesOfAnswer) return { kind: "bytes" };
    rows.push(row);
  }
  return { kind: "table", table: { columns, rows } satisfies Table };
}

/** As SQLite itself names a second column of one name. */
function distinct(names: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return names.map((name) => {
    const count = seen.get(name) ?? 0;
    seen.set(name, count + 1);
    return count === 0 ? name : `${name}:${count}`;
  });
}

const cell = (value: SqlValue): Cell =>
  value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value;
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

void run(workerData as SqlOrder).then((answer) => parentPort?.postMessage(answer));
