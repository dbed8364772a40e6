import { closeSync, openSync, readSync } from "node:fs";

/** A tar file is made of such pieces: a header, then the file's content. */
const BLOCK = 512;
/** An index that is longer is none of one image. */
const MOST_BYTES = 1_000_000;

/**
 * The digest of the one image in an OCI archive, read from its index without unpacking the rest. Undefined where the file is no such archive.
 *
 * @throws NodeJS.ErrnoException where it cannot be read
 */
export function archiveDigest(file: string): string | undefined {
  const text = fileInTar(file, "index.json");
  if (text === undefined) return undefined;
  try {
    const { manifests } = JSON.parse(text) as {
      readonly manifests?: readonly { readonly digest?: unknown }[];
    };
    const digest = manifests?.[0]?.digest;
    return typeof digest === "string" && /^sha256:[0-9a-f]{64}$/.test(digest) ? digest : undefined;
  } catch {
    return undefined; // an index that is no JSON is not of an archive
  }
}

/** A file's text out of a tar file (POSIX.1-1988 "ustar"); undefined where it is not in it. */
function fileInTar(tar: string, wanted: string): string | undefined {
  const fd = openSync(tar, "r");
  try {
    const header = Buffer.alloc(BLOCK);
    for (let at = 0; readSync(fd, header, 0, BLOCK, at) === BLOCK && header[0] !== 0; ) {
      const textOf = (from: number, to: number): string =>
        header.subarray(from, to).toString("latin1").replace(/\0.*$/s, "");
      const size = Number.parseInt(textOf(124, 136).trim(), 8);
      if (!Number.isSafeInteger(size) || size < 0) return undefined;
      if (textOf(0, 100).replace(/^\.\//, "") === wanted) {
        if (size > MOST_BYTES) return undefined;
        const content = Buffer.alloc(size);
        readSync(fd, content, 0, size, at + BLOCK);
        return content.toString("utf8");
      }
      at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    }
    return undefined;
  } finally {
    closeSync(fd);
  }
}
