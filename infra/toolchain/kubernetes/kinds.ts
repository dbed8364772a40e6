/** A Kubernetes object as JSON. What is asked of it is asked by path, as a server of any version may send more. */
export interface Live {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: Meta;
  readonly spec?: Json;
  readonly status?: Json;
  readonly [field: string]: unknown;
}
export type Json = Readonly<Record<string, unknown>>;

/** Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/ */
export interface Meta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly finalizers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly managedFields?: readonly { readonly manager?: string; readonly operation?: string }[];
}

/** A kind of object that this plugin knows. */
export interface Kind {
  readonly apiVersion: string;
  readonly kind: string;
  /** Its name in a path of the API. */
  readonly resource: string;
  readonly isNamespaced: boolean;
  /** Properties that cannot change in place; what is below them neither. Source: pulumi-kubernetes, provider/pkg/provider/diff.go. */
  readonly replacedBy: readonly string[];
}

const kind = (
  group: string,
  name: string,
  resource: string,
  replacedBy: readonly string[] = [],
  isNamespaced = true,
): readonly [string, Kind] => [
  `kubernetes:${group}:${name}`,
  {
    apiVersion: group.replace(/^core\//, ""),
    kind: name,
    resource,
    isNamespaced,
    replacedBy: ["metadata.name", "metadata.namespace", ...replacedBy],
  },
];

/** `kubernetes:apps/v1:Deployment` and so on: what a marketplace is made of, and nothing else. */
export const kinds: ReadonlyMap<string, Kind> = new Map([
  kind("core/v1", "Namespace", "namespaces", [], false),
  kind("core/v1", "ConfigMap", "configmaps", ["data", "binaryData"]),
  kind("core/v1", "Secret", "secrets", ["type", "data", "stringData"]),
  kind("core/v1", "ServiceAccount", "serviceaccounts"),
  kind("core/v1", "Service", "services", ["spec.clusterIP"]),
  kind("core/v1", "PersistentVolume", "persistentvolumes", ["spec.local", "spec.hostPath", "spec.nfs", "spec.csi"], false), // biome-ignore format: one line
  kind("core/v1", "PersistentVolumeClaim", "persistentvolumeclaims", ["spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName"]), // biome-ignore format: one line
  kind("apps/v1", "Deployment", "deployments", ["spec.selector"]),
  kind("apps/v1", "StatefulSet", "statefulsets", [
    "spec.podManagementPolicy",
    "spec.revisionHistoryLimit",
    "spec.selector",
    "spec.serviceName",
    "spec.volumeClaimTemplates",
  ]),
  kind("batch/v1", "Job", "jobs", ["spec.completions", "spec.parallelism", "spec.selector", "spec.template"]),
  kind("networking.k8s.io/v1", "Ingress", "ingresses"),
  kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
  kind("rbac.authorization.k8s.io/v1", "Role", "roles"),
  kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", ["roleRef"]),
]);

/** A collection's path: `/apis/apps/v1/namespaces/x/deployments`. */
export function pathOf({ apiVersion, resource, isNamespaced }: Kind, namespace = "default"): string {
  const root = apiVersion.includes("/") ? "/apis" : "/api";
  return `${root}/${apiVersion}${isNamespaced ? `/namespaces/${namespace}` : ""}/${resource}`;
}

/** `Deployment x/agent`, as messages name it. */
export const titleOf = (kind: string, { name, namespace }: Pick<Meta, "name" | "namespace">): string =>
  `${kind} ${namespace === undefined ? "" : `${namespace}/`}${name}`;

/** A value by its path: `at(pod, "status", "phase")`. */
export function at<T>(value: unknown, ...path: readonly (string | number)[]): T | undefined {
  let found = value;
  for (const step of path) found = (found as Readonly<Record<string | number, unknown>> | undefined)?.[step];
  return (found ?? undefined) as T | undefined;
}
