import { createHash } from "node:crypto";

/** Gives the element at a path (e.g. `node/clientone/4-16-50`) its NodeID. */
export type ElementIds = (path: string) => string;

/**
 * NodeIDs made from a slice's mark and the element's path: UUIDs of version 8 (RFC 9562), from SHA-256. The same slice asked for twice has the
 * same ids, so a create that is sent again after a killed run is the same request.
 */
export function elementIds(markId: string): ElementIds {
  return (path) => {
    const hash = createHash("sha256").update(`${markId}\n${path}`).digest();
    hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x80;
    hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
    const hex = hash.toString("hex");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
      "-",
    );
  };
}

/** The same, but never an id that is in use: a node made anew must not get the NodeID of the one it replaces, nor of one that failed. */
export function freshIds(ids: ElementIds, inUse: ReadonlySet<string>): ElementIds {
  return (path) => {
    for (let n = 0; n <= inUse.size; n++) {
      const id = ids(n === 0 ? path : `${path}#${n}`);
      if (!inUse.has(id)) return id;
    }
    throw new RangeError(`no free id for ${path}`); // needs more collisions than there are ids in use
  };
}
