import { isDeepStrictEqual } from "node:util";
import * as proto from "@pulumi/pulumi/proto/provider_pb";
import { hasUnknown } from "../../dynamic.js";
import { InfraError } from "../../problem.js";
import type { Properties } from "../plugin-values.js";
import { Api, unreachable } from "./api.js";
import { changesOf } from "./diff.js";
import { at } from "./kinds.js";
import { accessOf } from "./kubeconfig.js";

/** The provider's arguments that are built; what is not a text comes as JSON. */
const texts = ["kubeconfig", "context", "cluster", "namespace", "clusterIdentifier"] as const;
const flags = ["deleteUnreachable", "enableConfigMapMutable", "enableSecretMutable", "enablePatchForce", "upsertExistingObjects"] as const; // biome-ignore format: one line
const idle = ["version", "__internal", "suppressDeprecationWarnings", "suppressHelmHookWarnings", "enableServerSideApply", "pluginDownloadURL"]; // biome-ignore format: one line

export type Config = Readonly<
  Partial<Record<(typeof texts)[number], string>> & Record<(typeof flags)[number], boolean>
>;

/** The cluster, or why there is none. */
export interface Connection {
  readonly config: Config;
  readonly namespace: string | undefined;
  readonly api?: Api;
  readonly problem?: InfraError;
}

/** What is not built is told, not left out in silence. */
export function checkedConfig(given: Properties): proto.CheckFailure[] {
  const known: readonly string[] = [...texts, ...flags, ...idle];
  const unknown = Object.keys(given).filter((key) => !known.includes(key));
  if (String(given.enableServerSideApply) === "false") unknown.push("enableServerSideApply");
  return unknown.map((key) =>
    new proto.CheckFailure()
      .setProperty(key)
      .setReason("K8S-NOT-BUILT  the stand-in for the kubernetes plugin has no such argument"),
  );
}

/** Another cluster means all objects anew. Source: pulumi-kubernetes, provider/pkg/provider/provider.go, `DiffConfig`. */
export function configDifference(old: Properties, wanted: Properties): proto.DiffResponse {
  const changed = new Set([...changesOf(old, wanted).keys()].map((path) => path.replace(/[.[].*/, "")));
  const response = new proto.DiffResponse().setChanges(changed.size > 0 ? 2 : 1).setDiffsList([...changed]);
  const { clusterIdentifier: identifier } = wanted;
  if (identifier !== undefined && old.clusterIdentifier !== undefined)
    return response.setReplacesList(changed.has("clusterIdentifier") ? ["clusterIdentifier"] : []);
  const which = ["kubeconfig", "context", "cluster"].filter((key) => changed.has(key));
  if (which.length === 0) return response;
  const isAnother =
    which.some((key) => hasUnknown(wanted[key])) || !isDeepStrictEqual(clusterOf(old), clusterOf(wanted));
  return response.setReplacesList(isAnother ? which : []);
}

function clusterOf(config: Properties): unknown {
  try {
    const { server, tls } = accessOf(config);
    return { server, ca: tls.ca };
  } catch {
    return config.kubeconfig; // none that can be read: then its text
  }
}

const oldest = 22;

/** Server-side apply is there for all since Kubernetes 1.22. @throws InfraError `K8S-OLD` */
export async function connect(given: Properties): Promise<Connection> {
  const isOn = (key: string): boolean => String(given[key]) === "true";
  const config = {
    ...given,
    ...Object.fromEntries(flags.map((key) => [key, isOn(key)])),
  } as unknown as Config;
  let namespace = config.namespace;
  try {
    const access = accessOf(config);
    namespace ??= access.namespace;
    const api = new Api(access);
    const { object } = await api.call("GET", "/version");
    const minor = Number.parseInt(at<string>(object, "minor") ?? "", 10);
    if (minor < oldest)
      throw new InfraError({ code: "K8S-OLD", message: `the cluster has Kubernetes ${object.gitVersion}`, remedy: `1.${oldest} or newer is needed` }); // biome-ignore format: one line
    return { config, namespace, api };
  } catch (error) {
    if (error instanceof InfraError && error.code === "K8S-OLD") throw error;
    const problem = error instanceof InfraError ? error : unreachable(error instanceof Error ? error.message : String(error)); // biome-ignore format: one line
    return { config, namespace, problem };
  }
}
