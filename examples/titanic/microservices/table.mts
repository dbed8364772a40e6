import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { Matrix } from "ml-matrix";

/** One party's columns. Every party's table has the same people in the same order. */
export interface Table {
  /** The first column of the file: who a row is about. */
  readonly people: readonly string[];
  /** Names of the other columns. */
  readonly columns: readonly string[];
  /** people x columns */
  readonly values: Matrix;
}

/** Tells whether two tables are about the same people in the same order, without telling who they are. */
export function fingerprint({ people }: Table): string {
  return createHash("sha256").update(people.join("\n")).digest("hex");
}

/**
 * Reads a comma-separated file: a header, then an identifier and numbers in each line.
 *
 * @throws Error naming the file and line of a value that is no number
 */
export function readTable(file: string): Table {
  const [header, ...lines] = readFileSync(file, "utf8").trim().split("\n");
  const columns = (header ?? "").split(",").slice(1);
  const rows = lines.map((line, index) => {
    const fields = line.split(",");
    const numbers = fields.slice(1).map((field) => (field === "" ? Number.NaN : Number(field)));
    if (numbers.length !== columns.length || !numbers.every(Number.isFinite))
      throw new Error(`${file}:${index + 2}: ${columns.length} numbers expected after the first field`);
    return { person: fields[0] ?? "", numbers };
  });
  if (rows.length === 0 || columns.length === 0) throw new Error(`${file}: no rows or no columns`);
  return {
    people: rows.map((row) => row.person),
    columns,
    values: new Matrix(rows.map((row) => row.numbers)),
  };
}
