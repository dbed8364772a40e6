/** Kubeconfig files. Pure. */
import { parse, stringify } from "yaml";
import { z } from "zod";
import { InfraError } from "../problem.js";

const named = <T extends z.ZodType>(key: string, value: T) =>
  z.array(z.looseObject({ name: z.string(), [key]: value }));
const kubeconfigSchema = z.looseObject({
  clusters: named("cluster", z.looseObject({ server: z.string() })),
  users: named("user", z.unknown()),
  contexts: named("context", z.looseObject({ cluster: z.string(), user: z.string() })),
  "current-context": z.string().optional(),
});

/**
 * The same kubeconfig with the API at another address, and its cluster, user and context named after the cluster.
 *
 * @param address an address or name, IPv6 without brackets
 * @throws InfraError CLU-KUBECONFIG
 */
export function reachedAt(text: string, name: string, address: string, port = 6443): string {
  const config = read(text);
  const { cluster, user } = chosen(config, undefined);
  const host = address.includes(":") ? `[${address}]` : address;
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { ...cluster, server: `https://${host}:${port}` } }],
    users: [{ name: `${name}-admin`, user }],
    contexts: [{ name, context: { cluster: name, user: `${name}-admin` } }],
    "current-context": name,
  });
}

/**
 * One context of a kubeconfig, with its cluster and user and nothing else.
 *
 * @param context default: the current one
 * @throws InfraError CLU-KUBECONFIG no kubeconfig; CLU-CONTEXT-UNKNOWN
 */
export function onlyContext(text: string, context: string | undefined): string {
  const { name, contextValue, cluster, user } = chosen(read(text), context);
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: contextValue.cluster, cluster }],
    users: [{ name: contextValue.user, user }],
    contexts: [{ name, context: contextValue }],
    "current-context": name,
  });
}

/**
 * A context of a kubeconfig's text, with its cluster and user.
 *
 * @param context default: the current one
 * @throws InfraError CLU-KUBECONFIG no kubeconfig; CLU-CONTEXT-UNKNOWN
 */
export const chosenIn = (text: string, context: string | undefined) => chosen(read(text), context);

function chosen(config: z.output<typeof kubeconfigSchema>, context: string | undefined) {
  const name = context ?? config["current-context"] ?? "";
  const found = config.contexts.find((c) => c.name === name)?.context as
    | { cluster: string; user: string }
    | undefined;
  const cluster = config.clusters.find((c) => c.name === found?.cluster)?.cluster as
    | Record<string, unknown>
    | undefined;
  const user = config.users.find((u) => u.name === found?.user)?.user;
  if (found === undefined || cluster === undefined || user === undefined) {
    const all = config.contexts.map((c) => c.name).join(", ");
    throw new InfraError({
      code: "CLU-CONTEXT-UNKNOWN",
      path: "context",
      message: `the kubeconfig has no context ${JSON.stringify(name)} with a cluster and a user`,
      remedy: all === "" ? "it has none at all" : `it has: ${all}`,
    });
  }
  return { name, contextValue: found, cluster, user };
}

function read(text: string): z.output<typeof kubeconfigSchema> {
  let value: unknown;
  try {
    value = parse(text);
  } catch {
    value = undefined; // what the parser says may quote a key
  }
  const parsed = kubeconfigSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new InfraError({
    code: "CLU-KUBECONFIG",
    path: "kubeconfig",
    message: "this is no kubeconfig",
    remedy: "give the text of a kubeconfig file, with clusters, users and contexts",
  });
}
