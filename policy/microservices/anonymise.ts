import { CodedError } from "../contract/problem.js";
import type { Handler } from "../sidecar/step.js";
import { columnRefused, type StewardTables, stewardTables } from "./steward-tables.js";
import { type Cell, columnIndex, type Table, tablesOf, tablesPart } from "./table.js";

/** How a column's values are made coarser. */
export type Generalisation =
  /** Numbers become the lower bound of their step: with 10, 47 becomes 40. */
  | { readonly step: number }
  /** Texts keep their first characters: with 4, 1098XH becomes 1098, and 1987-06-05 becomes 1987. */
  | { readonly keep: number }
  /** Each value becomes another one; what is not listed becomes null. */
  | { readonly map: Readonly<Record<string, Cell>> };

/** What is done to one table: columns are dropped, made coarser, or left alone. */
export interface TableRule {
  readonly drop?: readonly string[];
  readonly generalise?: Readonly<Record<string, Generalisation>>;
}

/** What was done to one table, for those who read the answer. */
export interface Done {
  readonly dropped: readonly string[];
  readonly generalised: Readonly<Record<string, Generalisation>>;
  readonly rows: number;
}

/**
 * A table without what its rule takes away. Pure.
 *
 * @throws CodedError `TAB-COLUMN` for a rule on a column that is not there: a rule that does nothing is a mistake
 */
export function anonymiseTable(name: string, table: Table, rule: TableRule): { table: Table; done: Done } {
  const { drop = [], generalise = {} } = rule;
  for (const column of [...drop, ...Object.keys(generalise)]) columnIndex(table, column, `${name}.${column}`);
  const kept = table.columns.flatMap((column, i) => (drop.includes(column) ? [] : [{ column, i }]));
  const makers = kept.map(({ column }) =>
    Object.hasOwn(generalise, column) ? generalise[column] : undefined,
  );
  const rows = table.rows.map((row) =>
    kept.map(({ i, column }, k) => coarser(row[i] ?? null, makers[k], `${name}.${column}`)),
  );
  return {
    table: { columns: kept.map(({ column }) => column), rows },
    done: { dropped: drop, generalised: generalise, rows: rows.length },
  };
}

function coarser(value: Cell, how: Generalisation | undefined, path: string): Cell {
  if (how === undefined || value === null) return value;
  if ("keep" in how) return String(value).slice(0, how.keep);
  if ("map" in how) return Object.hasOwn(how.map, String(value)) ? (how.map[String(value)] ?? null) : null;
  if (typeof value === "number") return Math.floor(value / how.step) * how.step;
  throw new CodedError({
    code: "TAB-COLUMN",
    path,
    message: "is no column of numbers, so it has no steps",
    remedy: "generalise it with keep or map, or drop it",
  });
}

/**
 * A handler that drops and generalises columns before anybody asks anything of the tables: queries after it never see what it took away, whatever they call
 * it. Without inputs it works on the steward's CSV files, else on the tables that its inputs handed over. Its answer says what it did. A table
 * without a rule is not handed on.
 *
 * Errors: TAB-COLUMN, TAB-COLUMN-REFUSED, TAB-DATA, TAB-INPUT.
 *
 * @param rules - by table
 */
export function anonymise(rules: Readonly<Record<string, TableRule>>): Handler {
  return ({ parts, dataFolder, access }) => {
    const given = tablesOf(parts);
    const { tables, refused }: StewardTables =
      given.length === 0
        ? stewardTables(dataFolder, access)
        : { tables: Object.assign({}, ...given.map((g) => g.tables)), refused: [] };
    // A rule on a column that was never read is done already, but what comes after it would be asked of another table.
    for (const one of refused)
      if (one.sensitive && Object.hasOwn(rules[one.table]?.generalise ?? {}, one.column))
        throw columnRefused(one);
    const done: Record<string, Done> = {};
    const handedOn: Record<string, Table> = {};
    for (const [name, table] of Object.entries(tables)) {
      const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
      if (rule === undefined) continue;
      const anonymised = anonymiseTable(name, table, rule);
      handedOn[name] = anonymised.table;
      done[name] = anonymised.done;
    }
    return { data: { anonymised: done }, parts: tablesPart(handedOn) };
  };
}
