/**
 * What happened, as etcd, the enforcer's audit files and the microservices' own notes tell it. Shares no code with the services: etcd is read by its HTTP
 * gateway, files are read as they are.
 */
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";

/** One change in etcd's order. */
export interface Event {
  readonly key: string;
  /** Parsed; `undefined`: taken away, or no JSON. */
  readonly value: unknown;
  readonly revision: number;
}

/** A step at a party's microservice. */
export interface Note {
  readonly what: "begin" | "end";
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly job: string;
  readonly round: number;
  readonly step: string;
  readonly party: string;
}

export interface Granted {
  readonly job: string;
  readonly round: number;
  readonly token: number;
  readonly parties: readonly string[];
}

const ALL = Buffer.from([0]).toString("base64");
const MARKER = "/fault/marker";
const encoded = (text: string): string => Buffer.from(text).toString("base64");

/** etcd's own history, from the first revision on, read on from where it was. */
export class StoreHistory {
  readonly events: Event[] = [];
  readonly #url: string;
  #next = 1;

  constructor(endpoint: string) {
    this.#url = `http://${endpoint}/v3`;
  }

  /** Reads up to now. The end is known by a key of our own. */
  async read(): Promise<void> {
    const put = await this.#post("kv/put", { key: encoded(MARKER), value: encoded("1") });
    const { header } = (await put.json()) as { header: { revision: string } };
    const last = Number(header.revision);
    const stop = new AbortController();
    const request = { create_request: { key: ALL, range_end: ALL, start_revision: String(this.#next) } };
    const response = await this.#post(
      "watch",
      request,
      AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)]),
    );
    let text = "";
    try {
      for await (const chunk of response.body ?? []) {
        text += Buffer.from(chunk).toString();
        const lines = text.split("\n");
        text = lines.pop() ?? "";
        for (const line of lines) this.#take(line);
        if (this.#next > last) return;
      }
    } finally {
      stop.abort();
    }
    throw new Error(`etcd's history ends at ${this.#next - 1}, before ${last}`);
  }

  #take(line: string): void {
    const { result } = JSON.parse(line) as {
      result?: {
        canceled?: boolean;
        events?: { type?: string; kv: { key: string; value?: string; mod_revision: string } }[];
      };
    };
    if (result?.canceled) throw new Error(`etcd ended the watch: ${line.slice(0, 300)}`);
    for (const { type, kv } of result?.events ?? []) {
      const revision = Number(kv.mod_revision);
      this.#next = revision + 1;
      const key = Buffer.from(kv.key, "base64").toString();
      if (key !== MARKER)
        this.events.push({ key, value: type === "DELETE" ? undefined : parse(kv.value), revision });
    }
  }

  #post(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
    return fetch(`${this.#url}/${path}`, {
      method: "POST",
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
  }
}

function parse(value: string | undefined): unknown {
  try {
    return JSON.parse(Buffer.from(value ?? "", "base64").toString());
  } catch {
    return undefined;
  }
}

/** A file's lines that have come since the last look. */
class Lines {
  readonly #file: string;
  #at = 0;

  constructor(file: string) {
    this.#file = file;
  }

  read(): string[] {
    if (!existsSync(this.#file)) return [];
    const file = openSync(this.#file, "r");
    try {
      const bytes = Buffer.alloc(fstatSync(file).size - this.#at);
      readSync(file, bytes, 0, bytes.length, this.#at);
      const end = bytes.lastIndexOf(10) + 1;
      this.#at += end;
      return bytes.subarray(0, end).toString().split("\n").slice(0, -1);
    } finally {
      closeSync(file);
    }
  }
}

export class Notes {
  readonly file: string;
  readonly #lines: Lines;

  constructor(file: string) {
    this.file = file;
    this.#lines = new Lines(file);
  }

  read(): Note[] {
    return this.#lines.read().map((line) => JSON.parse(line) as Note);
  }
}

/** Grants in the enforcer's audit. A killed enforcer's unfinished last line is no line: it is cut off, and what it said is written anew. */
export class AuditedGrants {
  readonly #folder: string;
  readonly #files = new Map<string, Lines>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  read(): Granted[] {
    const names = existsSync(this.#folder) ? readdirSync(this.#folder) : [];
    return names
      .filter((name) => name.endsWith(".jsonl"))
      .flatMap((name) => {
        const lines = this.#files.get(name) ?? new Lines(join(this.#folder, name));
        this.#files.set(name, lines);
        return lines.read();
      })
      .filter((line) => line.includes('"kind":"grant"'))
      .flatMap((line): Granted[] => {
        const { facts } = JSON.parse(line) as {
          facts: Granted & { readonly computeProviders: readonly string[] };
        };
        const { job, round, token, parties, computeProviders } = facts;
        // A first approval's grant is for no job.
        return job === undefined ? [] : [{ job, round, token, parties: [...parties, ...computeProviders] }];
      });
  }
}
