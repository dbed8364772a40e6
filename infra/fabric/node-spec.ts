/** What a person writes about one node of a slice. Schema only; what follows from it is in topology.ts. */
import { z } from "zod";
import { refuse } from "../problems-of-schema.js";
import { cardModels, componentModels } from "./components.js";
import { flavourNamed, flavourNear } from "./flavours.js";
import { isSite, largestNode, nearestSite } from "./sites.js";

/** Room left in a node's user data (2048 characters in FIM) after this library's own mark. */
const userDataRoom = 1600;
/** FIM wants fewer characters than this. Source: fim/slivers/base_sliver.py of fabric-fim 2.0.0. */
const bootScriptLimit = 1024;
/** The name of the card that joins a node to its site's network. */
export const firstCard = "nic1";

/** A node's sizes when nothing is said: cores, GB of memory, GB of disk. */
export const usualSize = { cores: 4, ram: 16, disk: 50 } as const;

const site = z.string().superRefine((name, ctx) => {
  if (isSite(name)) return;
  const near = nearestSite(name);
  const guess = near === undefined ? "" : `; did you mean ${near}?`;
  refuse(ctx, {
    code: "FAB-SITE-UNKNOWN",
    message: `no site "${name}"${guess}`,
    remedy: "all: dynamos-fabric sites",
  });
});

function size(unit: "cores" | "ram" | "disk", most: number) {
  return z
    .int()
    .min(1)
    .superRefine((value, ctx) => {
      if (value <= most) return;
      refuse(ctx, {
        code: "FAB-SIZE-TOO-LARGE",
        message: `${value} asked, the largest node has ${most}${unit === "cores" ? "" : " GB"}`,
        remedy: "FABRIC would silently give less; ask for less, or use more nodes",
      });
    });
}

const instanceType = z.string().superRefine((name, ctx) => {
  if (flavourNamed(name) !== undefined) return;
  const near = flavourNear(name);
  refuse(ctx, {
    code: "FAB-INSTANCE-TYPE-UNKNOWN",
    message: `no instance type "${name}"${near === undefined ? "" : `; the next one is ${near}`}`,
    remedy: "write e.g. fabric.c4.m16.d100, or cores, ram and disk in its place",
  });
});

const component = z.string().superRefine((name, ctx) => {
  if (Object.hasOwn(componentModels, name)) return;
  const remedy =
    name === "Storage" || name === "Storage_NAS"
      ? "storage has a name: write it under storage"
      : Object.hasOwn(cardModels, name)
        ? `a card with ports has a name: nics: { card1: "${name}" } (each node has a NIC_Basic anyway)`
        : `one of ${Object.keys(componentModels).join(", ")}; cards with ports go under nics`;
  refuse(ctx, { code: "FAB-COMPONENT-UNKNOWN", message: `no component "${name}"`, remedy });
});

const card = z.string().superRefine((name, ctx) => {
  if (Object.hasOwn(cardModels, name)) return;
  refuse(ctx, {
    code: "FAB-NIC-UNKNOWN",
    message: `no card "${name}"`,
    remedy: `one of ${Object.keys(cardModels).join(", ")}`,
  });
});

