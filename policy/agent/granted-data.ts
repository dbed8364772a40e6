import { constants, createReadStream, createWriteStream } from "node:fs";
import { copyFile, link, mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { type CsvError, parse } from "csv-parse";
import type { DataAccess, TableAccess } from "../contract/data-access.js";
import { CodedError } from "../contract/problem.js";

/** Link failures after which the file is copied instead: another file system, or one whose links are not ours to make. */
const NO_LINK = new Set(["EXDEV", "EPERM", "EACCES", "ENOTSUP", "EMLINK"]);
/** Not the name of a table's file, so that one that is half written is nobody's data. */
const UNFINISHED = ".unfinished";

/**
 * Makes a folder hold the files of a steward's tables that may be read, and nothing else: `<table>.csv`, a hard link where all of it may be read,
 * else a copy of the columns that may. A file that the steward does not have is left out, and what was in the folder before is replaced.
 *
 * @param from - the steward's data folder
 * @returns the access, with the columns that were left out of each table
 * @throws CodedError `AGT-DATA` for a file that cannot be read or is no CSV
 */
export async function grantData(from: string, to: string, access: DataAccess): Promise<DataAccess> {
  await mkdir(to, { recursive: true, mode: 0o700 });
  const files = new Set<string>();
  const told: Record<string, DataAccess[string]> = {};
  for (const [dataSet, { delimiter, tables }] of Object.entries(access)) {
    const toldTables: Record<string, TableAccess> = {};
    for (const [table, allowed] of Object.entries(tables)) {
      if (basename(table) !== table) throw wrong(table, "a table's name is no path");
      const file = `${table}.csv`;
      const cut = { from: join(from, file), to: join(to, file), table, delimiter };
      const left = await grantTable(cut, allowed);
      if (left !== undefined) files.add(file);
      toldTables[table] = left === undefined || left.length === 0 ? allowed : { ...allowed, left };
    }
    told[dataSet] = { delimiter, tables: toldTables };
  }
  for (const file of await readdir(to)) if (!files.has(file)) await rm(join(to, file));
  return told;
}

interface Cut {
  readonly from: string;
  readonly to: string;
  readonly table: string;
  readonly delimiter: string;
}

/** Columns that were left out. Undefined: there is no such file. */
async function grantTable(cut: Cut, { columns, withheld }: TableAccess): Promise<string[] | undefined> {
  const unfinished = `${cut.to}${UNFINISHED}`;
  await rm(unfinished, { force: true });
  try {
    // Without limits nothing need be read: whatever the file is, it is given whole.
    const header = columns === undefined && withheld.length === 0 ? [] : await headerOf(cut);
    const keep = (name: string): boolean =>
      !withheld.includes(name) && (columns === undefined || columns.includes(name));
    const left = header.filter((name) => !keep(name));
    if (left.length === 0) await whole(cut.from, unfinished);
    else await cutColumns(cut, header.map(keep), unfinished);
    await rename(unfinished, cut.to);
    return left;
  } catch (error) {
    await rm(unfinished, { force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    // Not the parser's own words: they quote the line, which may hold what must not be read.
    const { lines } = error as Partial<CsvError>;
    throw wrong(cut.table, lines === undefined ? `cannot be read (${code})` : `line ${lines} is no CSV`);
  }
}

async function whole(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!NO_LINK.has((error as NodeJS.ErrnoException).code ?? "")) throw error;
    await copyFile(from, to, constants.COPYFILE_FICLONE);
  }
}

/** The first record; the rest of the file is not read. */
async function headerOf({ from, delimiter }: Cut): Promise<readonly string[]> {
  const bytes = createReadStream(from);
  const records = bytes.pipe(parse({ ...HOW, delimiter }));
  bytes.once("error", (error) => records.destroy(error));
  try {
    for await (const record of records as AsyncIterable<string[]>) return record;
    return [];
  } finally {
    bytes.destroy();
  }
}

/** Row after row, so that a file may be larger than the memory. */
async function cutColumns({ from, delimiter }: Cut, keep: readonly boolean[], to: string): Promise<void> {
  const field = (text: string): string =>
    text.includes(delimiter) || /["\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  await pipeline(
    createReadStream(from),
    parse({ ...HOW, delimiter }),
    async function* (records: AsyncIterable<string[]>) {
      for await (const record of records)
        yield `${record
          .filter((_, i) => keep[i] === true)
          .map(field)
          .join(delimiter)}\n`;
    },
    createWriteStream(to, { flags: "wx", mode: 0o400 }),
  );
}

const HOW = { bom: true, skip_empty_lines: true, trim: true } as const;

function wrong(table: string, what: string): CodedError {
  return new CodedError({
    code: "AGT-DATA",
    path: `${table}.csv`,
    message: `the steward's file ${table}.csv cannot be handed to a microservice: ${what}`,
    remedy: "the steward mends the file, or the data set's document",
  });
}
