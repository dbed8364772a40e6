/** What a person writes about networks beside the one that each site has anyway. Schema; the rules are in network-rules.ts. */
import { z } from "zod";
import { refuse } from "../problems-of-schema.js";

/** The kinds of networks that can be written; FABRIC knows more, which are kept but not made. */
export const networkTypes = [
  "FABNetv4",
  "FABNetv6",
  "FABNetv4Ext",
  "FABNetv6Ext",
  "L2Bridge",
  "L2STS",
  "L2PTP",
] as const;
export type NetworkType = (typeof networkTypes)[number];

const interfaceSchema = z.strictObject({
  node: z.string().min(1).describe("Name of the node"),
  nic: z
    .string()
    .min(1)
    .exactOptional()
    .describe("Name of one of its nics. Default: a NIC_Basic of its own, called after the network"),
  port: z.int().min(1).max(2).exactOptional().describe("Port of the card. Default 1"),
  vlan: z
    .int()
    .min(1)
    .max(4094)
    .exactOptional()
    .describe("Joins as a sub-interface with this VLAN tag, so that a port can be on several networks"),
});

const networkSchema = z.strictObject({
  type: z.string().superRefine((type, ctx) => {
    if ((networkTypes as readonly string[]).includes(type)) return;
    const remedy =
      type === "L2Multisite" || type === "L3VPN" || type === "PortMirror"
        ? "FABRIC has it, this library makes none; one that is in a slice is kept"
        : `one of ${networkTypes.join(", ")}`;
    refuse(ctx, { code: "FAB-NETWORK-TYPE", message: `no network type "${type}"`, remedy });
  }),
  interfaces: z.array(interfaceSchema).max(200).describe("What is on it"),
  bandwidth: z
    .int()
    .min(1)
    .max(400)
    .exactOptional()
    .describe("Gbps that an L2PTP gets for itself. Default: none"),
});

/** One more network of a slice. */
export interface NetworkSpec {
  type: NetworkType;
  interfaces: InterfaceSpec[];
  /** Gbps, of an L2PTP. */
  bandwidth?: number;
}

/** How a node joins a network. */
export interface InterfaceSpec {
  node: string;
  /** Name of one of the node's `nics`; absent: a NIC_Basic of its own. */
  nic?: string;
  /** 1 or 2; absent: 1. */
  port?: number;
  /** VLAN tag of a sub-interface. */
  vlan?: number;
}

const networkName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$/, "a network's name has 2 to 63 letters, digits, dots or dashes");

/** Networks by name. */
export const networksSpecSchema = z
  .record(networkName, networkSchema)
  .transform((networks) => networks as Record<string, NetworkSpec>);

/** A network as a person writes it. */
export type NetworkSpecInput = Omit<NetworkSpec, "type" | "interfaces"> & {
  type: NetworkType;
  interfaces: readonly InterfaceSpec[];
};
