import { isDeepStrictEqual } from "node:util";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { accessOf, clusterOf } from "../../cluster/access.js";
import { ApiServer } from "../../cluster/api-server.js";
import { hasUnknown } from "../../dynamic.js";
import { InfraError } from "../../problem.js";
import type { Properties } from "../plugin-values.js";
import { told } from "./objects.js";

const texts = ["kubeconfig", "context", "namespace", "clusterIdentifier"] as const;
const flags = ["deleteUnreachable", "enableConfigMapMutable", "enableSecretMutable", "enablePatchForce", "upsertExistingObjects"] as const; // biome-ignore format: one line
/** They change nothing here. */
const idle = /^(version|__internal|pluginDownloadURL|suppress\w+Warnings|enableServerSideApply)$/;

export type Config = Readonly<
  Partial<Record<(typeof texts)[number], string>> & Record<(typeof flags)[number], boolean>
>;

/** The cluster, or why there is none. */
export interface Connection {
  readonly config: Config;
  readonly namespace: string | undefined;
  readonly api?: ApiServer;
  readonly failure?: InfraError;
}

/** A provider's argument that is not built is told, not left out in silence. */
export function checkedConfig(given: Properties): proto.CheckFailure[] {
  const known: readonly string[] = [...texts, ...flags];
  const isKnown = (key: string): boolean =>
    known.includes(key) || (idle.test(key) && String(given[key]) !== "false");
  const reason = "K8S-NOT-BUILT  the stand-in for the kubernetes plugin has no such argument";
  const unknown = Object.keys(given).filter((key) => !isKnown(key));
  return unknown.map((key) => new proto.CheckFailure().setProperty(key).setReason(reason));
}

/** Another cluster means all objects anew. Source: pulumi-kubernetes, provider/pkg/provider/provider.go, `DiffConfig`. */
export function configDifference(old: Properties, wanted: Properties): proto.DiffResponse {
  const changed = Object.keys({ ...old, ...wanted }).filter(
    (key) => !isDeepStrictEqual(old[key], wanted[key]),
  );
  const response = new proto.DiffResponse().setChanges(changed.length > 0 ? 2 : 1).setDiffsList(changed);
  const { clusterIdentifier: identifier } = old;
  const which = changed.filter((key) =>
    identifier !== undefined && wanted.clusterIdentifier !== undefined
      ? key === "clusterIdentifier"
      : key === "kubeconfig" || key === "context",
  );
  const isAnother =
    which.includes("clusterIdentifier") ||
    which.some((key) => hasUnknown(wanted[key])) ||
    !isDeepStrictEqual(where(old), where(wanted));
  return response.setReplacesList(isAnother ? which : []);
}

function where({ kubeconfig, context }: Properties): unknown {
  try {
    return clusterOf(kubeconfig as string, context as string);
  } catch {
    return kubeconfig; // none that can be read: then its text
  }
}

/** With server-side apply for all. */
const oldest = 22;

/** @throws InfraError `K8S-OLD` */
export async function connect(given: Properties): Promise<Connection> {
  const set = flags.map((key) => [key, String(given[key]) === "true"]);
  const config = { ...given, ...Object.fromEntries(set) } as unknown as Config;
  let { namespace } = config;
  try {
    const access = await accessOf(config.kubeconfig, config.context);
    namespace ??= access.namespace;
    const api = new ApiServer(access);
    const { minor = "", gitVersion } = await api.version();
    if (Number.parseInt(minor, 10) >= oldest) return { config, namespace, api };
    const remedy = `use one of 1.${oldest} or newer`;
    throw new InfraError({ code: "K8S-OLD", message: `the cluster has Kubernetes ${gitVersion}`, remedy });
  } catch (error) {
    const failure = told(error, "the cluster");
    if (!(failure instanceof InfraError) || failure.code === "K8S-OLD") throw failure;
    return { config, namespace, failure };
  }
}
