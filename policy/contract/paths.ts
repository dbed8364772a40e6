/** A path as a person writes it: `relations["ada@uva.nl"].requestTypes[0]`. */
export function documentPath(parts: readonly (string | number)[], root = ""): string {
  let path = root;
  for (const part of parts) {
    if (typeof part === "number") path += `[${part}]`;
    else if (/^[A-Za-z_$][\w$-]*$/.test(part)) path += path === "" ? part : `.${part}`;
    else path += `[${JSON.stringify(part)}]`;
  }
  return path;
}