/** Characters that XML cannot carry, so GraphML cannot either. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const notXml = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

const bootScript = z.string().superRefine((text, ctx) => {
  const length = [...text].length;
  if (length >= bootScriptLimit) {
    refuse(ctx, {
      code: "FAB-BOOT-SCRIPT-TOO-LONG",
      message: `${length} characters, FABRIC takes at most ${bootScriptLimit - 1}`,
      remedy: "fetch the rest from within the script",
    });
  }
  if (notXml.test(text) || !text.isWellFormed()) {
    refuse(ctx, {
      code: "FAB-BOOT-SCRIPT-CHARACTER",
      message: "a control character that cannot be sent to FABRIC",
      remedy: "write the script with printable characters, tabs and line ends",
    });
  }
});

const userData = z
  .record(z.string(), z.json())
  .default({})
  .superRefine((data, ctx) => {
    for (const key of ["dynamos_fabric", "fablib_data"]) {
      if (Object.hasOwn(data, key)) {
        refuse(
          ctx,
          { code: "FAB-USER-DATA-KEY", message: `the key ${key} is taken`, remedy: "use another" },
          [key],
        );
      }
    }
    const length = JSON.stringify(data).length;
    if (length <= userDataRoom) return;
    refuse(ctx, {
      code: "FAB-USER-DATA-TOO-LARGE",
      message: `${length} characters of user data, there is room for ${userDataRoom}`,
      remedy: "FABRIC keeps 2048 with this library's mark; keep large data elsewhere",
    });
  });

const deviceName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, "a name has 1 to 63 letters, digits, dots or dashes");

const cards = z.record(deviceName, card).superRefine((nics, ctx) => {
  if (Object.keys(nics).length > 8) ctx.addIssue({ code: "custom", message: "at most 8 cards" });
});

const volumes = z.array(deviceName).max(8);

/** One node of a slice. */
export const nodeSpecSchema = z
  .strictObject({
    site: site.describe("FABRIC site, e.g. AMST"),
    cores: size("cores", largestNode.cores).optional().describe("Cores. Default 4"),
    ram: size("ram", largestNode.ram).optional().describe("Memory in GB. Default 16"),
    disk: size("disk", largestNode.disk).optional().describe("Disk in GB. Default 50"),
    instanceType: instanceType
      .exactOptional()
      .describe("In place of cores, ram and disk: one of FABRIC's sizes, e.g. fabric.c4.m16.d100"),
    image: z
      .string()
      .regex(/^[\w.-]+(,[\w.-]+)?$/, "an image's name, e.g. default_ubuntu_22")
      .default("default_ubuntu_22")
      .describe("FABRIC's name of the disk image"),
    host: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9.-]{1,252}$/, "a worker's name, e.g. amst-w1.fabric-testbed.net")
      .exactOptional()
      .describe(
        "The worker that the node shall run on, e.g. amst-w1.fabric-testbed.net. Default: FABRIC's choice",
      ),
    bootScript: bootScript
      .exactOptional()
      .describe("Run once, at the node's first start. Fewer than 1024 characters"),
    siteNetwork: z
      .boolean()
      .exactOptional()
      .describe(
        "Whether it is on its site's FABNetv4 network. false: it has no card for it, no address and no routes. Default true",
      ),
    components: z
      .array(component)
      .max(8)
      .default([])
      .describe("Devices by FABlib's model names, e.g. GPU_A30"),
    nics: cards
      .exactOptional()
      .describe(
        "Cards beside the NIC_Basic on the site's network: a name of your choice and FABlib's model, e.g. NIC_ConnectX_6",
      ),
    storage: volumes.exactOptional().describe("The site's storage volumes that the node mounts, by name"),
    userData: userData.describe("Kept with the node in FABRIC, as JSON"),
  })
  .superRefine((node, ctx) => {
    const flavour = node.instanceType === undefined ? undefined : flavourNamed(node.instanceType);
    if (flavour === undefined) return;
    const named = { cores: flavour.core, ram: flavour.ram, disk: flavour.disk };
    for (const unit of ["cores", "ram", "disk"] as const) {
      if (node[unit] === undefined || node[unit] === named[unit]) continue;
      refuse(
        ctx,
        {
          code: "FAB-INSTANCE-TYPE-SIZE",
          message: `${node[unit]} asked, ${node.instanceType} has ${named[unit]}`,
          remedy: "leave out the size, or the instance type",
        },
        [unit],
      );
    }
  })
  .transform(({ siteNetwork, ...node }): NodeSpec => {
    const flavour = node.instanceType === undefined ? undefined : flavourNamed(node.instanceType);
    return {
      ...node,
      cores: node.cores ?? flavour?.core ?? usualSize.cores,
      ram: node.ram ?? flavour?.ram ?? usualSize.ram,
      disk: node.disk ?? flavour?.disk ?? usualSize.disk,
      // Written only where it says something, so that slices of older versions show no difference.
      ...(siteNetwork === false ? { siteNetwork } : {}),
    };
  });

/** JSON, as `userData` holds it. */
type Json = z.output<ReturnType<typeof z.json>>;

/** A node as a person writes it, defaults left out. */
export type NodeSpecInput = z.input<typeof nodeSpecSchema>;

/** A node with its defaults. Sizes in GB. */
export interface NodeSpec {
  site: string;
  cores: number;
  ram: number;
  disk: number;
  image: string;
  /** Devices without ports, by FABlib's model names. */
  components: string[];
  userData: Record<string, Json>;
  /** It is on no FABNetv4 network of its site. */
  siteNetwork?: false;
  /** One of FABRIC's sizes; the three numbers are its own. */
  instanceType?: string;
  /** The worker it is pinned to. */
  host?: string;
  /** Run once, at the first start. */
  bootScript?: string;
  /** Cards by name, with FABlib's model; the one on the site's network is not among them. */
  nics?: Record<string, string>;
  /** Names of the volumes that it mounts. */
  storage?: string[];
}

const nodeName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{1,62}$/, "a node's name has 2 to 63 letters, digits, dots or dashes");

/** The nodes of a slice by name. */
export const nodesSpecSchema = z.record(nodeName, nodeSpecSchema).superRefine((nodes, ctx) => {
  if (Object.keys(nodes).length === 0)
    refuse(ctx, { code: "FAB-NO-NODES", message: "a slice needs at least one node", remedy: "add one" });
});
