/** Asks a cluster what can be known before anything is changed. */
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { accessOf } from "../infra/cluster/access.js";
import { ApiServer, Refusal } from "../infra/cluster/api-server.js";
import { InfraError, type Problem } from "../infra/problem.js";
import { fileOf } from "./cluster.js";
import { type ClusterMarketInput, clusterOptionsOf, kubernetesOptionsOf } from "./cluster-plan.js";
import {
  clusterStateProblems,
  type SeenCluster,
  type SeenNode,
  type SeenRule,
} from "./kubernetes/cluster-checks.js";
import { allObjects, planKubernetes } from "./kubernetes/plan.js";
import { labelsOf } from "./kubernetes/pod.js";

/**
 * What is wrong with the existing cluster for this marketplace. A cluster that does not answer is a note: the engine says more when it comes to it.
 *
 * Codes: those of {@link clusterStateProblems}, CLU-KUBECONFIG, CLU-CONTEXT-UNKNOWN; notes K8S-NODE-UNWELL, K8S-NOT-ASKED.
 */
export async function existingClusterProblems(
  input: ClusterMarketInput,
): Promise<{ readonly problems: readonly Problem[]; readonly notes: readonly Problem[] }> {
  const { spec, placement, experiment, project } = input;
  const { context } = clusterOptionsOf(spec);
  const objects = allObjects(
    planKubernetes({ placement, options: kubernetesOptionsOf(input), documents: experiment.documents }),
  );
  const namespaces = [...new Set(objects.flatMap(({ metadata }) => metadata.namespace ?? []))];
  const file = kubeconfigFile(spec, project);
  try {
    const api = new ApiServer(await accessOf(file, context), { seconds: 5, retries: 0 });
    try {
      const seen = await lookAt(api, namespaces);
      const node = (host: string): string =>
        Object.entries(spec.nodes).find(([, one]) => one.host === host)?.[0] ?? host;
      return clusterStateProblems(objects, seen, (host) => `nodes.${node(host)}.host`);
    } finally {
      await api.close();
    }
  } catch (error) {
    const isUnreachable = error instanceof InfraError && error.code === "CLU-UNREACHABLE";
    if (error instanceof InfraError && !isUnreachable) return { problems: error.problems, notes: [] };
    const { code, message } = (isUnreachable ? error.problems[0] : error) as NodeJS.ErrnoException;
    const note = {
      code: "K8S-NOT-ASKED",
      path: "kubernetes",
      message: `the cluster was not asked what may be wrong: ${isUnreachable ? message : (code ?? message)}`,
      remedy: `see whether ${file} leads to it: kubectl get nodes`,
    };
    return { problems: [], notes: [note] };
  }
}

/** The kubeconfig of an existing cluster; the one that kubectl reads (the first, where `$KUBECONFIG` names several) unless the configuration names another. */
export function kubeconfigFile(spec: ClusterMarketInput["spec"], project: string): string {
  const { kubeconfig } = clusterOptionsOf(spec);
  if (kubeconfig !== undefined) return fileOf(kubeconfig, project);
  const named = (process.env.KUBECONFIG ?? "").split(delimiter).find((name) => name !== "");
  return named ?? join(homedir(), ".kube", "config");
}

async function lookAt(api: ApiServer, namespaces: readonly string[]): Promise<SeenCluster> {
  const { gitVersion: version } = await api.get<{ readonly gitVersion?: string }>("/version");
  const ours = Object.entries(labelsOf({ marketplace: "" }))[0]?.join("=") ?? "";
  const [nodes, volumes, classes, rules] = await Promise.all([
    allowed(api.get<List<Node>>("/api/v1/nodes")),
    allowed(api.get<List<Volume>>(`/api/v1/persistentvolumes?labelSelector=${encodeURIComponent(ours)}`)),
    allowed(api.get<List<Class>>("/apis/storage.k8s.io/v1/storageclasses")),
    Promise.all(namespaces.map(async (namespace) => [namespace, await rulesIn(api, namespace)] as const)),
  ]);
  return {
    version,
    nodes: nodes?.items.map(seenNode),
    volumes:
      volumes &&
      Object.fromEntries(
        volumes.items.map(({ metadata, spec }) => [
          metadata.name,
          spec.nodeAffinity?.required?.nodeSelectorTerms?.[0]?.matchExpressions?.[0]?.values?.[0] ?? "",
        ]),
      ),
    classes:
      classes &&
      Object.fromEntries(
        classes.items.map(({ metadata, volumeBindingMode = "Immediate" }) => [
          metadata.name,
          volumeBindingMode,
        ]),
      ),
    rules: Object.fromEntries(rules),
  };
}

interface List<T> {
  readonly items: readonly T[];
}
interface Node {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: { readonly unschedulable?: boolean };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message?: string;
    }[];
  };
}
interface Volume {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly nodeAffinity?: {
      readonly required?: {
        readonly nodeSelectorTerms?: readonly {
          readonly matchExpressions?: readonly { readonly values?: readonly string[] }[];
        }[];
      };
    };
  };
}
interface Class {
  readonly metadata: { readonly name: string };
  readonly volumeBindingMode?: string;
}

function seenNode({ metadata, spec, status }: Node): SeenNode {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  const unwell =
    spec?.unschedulable === true
      ? "it is cordoned"
      : ready === undefined || ready.status === "True"
        ? undefined
        : (ready.message ?? "it is not ready");
  return { name: metadata.name, hostname: metadata.labels?.["kubernetes.io/hostname"], unwell };
}

async function rulesIn(api: ApiServer, namespace: string): Promise<readonly SeenRule[] | undefined> {
  const review = await allowed(
    api.review<{
      readonly status: { readonly incomplete: boolean; readonly resourceRules: readonly SeenRule[] };
    }>("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectRulesReview",
      spec: { namespace },
    }),
  );
  // An authorizer that cannot list its rules may allow more than it says.
  return review?.status.incomplete === false ? review.status.resourceRules : undefined;
}

/** What may not be asked is not known, which is no fault: not all who deploy may see all. */
async function allowed<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Refusal && (error.status === 403 || error.status === 404)) return undefined;
    throw error;
  }
}
