/** What a way to make hosts must be able to do. The manager in hosts.ts calls one thing at a time for a host; different hosts at once. */
import { userInfo } from "node:os";
import type { AddressScheme } from "./hosts-addresses.js";
import type { DesiredHost, DesiredNetwork } from "./hosts-plan.js";
import type { HostEntry, HostRecord } from "./hosts-record.js";

export interface HostAdapter {
  /** Which management addresses the nodes must have. */
  readonly addresses: AddressScheme;
  readonly logins: HostRecord["logins"];
  /** Opens the bastion; its address. Once, first. */
  start(): Promise<{ readonly host: string; readonly port: number; readonly user: string }>;
  /** Makes exactly these networks be there. */
  networks(networks: readonly DesiredNetwork[]): Promise<void>;
  /** Starts a host, or changes one that runs. Answers once it can be logged in to. */
  up(host: DesiredHost): Promise<HostFacts>;
  /** Ends a host and everything on it. Fine when it is gone already. `keep`: its files stay, for its next start. */
  down(id: string, keep: boolean): Promise<void>;
  /** Ends everything. */
  close(): Promise<void>;
}

/** What only its adapter knows of a host. */
export type HostFacts = Pick<HostEntry, "port" | "user" | "address" | "pid" | "cards">;

export interface AdapterOptions {
  /** The hosts' own folder, absolute. */
  readonly folder: string;
  /** Path of sshd. */
  readonly sshd: string;
  /** The toolchain's cache, which sshd may be in. */
  readonly cache: string;
  /** Keys that open the bastion. */
  readonly bastionKeys: readonly string[];
  /** Called when a host ended by itself. */
  readonly onEnd: (id: string, why: string) => void;
}

/** In the environment of all that belongs to one emulator's hosts: `folder:host`. */
export const hostMark = "DYNAMOS_FABRIC_HOST";

export function markOfHost(folder: string, id: string): string {
  return `${folder}:${id}`;
}

/** The login of bastions that run as root. */
export const bastionLogin = "bastion";

/** The one user that exists without root. */
export function ownLogin(): string {
  return userInfo().username;
}
