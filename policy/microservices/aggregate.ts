import { CodedError } from "../contract/problem.js";
import type { Handler } from "../sidecar/step.js";
import { type Cell, columnIndex, type Table, type Tables, tablesOf, tablesPart, together } from "./table.js";

export type Measure = "count" | "mean" | "sum" | "min" | "max";

export interface AggregateRule {
  /** Columns whose values make the groups. Empty: all rows are one group. */
  readonly groupBy: readonly string[];
  /** By name of the answer's column: what is worked out, of which column. A count needs none. */
  readonly measures: Readonly<Record<string, { readonly measure: Measure; readonly of?: string }>>;
  /** Groups of fewer rows are left out, and only told how many. Default 1. */
  readonly leastGroup?: number;
}

/**
 * One row a group, in order of the groups' values. Nulls are not measured. Pure.
 *
 * @returns the table, and how many groups were too small to be shown
 * @throws CodedError `TAB-COLUMN`
 */
export function aggregateTable(table: Table, rule: AggregateRule): { table: Table; suppressed: number } {
  const { groupBy, measures, leastGroup = 1 } = rule;
  const keys = groupBy.map((column, i) => columnIndex(table, column, `groupBy[${i}]`));
  const wanted = Object.entries(measures).map(([name, { measure, of }]) => ({
    name,
    measure,
    index: of === undefined ? undefined : columnIndex(table, of, `measures.${name}.of`),
  }));
  const groups = new Map<string, { readonly key: Cell[]; readonly rows: (readonly Cell[])[] }>();
  for (const row of table.rows) {
    const key = keys.map((index) => row[index] ?? null);
    const name = JSON.stringify(key);
    const group = groups.get(name) ?? { key, rows: [] };
    groups.set(name, group);
    group.rows.push(row);
  }
  const shown = [...groups.values()].filter(({ rows }) => rows.length >= leastGroup);
  shown.sort((a, b) => compareKeys(a.key, b.key));
  return {
    table: {
      columns: [...groupBy, ...wanted.map(({ name }) => name)],
      rows: shown.map(({ key, rows }) => [
        ...key,
        ...wanted.map(({ measure, index }) => measured(measure, index, rows)),
      ]),
    },
    suppressed: groups.size - shown.length,
  };
}

function measured(measure: Measure, index: number | undefined, rows: readonly (readonly Cell[])[]): Cell {
  if (index === undefined) return rows.length;
  const values = rows.flatMap((row) => row[index] ?? []);
  if (measure === "count") return values.length;
  const numbers = values.filter((value): value is number => typeof value === "number");
  if (numbers.length === 0) return null;
  if (measure === "min") return numbers.reduce((a, b) => Math.min(a, b));
  if (measure === "max") return numbers.reduce((a, b) => Math.max(a, b));
  const sum = numbers.reduce((a, b) => a + b, 0);
  return measure === "sum" ? sum : sum / numbers.length;
}

function compareKeys(a: readonly Cell[], b: readonly Cell[]): number {
  for (const [i, left] of a.entries()) {
    const right = b[i] ?? null;
    if (left === right) continue;
    if (typeof left === "number" && typeof right === "number") return left - right;
    return String(left) < String(right) ? -1 : 1;
  }
  return 0;
}

/**
 * A handler that groups and measures what its input steps handed over: at a compute provider all parties' rows together, with the party in the
 * column `party`. Groups too small are not shown.
 *
 * Errors: TAB-COLUMN, TAB-INPUT, TAB-COLUMNS-DIFFER.
 *
 * @param table - which table of its inputs. Default `result`
 */
export function aggregate(rule: AggregateRule, table = "result"): Handler {
  return ({ parts, role }) => {
    const given = tablesOf(parts);
    const tables: Tables =
      role === "computeProvider" ? together(given) : Object.assign({}, ...given.map((g) => g.tables));
    const found = Object.hasOwn(tables, table) ? tables[table] : undefined;
    if (found === undefined)
      throw new CodedError({
        code: "TAB-INPUT",
        path: table,
        message: `there is no table ${table} (there are: ${Object.keys(tables).join(", ") || "none"})`,
        remedy: "name a table that the step before hands over",
      });
    const { table: grouped, suppressed } = aggregateTable(found, rule);
    return { data: { ...grouped, suppressed }, parts: tablesPart({ [table]: grouped }) };
  };
}
