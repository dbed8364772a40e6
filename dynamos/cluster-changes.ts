/** What an `up` would change in the documents of a marketplace on a cluster, in words. */
import { KubeApi } from "../infra/cluster/kube-api.js";
import { documentChanges } from "./document-changes.js";
import type { ExperimentDocument } from "./experiment.js";
import { DOCUMENT_KEY } from "./kubernetes/documents-plan.js";
import { labelsOf } from "./kubernetes/pod.js";

/**
 * A line a document that came (`+`), went (`-`) or differs (`~`), below the last its differences. Empty where nothing changes, and where there is no
 * marketplace yet. Compared is with what was deployed last.
 *
 * @param kubeconfig its text
 * @param namespace of the core
 * @throws as {@link KubeApi}
 */
export async function documentsToChange(
  kubeconfig: string,
  namespace: string,
  documents: readonly ExperimentDocument[],
): Promise<readonly string[]> {
  const api = await KubeApi.open(kubeconfig, ".");
  try {
    const ours = Object.entries(labelsOf({ marketplace: "" }))[0]?.join("=") ?? "";
    const { items } = await api.get<{
      readonly items: readonly { readonly data?: Readonly<Record<string, string>> }[];
    }>(`/api/v1/namespaces/${namespace}/configmaps?labelSelector=${encodeURIComponent(ours)}`);
    const deployed = new Map<string, unknown>(
      items.flatMap(({ data = {} }) =>
        Object.entries(data).flatMap(([key, text]) => {
          const [, kind, name = ""] = DOCUMENT_KEY.exec(key) ?? [];
          if (kind === undefined) return [];
          return [
            [`${kind} ${name}`, (JSON.parse(text) as { readonly document: unknown }).document] as const,
          ];
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
  } finally {
    await api.close();
  }
}
