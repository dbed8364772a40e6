import type { KubeObject } from "./objects.js";
import type { Place } from "./place.js";
import { metadataOf } from "./workload.js";

/** The account that jobs run under: nothing may be asked with it. */
export const JOB_ACCOUNT = "microservice";

/** An agent's account: Jobs of its own namespace, and what tells why one does not start. Nothing of the cluster or of others. */
export function agentAccess(account: string, place: Place): readonly KubeObject[] {
  const metadata = metadataOf(account, place);
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata, automountServiceAccountToken: false },
    {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: metadataOf(JOB_ACCOUNT, place),
      automountServiceAccountToken: false,
    },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "Role",
      metadata,
      rules: [
        { apiGroups: ["batch"], resources: ["jobs"], verbs: ["create", "get", "list", "delete"] },
        { apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"] },
        { apiGroups: [""], resources: ["events"], verbs: ["list", "watch"] },
      ],
    },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata,
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: account },
      subjects: [{ kind: "ServiceAccount", name: account, namespace: place.namespace }],
    },
  ];
}
