import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type CsvError, parse } from "csv-parse/sync";
import type { DataAccess, TableAccess } from "../contract/data-access.js";
import { CodedError } from "../contract/problem.js";
import type { Cell, Table, Tables } from "./table.js";

/** Greatest CSV file in bytes: it is read as a whole. */
export const MOST_FILE_BYTES = 256 * 1024 * 1024;

/** A column that is in a steward's file and was not read. */
export interface RefusedColumn {
  readonly table: string;
  readonly column: string;
  /** Sensitive, and the agreement does not name it. Else the request does not read it. */
  readonly sensitive: boolean;
}

/** What who asks for such a column is told. */
export function columnRefused({ table, column, sensitive }: RefusedColumn): CodedError {
  return new CodedError({
    code: "TAB-COLUMN-REFUSED",
    path: `${table}.${column}`,
    message: sensitive
      ? `${column} of ${table} is sensitive, and the steward's agreement does not name it`
      : `${column} of ${table} is not among the columns that this request may read`,
    remedy: "leave it out; to read it, the request type and the steward's rule must both name it",
  });
}

/** A steward's tables as far as a step may read them. */
export interface StewardTables {
  readonly tables: Tables;
  readonly refused: readonly RefusedColumn[];
}

/**
 * Reads a steward's CSV files, `<table>.csv` in its data folder: the columns that the step may read, and no others. Fields that are numbers become
 * numbers where all of their column are; empty fields are null.
 *
 * @throws CodedError `TAB-DATA` for a file that is missing, too large or no CSV
 */
export function stewardTables(folder: string, access: DataAccess): StewardTables {
  const tables: Record<string, Table> = {};
  const refused: RefusedColumn[] = [];
  for (const { delimiter, tables: asked } of Object.values(access)) {
    for (const [name, allowed] of Object.entries(asked)) {
      if (Object.hasOwn(tables, name)) throw wrong(name, "two data sets have a table of this name");
      tables[name] = readTable(join(folder, `${name}.csv`), name, delimiter, allowed, refused);
    }
  }
  return { tables, refused };
}

function readTable(
  file: string,
  name: string,
  delimiter: string,
  { columns: only, withheld, left = [] }: TableAccess,
  refused: RefusedColumn[],
): Table {
  let header: string[] = [];
  const keep = (column: string): boolean =>
    !withheld.includes(column) && (only === undefined || only.includes(column));
  const records = records_(file, name, delimiter, (columns) => {
    header = columns;
    // A column that is false is not kept by the parser either: nothing of it is in memory after this.
    return columns.map((column) => (keep(column) ? column : false));
  });
  const columns = header.filter(keep);
  for (const column of new Set([...left, ...header]))
    if (!keep(column)) refused.push({ table: name, column, sensitive: withheld.includes(column) });
  const missing = only?.filter((column) => !header.includes(column)) ?? [];
  if (missing.length > 0) throw wrong(name, `it has no column ${missing.join(", ")}`);
  const numeric = columns.map((column) => records.every((record) => isNumber(record[column] ?? "")));
  const rows = records.map((record) =>
    columns.map((column, i): Cell => {
      const text = record[column] ?? "";
      if (text === "") return null;
      return numeric[i] === true ? Number(text) : text;
    }),
  );
  return { columns, rows };
}

function records_(
  file: string,
  name: string,
  delimiter: string,
  columns: (header: string[]) => (string | false)[],
): readonly Readonly<Record<string, string>>[] {
  let text: string;
  try {
    if (statSync(file).size > MOST_FILE_BYTES) throw wrong(name, `it has more than ${MOST_FILE_BYTES} bytes`);
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw wrong(name, `it cannot be read (${(error as NodeJS.ErrnoException).code})`, error);
  }
  try {
    return parse(text, { delimiter, columns, bom: true, skip_empty_lines: true, trim: true });
  } catch (error) {
    // Not the parser's own words: they quote the line, which may hold what must not be read.
    throw wrong(name, `line ${(error as CsvError).lines ?? "?"} does not fit its header`);
  }
}

/**
 * An empty field is no number, but does not make its column a text. What would not come back as it was (`007`, twenty digits) is a text.
 */
const isNumber = (text: string): boolean =>
  text === "" || (/^-?(0|[1-9]\d*)(\.\d+)?$/.test(text) && text.length <= 16);

function wrong(table: string, message: string, cause?: unknown): CodedError {
  return new CodedError(
    {
      code: "TAB-DATA",
      path: `${table}.csv`,
      message: `the steward's file ${table}.csv is not as its data set says: ${message}`,
      remedy: "the steward mends the file, or the data set's document",
    },
    cause === undefined ? undefined : { cause },
  );
}
