/** What an `up` would change in the documents of a marketplace on a cluster, in words. */
import * as pulumi from "@pulumi/pulumi";
import { accessOf } from "../infra/cluster/access.js";
import { ApiServer } from "../infra/cluster/api-server.js";
import { kubeconfigFile } from "./cluster-look.js";
import { type ClusterMarketInput, clusterOptionsOf } from "./cluster-plan.js";
import { documentChanges } from "./document-changes.js";
import type { ExperimentDocument } from "./experiment.js";
import { DOCUMENT_KEY } from "./kubernetes/documents-plan.js";
import { coreNamespace } from "./kubernetes/names.js";
import { DEFAULT_PREFIX } from "./kubernetes/options.js";
import { labelsOf } from "./kubernetes/pod.js";

/**
 * A line a document that came (`+`), went (`-`) or differs (`~`), below the last its differences. Empty where nothing changes, and where there is no
 * marketplace yet. Compared is with what was deployed last.
 *
 * @param namespace of the core
 * @throws as {@link ApiServer}
 */
export async function documentsToChange(
  api: Pick<ApiServer, "get">,
  namespace: string,
  documents: readonly ExperimentDocument[],
): Promise<readonly string[]> {
  const ours = Object.entries(labelsOf({ marketplace: "" }))[0]?.join("=") ?? "";
  const { items } = await api.get<{
    readonly items: readonly { readonly data?: Readonly<Record<string, string>> }[];
  }>(`/api/v1/namespaces/${namespace}/configmaps?labelSelector=${encodeURIComponent(ours)}`);
  const deployed = new Map<string, unknown>(
    items.flatMap(({ data = {} }) =>
      Object.entries(data).flatMap(([key, text]) => {
        const [, kind, name = ""] = DOCUMENT_KEY.exec(key) ?? [];
        if (kind === undefined) return [];
        return [[`${kind} ${name}`, (JSON.parse(text) as { readonly document: unknown }).document] as const];
      }),
    ),
  );
  if (deployed.size === 0) return [];
  const wanted = new Set(documents.map(({ kind, name }) => `${kind} ${name}`));
  return [
    ...documents.flatMap(({ kind, name, value }) => {
      const id = `${kind} ${name}`;
      if (!deployed.has(id)) return [`+ ${id}`];
      const changes = documentChanges(deployed.get(id), value);
      return changes.length === 0 ? [] : [`~ ${id}`, ...changes.map((line) => `    ${line}`)];
    }),
    ...[...deployed.keys()].filter((id) => !wanted.has(id)).map((id) => `- ${id}`),
  ];
}

/**
 * At a preview: says which documents an `up` would change, and what in them. The engine shows texts that differ; this is in the documents' own words.
 *
 * @param made the kubeconfig of a cluster that the stack makes; of an existing one it is a file
 */
export function tellChanges(input: ClusterMarketInput, made: pulumi.Output<string> | undefined): void {
  const { spec, experiment, project } = input;
  const { namespacePrefix = DEFAULT_PREFIX, context } = clusterOptionsOf(spec);
  const tell = async (api: ApiServer): Promise<void> => {
    try {
      const changes = await documentsToChange(api, coreNamespace(namespacePrefix), experiment.documents);
      if (changes.length > 0) await pulumi.log.info(`documents that change:\n${changes.join("\n")}`);
    } finally {
      await api.close();
    }
  };
  const file = kubeconfigFile(spec, project);
  pulumi.output(made).apply(async (text) => {
    try {
      const access = await (text === undefined ? accessOf(file, context) : accessOf(text));
      await tell(new ApiServer(access, { seconds: 5, retries: 0 }));
    } catch {
      // A cluster that does not answer is told of elsewhere; a marketplace that is not there yet has no documents.
    }
  });
}
