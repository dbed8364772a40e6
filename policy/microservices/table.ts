import { CodedError } from "../contract/problem.js";

/** A field of a table: what SQL, CSV and JSON have in common. */
export type Cell = string | number | null;

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** Tables by name. */
export type Tables = Readonly<Record<string, Table>>;

/** The part of an answer in which the microservices here hand tables on: one part an answer, so that parts bear the agents' names. */
const PART = "tables";

/** Tables as an answer's part. */
export const tablesPart = (tables: Tables): Readonly<Record<string, Uint8Array>> => ({
  [PART]: new TextEncoder().encode(JSON.stringify(tables)),
});

/**
 * The tables that came in with a step, by agent and name. Parts are named by the agent that sent them, after the step where there are several.
 *
 * @throws CodedError `TAB-INPUT` for a part that holds no tables
 */
export function tablesOf(
  parts: Readonly<Record<string, Float64Array | Uint8Array>>,
): readonly { readonly agent: string; readonly tables: Tables }[] {
  return Object.entries(parts).map(([name, part]) => ({
    agent: name.slice(name.lastIndexOf("/") + 1),
    tables: read(name, part),
  }));
}

function read(name: string, part: Float64Array | Uint8Array): Tables {
  try {
    if (!(part instanceof Uint8Array)) throw new TypeError("numbers");
    const tables = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(part)) as unknown;
    if (typeof tables !== "object" || tables === null || !Object.values(tables).every(isTable))
      throw new TypeError("no table");
    return tables as Tables;
  } catch (cause) {
    throw new CodedError(
      {
        code: "TAB-INPUT",
        path: name,
        message: `${name} handed over no tables`,
        remedy: "let the step before this one be sql, anonymise or another that hands tables on",
      },
      { cause },
    );
  }
}

function isTable(value: unknown): value is Table {
  const { columns, rows } = (value ?? {}) as Partial<Table>;
  return (
    Array.isArray(columns) &&
    columns.every((column) => typeof column === "string") &&
    Array.isArray(rows) &&
    rows.every((row) => Array.isArray(row) && row.length === columns.length)
  );
}

/**
 * Where a column stands.
 *
 * @throws CodedError `TAB-COLUMN`
 */
export function columnIndex(table: Table, column: string, path: string): number {
  const index = table.columns.indexOf(column);
  if (index >= 0) return index;
  throw new CodedError({
    code: "TAB-COLUMN",
    path,
    message: `there is no column ${column} (there are: ${table.columns.join(", ") || "none"})`,
    remedy: "name one of these",
  });
}

/**
 * Tables of several parties together: those of one name become one, with the party in the column `party` first.
 *
 * @throws CodedError `TAB-COLUMNS-DIFFER` where parties' tables of one name have different columns
 */
export function together(given: ReturnType<typeof tablesOf>): Tables {
  const all: Record<string, { columns: readonly string[]; rows: Cell[][]; of: string }> = {};
  for (const { agent, tables } of [...given].sort((a, b) => (a.agent < b.agent ? -1 : 1))) {
    for (const [name, { columns, rows }] of Object.entries(tables)) {
      const known = Object.hasOwn(all, name) ? all[name] : undefined;
      const table = known ?? { columns, rows: [], of: agent };
      all[name] = table;
      if (table.columns.join("\n") !== columns.join("\n"))
        throw new CodedError({
          code: "TAB-COLUMNS-DIFFER",
          path: name,
          message: `${table.of} gives ${table.columns.join(", ")}, ${agent} gives ${columns.join(", ")}`,
          remedy: "let all data providers' queries answer the same columns",
        });
      for (const row of rows) table.rows.push([agent, ...row]);
    }
  }
  return Object.fromEntries(
    Object.entries(all).map(([name, { columns, rows }]) => [name, { columns: ["party", ...columns], rows }]),
  );
}
