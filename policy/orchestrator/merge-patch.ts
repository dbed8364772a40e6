/** No document is nested deeper; what is, its schema refuses. */
const MOST_LEVELS = 16;

/** A document with a JSON merge patch applied (RFC 7396): `null` takes a field out, an object is merged, anything else replaces. Pure. */
export function mergePatch(target: unknown, patch: unknown, levels = MOST_LEVELS): unknown {
  if (!isObject(patch) || levels === 0) return patch;
  const merged = new Map(Object.entries(isObject(target) ? target : {}));
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) merged.delete(field);
    else merged.set(field, mergePatch(merged.get(field), value, levels - 1));
  }
  return Object.fromEntries(merged);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
