import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { InfraError } from "../problem.js";
import { type Cluster, type ClusterNode, providerOf } from "./cluster.js";
import { onlyContext } from "./kubeconfig.js";
import { loadKubernetes } from "./peer.js";

export interface ExistingClusterArgs {
  /** The text of a kubeconfig. Default: the file that kubectl reads (`$KUBECONFIG`, else `~/.kube/config`), on this machine. */
  readonly kubeconfig?: pulumi.Input<string>;
  /** One of its contexts. Default: the current one. */
  readonly context?: pulumi.Input<string>;
  /** Nodes of the cluster that this stack uses, by their names in Kubernetes, and the labels it sets on them. */
  readonly nodes?: Readonly<Record<string, { readonly labels?: Readonly<Record<string, string>> }>>;
}

/**
 * A cluster that is there already. Nothing of it is changed but the labels that are asked for.
 *
 * Errors: CLU-KUBECONFIG, CLU-CONTEXT-UNKNOWN.
 *
 * @example
 * ```ts
 * const cluster = new ExistingCluster("consortium", { context: "consortium", nodes: { "worker-2": {} } });
 * ```
 */
export class ExistingCluster extends pulumi.ComponentResource implements Cluster {
  readonly kubeconfig: pulumi.Output<string>;
  readonly nodes: pulumi.Output<readonly ClusterNode[]>;
  readonly #name: string;
  #provider: pulumi.ProviderResource | undefined;

  constructor(name: string, args: ExistingClusterArgs = {}, options?: pulumi.ComponentResourceOptions) {
    super("dynamos-fabric:cluster:ExistingCluster", name, {}, options);
    this.#name = name;
    this.kubeconfig = pulumi.secret(
      pulumi
        .all([args.kubeconfig, args.context])
        .apply(async ([text, context]) => onlyContext(text ?? (await ownKubeconfig()), context)),
    );
    const nodes = Object.entries(args.nodes ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
    this.nodes = pulumi.output(nodes.map(([node, { labels = {} }]) => ({ name: node, labels })));
    for (const [node, { labels = {} }] of nodes) {
      if (Object.keys(labels).length === 0) continue;
      const { NodePatch } = loadKubernetes().core.v1;
      new NodePatch(
        `${name}-${node}`,
        { metadata: { name: node, labels } },
        { parent: this, provider: this.provider },
      );
    }
    this.registerOutputs({ kubeconfig: this.kubeconfig, nodes: this.nodes });
  }

  get provider(): pulumi.ProviderResource {
    this.#provider ??= providerOf(this, this.#name);
    return this.#provider;
  }
}

/** The file that kubectl would read; the first, where `$KUBECONFIG` names several. */
async function ownKubeconfig(): Promise<string> {
  const named = (process.env.KUBECONFIG ?? "").split(delimiter).find((file) => file !== "");
  const file = named ?? join(homedir(), ".kube", "config");
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new InfraError(
      {
        code: "CLU-KUBECONFIG",
        file,
        message: `cannot be read: ${(error as Error).message}`,
        remedy: "set KUBECONFIG, or give `kubeconfig`",
      },
      { cause: error },
    );
  }
}
