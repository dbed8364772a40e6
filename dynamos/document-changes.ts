import { documentPath } from "../policy/contract/paths.js";

/**
 * What differs between two versions of a document, a line a difference, as a person reads it: `+ path` came, `- path` went, `~ path: old -> new`.
 * Lists are sets here, as agreements use them: their order does not matter. Pure.
 */
export function documentChanges(before: unknown, after: unknown): string[] {
  return changesAt([], before, after);
}

type Path = readonly (string | number)[];

function changesAt(path: Path, before: unknown, after: unknown): string[] {
  if (isObject(before) && isObject(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
    return names.flatMap((name) => {
      const at = [...path, name];
      if (!Object.hasOwn(before, name)) return [`+ ${documentPath(at)}${shown(after[name])}`];
      if (!Object.hasOwn(after, name)) return [`- ${documentPath(at)}${shown(before[name])}`];
      return changesAt(at, before[name], after[name]);
    });
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    const had = new Set(before.map((v) => JSON.stringify(v)));
    const has = new Set(after.map((v) => JSON.stringify(v)));
    const place = documentPath(path);
    return [
      ...[...had].filter((v) => !has.has(v)).map((v) => `- ${place}: ${v}`),
      ...[...has].filter((v) => !had.has(v)).map((v) => `+ ${place}: ${v}`),
    ];
  }
  const [old, now] = [JSON.stringify(before), JSON.stringify(after)];
  return old === now ? [] : [`~ ${documentPath(path) || "(document)"}: ${old} -> ${now}`];
}

/** A whole rule is known by its path. */
const shown = (value: unknown): string => (isObject(value) ? "" : `: ${JSON.stringify(value)}`);

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
