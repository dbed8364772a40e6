import * as pulumi from "@pulumi/pulumi";
import type { ClusterHostArgs } from "../../infra/cluster/kubespray-args.js";
import { NodeFiles } from "../../infra/cluster/node-files.js";
import type { NodeFolder } from "../../infra/cluster/node-folder.js";
import { nodeFolders } from "../../infra/cluster/node-folders.js";
import { nodeImage } from "../../infra/cluster/node-image.js";
import { targetOf } from "../../infra/cluster/remote-step.js";
import { IMAGE_USER } from "../../policy/contract/images.js";
import type { KubeObject } from "./objects.js";
import type { Images } from "./options.js";
import { foldersByNode, imagesByNode } from "./plan.js";

/** What {@link NodeNeeds} are made of. */
export interface NodeNeedsArgs {
  /** Logins of the cluster's nodes, by their names in Kubernetes. */
  readonly hosts: Readonly<Record<string, ClusterHostArgs>>;
  /** All objects of the marketplace: who runs what where follows from them. */
  readonly objects: readonly KubeObject[];
  readonly images: Images;
  /** The parties' data (`stewardFolders`). @default their folders stay empty */
  readonly data?: readonly NodeFolder[];
  /** containerd on the nodes. @default `ctr`, and containerd's own socket */
  readonly containerd?: { readonly ctr?: string; readonly socket?: string };
  /** What must be there first: the cluster. @default nothing */
  readonly after?: readonly pulumi.Resource[];
}

/**
 * What the nodes of a cluster need before a marketplace's pods can run there, given over SSH: the folders of volumes, each party's data on its own, and
 * images from archives, each on the nodes that run it and on no other. Nothing where a storage class makes volumes and a registry has the images.
 */
export class NodeNeeds extends pulumi.ComponentResource {
  /** What is there when the nodes have all of it. */
  readonly ready: readonly pulumi.Resource[];

  constructor(name: string, args: NodeNeedsArgs, options?: pulumi.ComponentResourceOptions) {
    super("dynamos-fabric:dynamos:NodeNeeds", name, {}, options);
    const { hosts, objects, images, data = [], containerd, after = [] } = args;
    const common = { parent: this, dependsOn: [...after] };
    const archives = Object.entries(images.references).flatMap(([short, { image, digest, archive }]) =>
      archive === undefined ? [] : [{ short, image, digest, archive }],
    );
    const [folders, wanted] = [foldersByNode(objects), imagesByNode(objects)];
    const given = Object.entries(hosts).flatMap(([host, login]) => {
      const on = targetOf(host, login);
      const filled = data.filter(({ node }) => node === host).map(({ folder }) => folder);
      const own = (folders[host] ?? []).filter((folder) => !filled.includes(folder));
      return [
        ...(own.length === 0
          ? []
          : [nodeFolders(`${name}-${host}-folders`, { on, folders: own, owner: IMAGE_USER }, common)]),
        ...archives
          .filter(({ image }) => wanted[host]?.includes(image))
          .map(({ short, ...image }) =>
            nodeImage(`${name}-${host}-${short}`, { on, ...image, ...containerd }, common),
          ),
      ];
    });
    const files = new NodeFiles(name, { hosts, folders: data, owner: IMAGE_USER }, { parent: this });
    this.ready = [...given, ...files.placed];
    this.registerOutputs({});
  }
}
