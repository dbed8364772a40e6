import type { UsersInput } from "../services.js";

/** How a marketplace is put on a cluster. Plain values: they decide which objects there are. */
export interface KubernetesOptions {
  /**
   * What all its namespaces begin with: `<prefix>core`, and `<prefix><party>` for each party. 1 to 20 lower case letters, digits and `-`.
   * @default `dynamos-`
   */
  readonly namespacePrefix?: string;
  /**
   * The class that makes volumes on a pod's own node (`volumeBindingMode: WaitForFirstConsumer`).
   * @default none: volumes of our own, in folders below `/var/lib/dynamos-fabric` of the node, which must be there
   */
  readonly storageClass?: string;
  /**
   * The class of the Ingress by which the gateway is reached.
   * @default none: a NodePort of the gateway's own
   */
  readonly ingressClass?: string;
  /**
   * The gateway's port on every node, where no Ingress leads to it. Two marketplaces of one cluster need two.
   * @default 30080
   */
  readonly gatewayNodePort?: number;
  /** The Ingress's host name. @default every name */
  readonly ingressHost?: string;
  /** The Kubernetes node of each of our nodes, where its name is another: `{ core: "worker-2" }`. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** By party: the folder on its node with its data, where it is not one of ours. It becomes the party's volume whatever the storage class. */
  readonly dataFolders?: Readonly<Record<string, string>>;
  /** Whose tokens the gateway takes: an OpenID Connect issuer. The development issuer of a local stack believes everybody, and runs on no cluster. */
  readonly users: UsersInput;
  /** The images, by name (`gateway`, `agent`, ...; `dynamos-fabric images` writes them down). */
  readonly images: Images;
}

/** Where the images come from. */
export interface Images {
  /** By the image's name: a reference, its digest, which changes whenever the image does, and where it has one its archive on this machine. */
  readonly references: Readonly<
    Record<string, { readonly image: string; readonly digest: string; readonly archive?: string }>
  >;
  /** `registry`: nodes pull them. `archive`: they are put on the nodes from OCI archives, and are never pulled. */
  readonly from: "registry" | "archive";
  /** Whether the registry wants a pull secret, which then is given to the components as `pullSecret`. @default false */
  readonly pullSecret?: boolean;
}

export const DEFAULT_PREFIX = "dynamos-";
/** The paper's. Kubernetes gives NodePorts from 30000 to 32767. */
export const GATEWAY_NODE_PORT = 30080;
/** Where volumes of our own lie on their node. */
export const NODE_FOLDER = "/var/lib/dynamos-fabric";
/** Public images that are not ours. Pinned by version; a digest pins them wholly. */
export const PUBLIC_IMAGES: Readonly<Record<string, string>> = {
  broker: "docker.io/library/rabbitmq:3.13-management",
  store: "quay.io/coreos/etcd:v3.5.21",
};
