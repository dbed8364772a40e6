/** What is put on nodes, as plain data: a command reads it without the engine. */

/** One file. */
export interface NodeFile {
  /** Where it goes below the folder, e.g. `titanic.csv` or `2026/titanic.csv`. */
  readonly name: string;
  /** Where it is on this machine, absolute. */
  readonly path: string;
  /** Of its content, hexadecimal: a file is copied again when this changes. */
  readonly sha256: string;
  /** Its size. */
  readonly bytes: number;
}

/** One folder on a node. */
export interface NodeFolder {
  /** Of `hosts`. */
  readonly node: string;
  /** Absolute, on the node. */
  readonly folder: string;
  /** What is in it; an empty list makes the folder. Absent: somebody else fills it, and it is only looked at. */
  readonly files?: readonly NodeFile[];
}
