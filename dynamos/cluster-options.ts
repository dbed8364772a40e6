/** What the configuration object says of a cluster: how it is made, and how the marketplace is put on it. */
import { z } from "zod";
import { kubesprayOptionsSchema } from "../infra/cluster/spec.js";
import { IMAGE_NAMES } from "./images/names.js";

const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const className = z.string().regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, "the name of a class");

const referenceSchema = z
  .strictObject({
    image: z.string().min(1).describe("Its reference, e.g. ghcr.io/me/gateway:1."),
    digest: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/, "sha256: and 64 hexadecimal digits")
      .optional()
      .describe("What says that it is another image. Default: the archive's, else the reference."),
    archive: z
      .string()
      .min(1)
      .optional()
      .describe("Its OCI archive, relative to Pulumi.yaml, where images come from archives."),
  })
  .describe("One image.");

const imagesSchema = z
  .strictObject({
    from: z
      .enum(["registry", "archive"])
      .default("registry")
      .describe("registry: nodes pull them. archive: `up` copies them to the nodes that run them."),
    references: z
      .partialRecord(z.enum(IMAGE_NAMES), referenceSchema)
      .default({})
      .describe(
        "Images by name, in place of those of images.lock.json; broker and store are public ones unless named here.",
      ),
    ctr: z
      .string()
      .regex(/^\/?[\w./-]+$/, "a program's name or path")
      .default("ctr")
      .describe("containerd's program on the nodes, for archives."),
    socket: z
      .string()
      .regex(/^\/[\w./-]+$/, "a path")
      .optional()
      .describe("containerd's socket on the nodes. Default: containerd's own."),
  })
  .describe("Where the images come from.");

/** How the marketplace is put on the cluster, for the targets fabric, hosts and kubernetes. */
export const kubernetesSchema = z
  .strictObject({
    context: z
      .string()
      .min(1)
      .optional()
      .describe("Context of the kubeconfig file. Default: its current one. For target kubernetes."),
    kubeconfig: z
      .string()
      .min(1)
      .optional()
      .describe(
        "The file, relative to Pulumi.yaml or from ~. Default: the one that kubectl reads. For target kubernetes.",
      ),
    address: z
      .string()
      .min(1)
      .optional()
      .describe("An address by which the core's node is reached, for gatewayUrl. Default: its own."),
    namespacePrefix: z.string().optional().describe("What namespaces begin with. Default: dynamos-."),
    storageClass: className
      .optional()
      .describe("The cluster's class for volumes. Default: folders of the nodes."),
    ingressClass: className
      .optional()
      .describe("The gateway is reached by an Ingress of that class. Default: a port of every node."),
    ingressHost: z.string().min(1).optional().describe("The Ingress's host name. Default: every name."),
    gatewayNodePort: z
      .int()
      .min(30_000)
      .max(32_767)
      .optional()
      .describe("The gateway's port on every node, where no Ingress leads to it. Default: 30080."),
    images: imagesSchema.prefault({}),
  })
  .describe("How the marketplace is put on a cluster. For the targets fabric, hosts and kubernetes.");
export type ClusterOptions = z.output<typeof kubernetesSchema>;

/** How Kubespray makes the cluster, for the targets fabric and hosts. */
export const clusterSchema = kubesprayOptionsSchema.describe(
  "How Kubespray makes the cluster, for the targets fabric and hosts: its version and source, Kubernetes' version, the network plugin, variables, tools, deadlines.",
);

/** As Kubernetes takes the name of a node (a DNS subdomain). */
export const isNodeName = (name: string): boolean =>
  name.length <= 253 && name.split(".").every((part) => dnsLabel.test(part));
