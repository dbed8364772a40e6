/**
 * What the emulator keeps: every instant of a slice's life is written down when it is decided, so states need no timers and a restart, or a
 * preview without a running emulator, finds the same answers. All times are milliseconds since 1970.
 */
import type { PropertyGraph } from "../graph.js";
import type { CredentialState } from "./credential-state.js";

/** The whole of the emulator's memory, one JSON file. */
export interface EmulatorState {
  readonly version: 1;
  readonly slices: readonly SliceRecord[];
  readonly poas: readonly PoaRecord[];
  /** A scenario given while it ran, as it was written; it goes before the file's. */
  readonly scenario?: unknown;
  /** How often each fault was looked at and struck. */
  readonly faults?: FaultCounts;
  /** The credential manager's keys and tokens, from its first use on. */
  readonly credentials?: CredentialState;
}

/** Name of a fault to how many calls or slivers it fitted, and how many of them it struck. */
export type FaultCounts = Readonly<Record<string, { readonly seen: number; readonly struck: number }>>;

export const emptyState: EmulatorState = { version: 1, slices: [], poas: [] };

/** A slice of one owner in one project. */
export interface SliceRecord {
  readonly id: string;
  readonly name: string;
  /** New for each stored graph; on every element as `GraphID`. */
  readonly graphId: string;
  readonly project: { readonly id: string; readonly name: string };
  readonly owner: { readonly id: string; readonly email: string };
  readonly sshKeys: readonly string[];
  readonly leaseStart: number;
  readonly leaseEnd: number;
  /** How long its slivers take to close. */
  readonly closeMs: number;
  /** The last call that moved its state. */
  readonly operation: Operation;
  /** As asked for, without the server's own properties. */
  readonly graph: PropertyGraph;
  /** In the order of asking; closed ones stay, as in the real answer. */
  readonly slivers: readonly SliverRecord[];
}

export type Operation =
  /** `begunAt`: end of Nascent. */
  | { readonly kind: "create"; readonly at: number; readonly begunAt: number }
  | { readonly kind: "modify"; readonly at: number }
  /** `ok`: whether the modify that was accepted had come out well; the real state machine remembers it. */
  | { readonly kind: "accept"; readonly at: number; readonly ok: boolean }
  | { readonly kind: "renew"; readonly at: number }
  | { readonly kind: "delete"; readonly at: number };

export type SliverKind = "NodeSliver" | "NetworkServiceSliver";

/** A reservation: one VM, switch or network service. */
export interface SliverRecord {
  readonly id: string;
  /** NodeID of its element in the graph. */
  readonly nodeId: string;
  readonly kind: SliverKind;
  readonly requestedAt: number;
  /** When the broker has answered. */
  readonly ticketedAt: number;
  /** When its lease begins: later than `requestedAt` for an advance reservation. */
  readonly startAt: number;
  /** When it is up. */
  readonly activeAt: number;
  /** Why it failed, or will. */
  readonly problem?: string;
  /** When the problem shows. Default: with the broker's answer. */
  readonly failsAt?: number;
  /** The last change of a sliver that was up. `error`: the change failed and the sliver stayed as it was. */
  readonly change?: { readonly how: "modify" | "renew"; readonly until: number; readonly error?: string };
  /** Components that a change asked for and did not get; accept removes them. NodeIDs. */
  readonly failedParts?: readonly string[];
  readonly closedAt?: number;
  /** What it takes from its site until it is closed. */
  readonly hold: Hold;
  /** Properties the server adds: NodeID to property to text. */
  readonly grants: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Its dictionary when it was closed: its element may be gone from the graph. */
  readonly lastBody?: Readonly<Record<string, unknown>>;
}

/** Share of a site's capacity. */
export interface Hold {
  readonly site?: string;
  readonly worker?: string;
  readonly cores: number;
  /** GB */
  readonly ram: number;
  /** GB */
  readonly disk: number;
  readonly devices: readonly Device[];
  /** e.g. `10.128.1.0/24` */
  readonly subnet?: string;
}

/** One PCI device (or virtual function) of a worker. */
export interface Device {
  /** `Type-Model`, e.g. `SharedNIC-ConnectX-6`. */
  readonly key: string;
  /** 0, 1, ... below the worker's number of such devices. */
  readonly slot: number;
  /** NodeID of the component that has it. */
  readonly nodeId: string;
}

export const noHold: Hold = { cores: 0, ram: 0, disk: 0, devices: [] };

/** A call on a running sliver (`poas`). */
export interface PoaRecord {
  readonly id: string;
  readonly operation: string;
  readonly sliverId: string;
  readonly sliceId: string;
  readonly projectId: string;
  readonly at: number;
  readonly doneAt: number;
}
