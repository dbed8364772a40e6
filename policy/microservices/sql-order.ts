import type { Cell, Table, Tables } from "./table.js";

export interface SqlLimits {
  /** Rows of an answer. Default 100,000. */
  readonly rows: number;
  /** Bytes of an answer, as JSON. Default 32 MiB. */
  readonly bytesOfAnswer: number;
  /** Bytes that the engine may hold, the tables included. Default 512 MiB. */
  readonly bytesOfMemory: number;
  /** Milliseconds for loading the tables and the query. Default 20 s. */
  readonly milliseconds: number;
}

/** What the thread is given. */
export interface SqlOrder {
  readonly tables: Tables;
  readonly query: string;
  /** By name, for `:name` in the query. */
  readonly parameters: Readonly<Record<string, Cell>>;
  readonly limits: SqlLimits;
}

/** What it says. */
export type SqlAnswer =
  | { readonly kind: "table"; readonly table: Table }
  | { readonly kind: "notQuery" | "rows" | "bytes" }
  | { readonly kind: "wrong"; readonly message: string };
