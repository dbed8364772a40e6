/** What a client must know of the emulated hosts and FABRIC's API does not say: ports, files, what runs as whom. Kept as hosts.json (0600). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../../local/state-folder.js";
import { InfraError } from "../../problem.js";
import type { SshBastion, SshHost } from "../ssh-config.js";

/** How nodes are made: not at all, as SSH servers on loopback addresses, or as network namespaces (Linux, root). */
export const hostModes = ["none", "loopback", "namespaces"] as const;
export type HostMode = (typeof hostModes)[number];

/** Kind of management addresses in namespaces. */
export const managements = ["ipv4", "ipv6"] as const;
export type Management = (typeof managements)[number];

export interface HostRecord {
  readonly version: 1;
  readonly mode: Exclude<HostMode, "none">;
  /** Who a login is on this machine: `own user` (the one that runs the emulator, whatever the image says), or root under the image's name. */
  readonly logins: "own user" | "root under the image's name";
  readonly bastion: SshBastion;
  readonly hosts: readonly HostEntry[];
}

export interface HostEntry extends SshHost {
  /** Of its sliver. */
  readonly id: string;
  readonly sliceId: string;
  readonly slice: string;
  readonly site: string;
  readonly port: number;
  /** Its own folder: its files, keys, log. */
  readonly folder: string;
  /** `down`: it was switched off, or could not be started; `problem` says why. */
  readonly state: "up" | "down";
  readonly problem?: string;
  /** In namespaces: its first process, as this machine numbers it. Killing it is a power cut. */
  readonly pid?: number;
  /** In namespaces: its cards by the name of the interface. */
  readonly cards?: Readonly<Record<string, string>>;
}

export function recordFile(folder: string): string {
  return join(folder, "hosts.json");
}

export function writeHostRecord(folder: string, record: HostRecord): void {
  writeFileAtomic(recordFile(folder), `${JSON.stringify(record, null, 1)}\n`);
}

/**
 * The record of an emulator's hosts; undefined when it never had any.
 *
 * @param folder `hosts` beside the emulator's state file
 * @throws InfraError `FAB-EMU-HOSTS` for a file that is no such record
 */
export function readHostRecord(folder: string): HostRecord | undefined {
  const file = recordFile(folder);
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw damaged(file, error);
  }
  try {
    const record = JSON.parse(text) as HostRecord;
    if (record.version === 1 && Array.isArray(record.hosts)) return record;
  } catch (error) {
    throw damaged(file, error);
  }
  throw damaged(file, new Error("not a record of hosts"));
}

function damaged(file: string, cause: unknown): InfraError {
  return new InfraError(
    {
      code: "FAB-EMU-HOSTS",
      file,
      message: `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      remedy: "start the emulator again, which writes it anew",
    },
    { cause },
  );
}
