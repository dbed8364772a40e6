import type { Problem } from "../infra/problem.js";

const WIDTH = 110;

/**
 * Problems as people read them: what and how many, then one each with file, path, code and message in columns. A place that is too long stands on
 * a line of its own.
 */
export function problemTable(problems: readonly Problem[], headline = headlineOf(problems)): string {
  const rows = problems.map((p) => ({
    file: p.file ?? "",
    path: p.path ?? "",
    code: p.code,
    text: textOf(p),
  }));
  const width = (column: "file" | "path" | "code", most: number): number =>
    rows.reduce(
      (widest, row) => (row[column].length > most ? widest : Math.max(widest, row[column].length)),
      0,
    );
  const [file, path, code] = [width("file", 24), width("path", 32), width("code", 24)];
  const place = (file === 0 ? 0 : file + 2) + (path === 0 ? 0 : path + 2);
  const lines = rows.flatMap((row) => {
    const fits = row.file.length <= file && row.path.length <= path;
    const where = fits
      ? [file === 0 ? "" : row.file.padEnd(file + 2), path === 0 ? "" : row.path.padEnd(path + 2)].join("")
      : [row.file, row.path].filter((s) => s !== "").join("  ");
    const rest = `${row.code.padEnd(code + 2)}${row.text}`;
    if (fits) return [`  ${where}${rest}`.trimEnd()];
    return [`  ${where}`, `  ${"".padEnd(Math.min(place, WIDTH / 2))}${rest}`];
  });
  return [headline, ...lines].join("\n");
}

function headlineOf(problems: readonly Problem[]): string {
  return `${problems.length} ${problems.length === 1 ? "problem" : "problems"}; nothing was changed`;
}

/** A message that ends with a question is not followed by a semicolon. */
function textOf({ message, remedy }: Problem): string {
  if (remedy === undefined) return message;
  return message.endsWith("?") ? `${message} (${remedy})` : `${message}; ${remedy}`;
}
