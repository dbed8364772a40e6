import type { AgentKey } from "../contract/agent-key.js";

/** The store's user that makes the others; no service bears this name. */
export const STORE_ROOT = "root";
/** The user of the Job that puts documents into a cluster's marketplace: it notes what it wrote, and nothing else. */
export const STORE_SETUP = "setup";

/** Keys that a user may read, or read and write: one key, or with `prefix` all that begin with it. */
export interface StoreRange {
  readonly key: string;
  readonly prefix: boolean;
  readonly right: "read" | "write";
}

/** What a user may do at the store. Its role has its name. */
export interface StoreRights {
  readonly user: string;
  /** Of an agent: its party, under whose name its public key is published, which it cannot write itself. */
  readonly party?: string;
  readonly ranges: readonly StoreRange[];
}

/** A user's secrets, as the stack keeps them. */
export interface StoreSecrets {
  readonly password: string;
  /** Of an agent. */
  readonly publicKey?: AgentKey;
}
