import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { GrantKey } from "../contract/grants.js";

/**
 * The enforcers' public keys as a file, by which microservices verify grants themselves. Written anew, in one step, when an enforcer has a new key: a job
 * outlives an enforcer.
 */
export class GrantKeysFile {
  readonly path: string;

  /** @param folder - only the agent writes there */
  constructor(folder: string) {
    this.path = join(folder, "grant-keys.json");
    this.write([]);
  }

  write(keys: readonly GrantKey[]): void {
    const beside = `${this.path}.new`;
    writeFileSync(beside, JSON.stringify(keys), { mode: 0o600 });
    renameSync(beside, this.path);
  }
}
