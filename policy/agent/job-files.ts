import { randomUUID } from "node:crypto";
import { createWriteStream, lstatSync, mkdirSync, realpathSync, renameSync, rmSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { addAbortSignal, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { FILE_LIMITS } from "../contract/files.js";
import { CodedError } from "../contract/problem.js";
import type { HeldFile, HeldFiles } from "../rounds/inputs.js";
import { safeName } from "./messages.js";

/** Which file of which answer. */
export interface FileName {
  readonly round: number;
  readonly step: string;
  readonly from: string;
  readonly file: string;
}

/** Below an agent's working folder: no job has this name. */
export const FILES_FOLDER = ".files";

/**
 * The files of one job at this agent: those its microservices gave and those other agents handed over. They lie in a folder of the job, each
 * until its round is over, all at most until the job ends.
 */
export class JobFiles {
  readonly #folder: string;
  readonly #held = new Map<string, { readonly round: number; readonly file: HeldFile }>();
  #bytes = 0;
  /** The round at work, or the last one. */
  #current = 0;
  #closed = false;

  /** @param folder - of the job; it need not be there yet */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Takes files over from a microservice, which cannot change them from then on.
   *
   * @param folder - the microservice's working folder. Absent: it is no folder of this machine
   * @param paths - by name, relative to that folder
   * @throws CodedError `JOB-FILE` for what is no file of its own, `AGT-FILE-TOO-LARGE`
   */
  take(round: number, folder: string | undefined, paths: Readonly<Record<string, string>>): HeldFiles {
    const held: Record<string, HeldFile> = {};
    for (const [file, path] of Object.entries(paths)) {
      if (folder === undefined) throw apart(file);
      safeName(file, "file");
      const { source, bytes } = ownFile(folder, file, path);
      this.#reserve(file, bytes);
      const target = this.#place(round);
      renameSync(source, target);
      held[file] = { path: target, bytes };
      this.#held.set(target, { round, file: held[file] });
    }
    return held;
  }

  /**
   * Writes a file that another agent hands over as it comes, as fast as the disk takes it. A second copy takes the first one's place.
   *
   * @param source - what comes; the signal ends it
   * @param unseal - the file's bytes of that; ends with an error where they are not what its sender said: nothing of it is kept then
   * @throws CodedError `AGT-FILE-TOO-LARGE`, `AGT-TOKEN-OLD`; what `unseal` throws; the signal's reason
   */
  async receive(
    name: FileName,
    bytes: number,
    source: Readable,
    unseal: (source: AsyncIterable<Buffer>) => AsyncIterable<Buffer>,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    if (this.#closed || name.round < this.#current) throw over(name);
    this.#reserve(name.file, bytes);
    const target = this.#place(name.round);
    addAbortSignal(signal, source);
    try {
      const unsealed = Readable.from(unseal(source), { objectMode: false });
      await pipeline(unsealed, createWriteStream(target, { flags: "wx", mode: 0o600 }));
      signal.throwIfAborted();
      if (name.round < this.#current) throw over(name);
    } catch (error) {
      rmSync(target, { force: true });
      this.#bytes -= bytes;
      throw signal.aborted ? signal.reason : error;
    }
    const key = keyOf(name);
    const before = this.#held.get(key);
    if (before !== undefined) this.#remove(key, before.file);
    this.#held.set(key, { round: name.round, file: { path: target, bytes } });
  }

  /**
   * The files that an answer names, which came before it.
   *
   * @param sizes - in bytes, by name
   * @throws CodedError `AGT-FILE-MISSING`
   */
  received(answer: Omit<FileName, "file">, sizes: Readonly<Record<string, number>>): HeldFiles {
    const found: Record<string, HeldFile> = {};
    for (const [file, bytes] of Object.entries(sizes)) {
      const held = this.#held.get(keyOf({ ...answer, file }))?.file;
      if (held?.bytes !== bytes)
        throw new CodedError({
          code: "AGT-FILE-MISSING",
          path: `${answer.step}/${answer.from}/${file}`,
          message: `the answer names file ${file} of ${bytes} bytes; ${held === undefined ? "none" : `one of ${held.bytes} bytes`} came before it`,
          remedy: "hand the files over before the answer that names them",
        });
      found[file] = held;
    }
    return found;
  }

  /** Removes the files of all rounds before this one. */
  forgetBefore(round: number): void {
    this.#current = Math.max(this.#current, round);
    for (const [key, { round: of, file }] of this.#held) if (of < round) this.#remove(key, file);
  }

  /** Removes all. What still comes is refused. */
  close(): void {
    this.#closed = true;
    this.#held.clear();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #remove(key: string, { path, bytes }: HeldFile): void {
    this.#held.delete(key);
    this.#bytes -= bytes;
    rmSync(path, { force: true });
  }

  #reserve(file: string, bytes: number): void {
    if (bytes > FILE_LIMITS.bytes) throw tooLarge(file, `${bytes} bytes; ${FILE_LIMITS.bytes} are the most`);
    if (this.#bytes + bytes > FILE_LIMITS.jobBytes)
      throw tooLarge(
        file,
        `${bytes} bytes beside the ${this.#bytes} that the job has here; ${FILE_LIMITS.jobBytes} are the most`,
      );
    this.#bytes += bytes;
  }

  #place(round: number): string {
    const folder = join(this.#folder, String(round));
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return join(folder, randomUUID());
  }
}

const keyOf = ({ round, step, from, file }: FileName): string => JSON.stringify([round, step, from, file]);

/** A plain file below the folder, with no link on the way: a microservice must not make its agent hand over something else. */
function ownFile(
  folder: string,
  file: string,
  path: string,
): { readonly source: string; readonly bytes: number } {
  try {
    const root = realpathSync(folder);
    const source = resolve(root, path);
    const inside = relative(root, realpathSync(source));
    const stat = lstatSync(source);
    if (stat.isFile() && inside !== "" && inside.split(sep)[0] !== ".." && !inside.startsWith(sep))
      return { source, bytes: stat.size };
  } catch {
    // told below
  }
  throw new CodedError({
    code: "JOB-FILE",
    path: file,
    message: `${path} is no file of the microservice's own working folder`,
    remedy: "write it to the current folder and give its relative path",
  });
}

export function apart(file: string): CodedError {
  return new CodedError({
    code: "JOB-FILE",
    path: file,
    message: "microservices of this agent run where it has no folder in common with them",
    remedy: "give parts, at most 64 MiB, or run this agent's microservices as processes",
  });
}

function tooLarge(file: string, message: string): CodedError {
  return new CodedError({
    code: "AGT-FILE-TOO-LARGE",
    path: file,
    message: `file ${file} has ${message}`,
    remedy: "let the step give smaller files, or fewer",
  });
}

function over({ round, file }: FileName): CodedError {
  return new CodedError({
    code: "AGT-TOKEN-OLD",
    path: `rounds/${round}`,
    message: `round ${round} has ended; file ${file} is needed by nobody`,
    remedy: "ask for one round after the other",
  });
}
