/** Rows as text in columns, two blanks between; numbers stand at the right. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const numeric = widths.map((_, i) => rows.slice(1).every((row) => /^\d*(\.\d+)?$/.test(row[i] ?? "")));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) =>
            numeric[i] === true ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0),
          )
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}
