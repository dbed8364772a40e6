/** What a log-in to the nodes of this stack's own emulator takes. I/O. */
import { join } from "node:path";
import { ensureKey, publicKeyOf } from "./emulator/hosts-files.js";
import { readHostRecord } from "./emulator/hosts-record.js";
import type { SshCredentials } from "./ssh-credentials.js";

/** The two parts of an endpoint that have to do with keys. */
export interface LocalLogins {
  readonly sshKeys: () => readonly string[];
  readonly ssh: () => SshCredentials | undefined;
}

/**
 * The stack's own key for its slices, made on first use (`ssh/slice_key` in its state folder), and where the emulator's hosts are.
 *
 * @param serviceFolder the emulator's: its hosts are in `hosts` there
 */
export function localLogins(state: string, serviceFolder: string): LocalLogins {
  const keyFile = () => ensureKey(join(state, "ssh", "slice_key"), "dynamos-fabric slice key");
  return {
    sshKeys: () => [publicKeyOf(keyFile())],
    ssh: () => {
      const record = readHostRecord(join(serviceFolder, "hosts"));
      if (record === undefined) return undefined;
      const logins = record.hosts.map(({ id, user, port }) => [id, { user, port }] as const);
      return { bastion: record.bastion, sliceKeyFile: keyFile(), logins: Object.fromEntries(logins) };
    },
  };
}
