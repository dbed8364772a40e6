/** A kind of object that this plugin knows. */
export interface Kind {
  readonly apiVersion: string;
  readonly kind: string;
  /** Its name in a path of the API. */
  readonly resource: string;
  readonly isNamespaced: boolean;
  /** Properties that cannot change in place, with all below them. Source: pulumi-kubernetes, provider/pkg/provider/diff.go. */
  readonly replacedBy: readonly string[];
}

const kind = (group: string, name: string, resource: string, replacedBy = ""): readonly [string, Kind] => [
  `kubernetes:${group}:${name}`,
  {
    apiVersion: group.replace(/^core\//, ""),
    kind: name,
    resource,
    isNamespaced: !["Namespace", "PersistentVolume"].includes(name),
    replacedBy: ["metadata.name", "metadata.namespace", ...replacedBy.split(" ").filter(Boolean)],
  },
];

const stateful = "podManagementPolicy revisionHistoryLimit selector serviceName volumeClaimTemplates";
const claim = "accessModes selector storageClassName volumeName";
const spec = (fields: string): string => fields.replaceAll(/\S+/g, "spec.$&");

/** `kubernetes:apps/v1:Deployment` and so on: what a marketplace is made of, and nothing else. */
export const kinds: ReadonlyMap<string, Kind> = new Map([
  kind("core/v1", "Namespace", "namespaces"),
  kind("core/v1", "ConfigMap", "configmaps", "data binaryData"),
  kind("core/v1", "Secret", "secrets", "type data"),
  kind("core/v1", "ServiceAccount", "serviceaccounts"),
  kind("core/v1", "Service", "services", spec("clusterIP")),
  kind("core/v1", "PersistentVolume", "persistentvolumes", spec("local hostPath nfs csi")),
  kind("core/v1", "PersistentVolumeClaim", "persistentvolumeclaims", spec(claim)),
  kind("apps/v1", "Deployment", "deployments", spec("selector")),
  kind("apps/v1", "StatefulSet", "statefulsets", spec(stateful)),
  kind("batch/v1", "Job", "jobs", spec("completions parallelism selector template")),
  kind("networking.k8s.io/v1", "Ingress", "ingresses"),
  kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
  kind("rbac.authorization.k8s.io/v1", "Role", "roles"),
  kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", "roleRef"),
]);

/** A collection's path: `/apis/apps/v1/namespaces/x/deployments`. */
export function pathOf({ apiVersion, resource, isNamespaced }: Kind, namespace = "default"): string {
  const root = apiVersion.includes("/") ? "/apis" : "/api";
  return `${root}/${apiVersion}${isNamespaced ? `/namespaces/${namespace}` : ""}/${resource}`;
}
