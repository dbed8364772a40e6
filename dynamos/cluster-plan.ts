/** What a marketplace on a cluster is, by the configuration object. Asks no cluster. */
import { readFileSync } from "node:fs";
import { InfraError, type Problem } from "../infra/problem.js";
import { TOKEN_DEFAULTS } from "../policy/contract/users.js";
import { fileOf, ON_CLUSTER } from "./cluster.js";
import { type ClusterOptions, kubernetesSchema } from "./cluster-options.js";
import type { Experiment } from "./experiment.js";
import { chosenImages } from "./images/chosen.js";
import type { KubernetesOptions } from "./kubernetes/options.js";
import { planKubernetes } from "./kubernetes/plan.js";
import type { Placement } from "./placement.js";
import type { UsersInput } from "./services.js";
import type { MarketplaceSpec } from "./spec.js";

/** What a marketplace on a cluster follows from. */
export interface ClusterMarketInput {
  readonly spec: MarketplaceSpec;
  readonly placement: Placement;
  readonly experiment: Experiment;
  /** The folder of Pulumi.yaml. */
  readonly project: string;
}

/** What the configuration object says of the cluster, with its defaults. */
export const clusterOptionsOf = ({ kubernetes }: Pick<MarketplaceSpec, "kubernetes">): ClusterOptions =>
  kubernetes ?? kubernetesSchema.parse({});

/** Whose tokens are taken; reads the file of the issuer's certificates. */
export function usersOf({ users }: Pick<MarketplaceSpec, "users">, project: string): UsersInput | undefined {
  if (users === undefined) return undefined;
  const { caFile, ...rest } = users;
  return {
    ...TOKEN_DEFAULTS,
    ...rest,
    ...(caFile === undefined ? {} : { ca: textOf("users.caFile", caFile, project) }),
  };
}

/**
 * The options of a marketplace's objects. Reads the image lock and looks at archives.
 *
 * @throws InfraError SPEC-FILE, and as {@link chosenImages}
 */
export function kubernetesOptionsOf({
  spec,
  placement,
  project,
}: Omit<ClusterMarketInput, "experiment">): KubernetesOptions {
  const { namespacePrefix, storageClass, ingressClass, ingressHost, gatewayNodePort, images } =
    clusterOptionsOf(spec);
  const users = usersOf(spec, project);
  if (users === undefined)
    throw new RangeError("a cluster's specification without an issuer has not been checked");
  const given = { namespacePrefix, storageClass, ingressClass, ingressHost, gatewayNodePort };
  const named = Object.entries(spec.nodes).map(([name, { host }]) => [name, host ?? name]);
  return {
    ...(Object.fromEntries(
      Object.entries(given).filter(([, value]) => value !== undefined),
    ) as Partial<KubernetesOptions>),
    // The nodes of a cluster that Kubespray made are called as the specification calls them.
    ...(spec.target === "kubernetes" ? { hosts: Object.fromEntries(named) } : {}),
    dataFolders: dataFoldersOf(placement),
    users,
    images: chosenImages({ project, experiment: spec.experiment, images }),
  };
}

const dataFoldersOf = ({ agents }: Placement): Record<string, string> =>
  Object.fromEntries(agents.flatMap(({ party, data }) => (data === undefined ? [] : [[party, data]])));

/** A file that the configuration object names. @throws InfraError SPEC-FILE */
export function textOf(path: string, file: string, project: string): string {
  try {
    return readFileSync(fileOf(file, project), "utf8");
  } catch (error) {
    const message = `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`;
    throw new InfraError({
      code: "SPEC-FILE",
      path,
      message,
      remedy: "name a file, relative to Pulumi.yaml or from ~",
    });
  }
}

/**
 * What is wrong with the images and objects of a checked specification, before a cluster is asked. Reads the image lock, archives and files.
 *
 * Codes: those of {@link chosenImages} and {@link planKubernetes}, SPEC-FILE.
 */
export function objectProblems(input: ClusterMarketInput): Problem[] {
  if (!ON_CLUSTER.includes(input.spec.target)) return [];
  const { placement, experiment } = input;
  try {
    planKubernetes({ placement, options: kubernetesOptionsOf(input), documents: experiment.documents });
    return [];
  } catch (error) {
    if (error instanceof InfraError) return [...error.problems];
    throw error;
  }
}
