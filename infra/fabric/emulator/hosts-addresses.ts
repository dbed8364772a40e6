/** Management addresses that really answer: given to nodes in the emulator's own state, so that every answer and every restart tells the same. Pure. */
import { createHash } from "node:crypto";
import type { EmulatorState, SliverRecord } from "./model.js";

/** Addresses for nodes: `undefined` leaves what the broker gave. */
export type AddressScheme = AddressRange | "shared" | undefined;

/** Some /24s in a row; the first address is the bastion's. */
export interface AddressRange {
  readonly bastion: string;
  readonly has: (address: string) => boolean;
  /** The address number `n`, from 0 on, that a node may have; undefined behind the last. */
  readonly address: (n: number) => string | undefined;
}

/** What is given where a machine has only one loopback address: nodes differ by their ports. */
export const sharedLoopback = "127.0.0.1";

/** A part of 127.64.0.0/10 that differs from one emulator of this machine to the next (nearly always; ports settle the rest). */
export function loopbackRange(folder: string): AddressRange {
  const blocks = 64 * 256;
  const first = createHash("sha256").update(folder).digest().readUInt16BE(0) % blocks;
  return range(16, (block) => {
    const b = (first + block) % blocks;
    return `127.${64 + (b >> 8)}.${b & 255}`;
  });
}

/** 198.18.0.0/15, which nobody routes (RFC 2544). */
export const managementRange: AddressRange = range(512, (block) => `198.${18 + (block >> 8)}.${block & 255}`);

/**
 * The state with an address of the scheme on every node that lives. An address is kept as long as its node.
 * The same object when there is nothing to do.
 */
export function withAddresses(state: EmulatorState, scheme: AddressScheme): EmulatorState {
  if (scheme === undefined) return state;
  const used = new Set<string>();
  const right = (address: string): boolean =>
    scheme === "shared" ? address === sharedLoopback : scheme.has(address) && !used.has(address);
  const waiting = new Set<SliverRecord>();
  for (const sliver of state.slices.flatMap((slice) => slice.slivers)) {
    const address = sliver.closedAt === undefined ? addressOf(sliver) : undefined;
    if (address === undefined) continue;
    if (right(address)) used.add(address);
    else waiting.add(sliver);
  }
  if (waiting.size === 0) return state;
  let n = 0;
  const next = (): string | undefined => {
    if (scheme === "shared") return sharedLoopback;
    for (;;) {
      const address = scheme.address(n++);
      if (address === undefined || !used.has(address)) return address;
    }
  };
  return {
    ...state,
    slices: state.slices.map((slice) =>
      slice.slivers.some((s) => waiting.has(s))
        ? { ...slice, slivers: slice.slivers.map((s) => (waiting.has(s) ? withAddress(s, next()) : s)) }
        : slice,
    ),
  };
}

function addressOf(sliver: SliverRecord): string | undefined {
  return sliver.grants[sliver.nodeId]?.MgmtIp;
}

function withAddress(sliver: SliverRecord, address: string | undefined): SliverRecord {
  if (address === undefined) return sliver;
  const own = { ...sliver.grants[sliver.nodeId], MgmtIp: address };
  return { ...sliver, grants: { ...sliver.grants, [sliver.nodeId]: own } };
}

function range(blocks: number, prefixOf: (block: number) => string): AddressRange {
  const perBlock = 254; // neither .0 nor .255
  const prefixes = new Set(Array.from({ length: blocks }, (_, block) => prefixOf(block)));
  const bastion = `${prefixOf(0)}.1`;
  return {
    bastion,
    has: (address) =>
      address !== bastion && prefixes.has(address.slice(0, Math.max(0, address.lastIndexOf(".")))),
    address: (n) => {
      const block = Math.floor((n + 1) / perBlock);
      return block < blocks ? `${prefixOf(block)}.${1 + ((n + 1) % perBlock)}` : undefined;
    },
  };
}
