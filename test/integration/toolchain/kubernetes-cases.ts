/**
 * What the kubernetes plugin of `@pulumi/kubernetes` 4 does, as a table. Each case says where that is written. It runs against our stand-in, and against the
 * official plugin when DYNAMOS_FABRIC_KUBERNETES_PLUGIN names its program.
 */

const provider = "https://github.com/pulumi/pulumi-kubernetes/blob/v4.32.0/provider/pkg";
/** Where a fact is from; facts only. */
export const sources = {
  diff: `${provider}/provider/diff.go (forceNewProperties)`,
  provider: `${provider}/provider/provider.go`,
  naming: `${provider}/metadata/naming.go`,
  overrides: `${provider}/metadata/overrides.go`,
  registry: "https://www.pulumi.com/registry/packages/kubernetes/api-docs/provider/",
  serverSide:
    "https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply/",
  await:
    "https://www.pulumi.com/registry/packages/kubernetes/api-docs/ (each kind: This resource waits until)",
} as const;

type Args = Readonly<Record<string, unknown>>;
export interface Case {
  readonly says: string;
  readonly source: string;
  /** As in `@pulumi/kubernetes`: `core.v1.ConfigMap`. */
  readonly type: string;
  /** Without `metadata.namespace`; `{ $secret }` is a secret. NAME is the case's own name. */
  readonly first: Args;
  /** Default: as first. */
  readonly next?: Args;
  /** What a preview of `next` says. Default `same`. `replace` deletes the old object first, `replace-later` after. */
  readonly step?: "same" | "update" | "replace" | "replace-later";
  readonly options?: Args;
  /** The stand-in's own: left out with the official plugin. */
  readonly differs?: string;
}

const named = (more: Args = {}): Args => ({ metadata: { name: "NAME" }, ...more });
/** Pods of a node that the test plays. */
export const template = (labels: Args, container: Args = {}, spec: Args = {}): Args => ({
  metadata: { labels },
  spec: {
    nodeName: "worker-2",
    containers: [{ name: "microservice", image: "r/x:1", ...container }],
    ...spec,
  },
});
const workload = (container: Args = {}, spec: Args = {}): Args =>
  named({
    spec: {
      selector: { matchLabels: { app: "NAME" } },
      template: template({ app: "NAME" }, container),
      ...spec,
    },
  });
const job = (container: Args = {}, spec: Args = {}): Args =>
  named({ spec: { template: template({ app: "NAME" }, container, { restartPolicy: "Never" }), ...spec } });
const port = { name: "http", port: 80 };
const role = (verbs: readonly string[]): Args =>
  named({ rules: [{ apiGroups: [""], resources: ["pods"], verbs }] });
const binding = (name: string): Args =>
  named({
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
    subjects: [{ kind: "ServiceAccount", name: "default" }],
  });
const policy = (app: string): Args =>
  named({ spec: { podSelector: { matchLabels: { app } }, policyTypes: ["Ingress"] } });
const ingress = (path: string): Args => ({
  metadata: { name: "NAME", annotations: { "pulumi.com/skipAwait": "true" } },
  spec: {
    rules: [
      {
        http: {
          paths: [{ path, pathType: "Prefix", backend: { service: { name: "x", port: { number: 80 } } } }],
        },
      },
    ],
  },
});
const claim = (storageClassName: string, size = "1Mi"): Args => ({
  metadata: { name: "NAME", annotations: { "pulumi.com/skipAwait": "true" } },
  spec: { storageClassName, accessModes: ["ReadWriteOnce"], resources: { requests: { storage: size } } },
});
const volume = (path: string): Args =>
  named({
    spec: {
      capacity: { storage: "1Mi" },
      accessModes: ["ReadWriteOnce"],
      storageClassName: "none",
      local: { path },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: ["worker-2"] }] },
          ],
        },
      },
    },
  });

export const cases: readonly Case[] = [
  {
    says: "leaves an object alone whose inputs are the same",
    source: sources.provider,
    type: "core.v1.ServiceAccount",
    first: named({ automountServiceAccountToken: false }),
  },
  {
    says: "replaces a ConfigMap whose data changes, the old one first as it has the same name",
    source: `${sources.diff}; ${sources.registry} (enableConfigMapMutable)`,
    type: "core.v1.ConfigMap",
    first: named({ data: { a: "1", "b.json": "{}" } }),
    next: named({ data: { a: "2", "b.json": "{}" } }),
    step: "replace",
  },
  {
    says: "changes a ConfigMap's labels in place",
    source: sources.diff,
    type: "core.v1.ConfigMap",
    first: named({ data: { a: "1" } }),
    next: { metadata: { name: "NAME", labels: { "a/b": "c" } }, data: { a: "1" } },
    step: "update",
  },
  {
    says: "replaces a Secret whose text changes",
    source: `${sources.diff}; ${sources.registry} (enableSecretMutable)`,
    type: "core.v1.Secret",
    first: named({ stringData: { word: { $secret: "quiet-word-one" } } }),
    next: named({ stringData: { word: { $secret: "quiet-word-two" } } }),
    step: "replace",
  },
  {
    says: "leaves a Secret alone whose text is the same",
    source: sources.provider,
    type: "core.v1.Secret",
    first: named({ stringData: { word: { $secret: "quiet-word-one" } } }),
  },
  {
    says: "changes a Deployment's image in place, and waits until its pods are ready",
    source: `${sources.diff}; ${sources.await}`,
    type: "apps.v1.Deployment",
    first: workload(),
    next: workload({ image: "r/x:2" }),
    step: "update",
  },
  {
    says: "replaces a Deployment whose selector changes",
    source: sources.diff,
    type: "apps.v1.Deployment",
    first: workload(),
    next: named({
      spec: { selector: { matchLabels: { app: "other" } }, template: template({ app: "other" }) },
    }),
    step: "replace",
  },
  {
    says: "takes an amount written otherwise as the same",
    source:
      "the API server's defaults: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/",
    type: "apps.v1.Deployment",
    first: workload({ resources: { limits: { cpu: "1000m", memory: "1024Mi" } } }),
    next: workload({ resources: { limits: { cpu: "1", memory: "1Gi" } } }),
    step: "same",
    differs: "the official plugin compares what was sent, and shows an update that changes nothing",
  },
  {
    says: "takes out what the inputs no longer have",
    source: sources.serverSide,
    type: "apps.v1.Deployment",
    first: workload({
      env: [
        { name: "A", value: "1" },
        { name: "B", value: "2" },
      ],
    }),
    next: workload({ env: [{ name: "B", value: "2" }] }),
    step: "update",
  },
  {
    says: "replaces a StatefulSet whose service changes",
    source: sources.diff,
    type: "apps.v1.StatefulSet",
    first: workload({}, { serviceName: "a" }),
    next: workload({}, { serviceName: "b" }),
    step: "replace",
  },
  {
    says: "changes a StatefulSet's template in place",
    source: sources.diff,
    type: "apps.v1.StatefulSet",
    first: workload({}, { serviceName: "a" }),
    next: workload({ image: "r/x:2" }, { serviceName: "a" }),
    step: "update",
  },
  {
    says: "waits for a Job's end, and replaces one whose template changes",
    source: `${sources.diff}; ${sources.await}`,
    type: "batch.v1.Job",
    first: job(),
    next: job({ image: "r/x:2" }),
    step: "replace",
  },
  {
    says: "changes a Service's ports in place, and waits for no pods with skipAwait",
    source: `${sources.diff}; ${sources.overrides}`,
    type: "core.v1.Service",
    first: {
      metadata: { name: "NAME", annotations: { "pulumi.com/skipAwait": "true" } },
      spec: { selector: { app: "nobody" }, ports: [port] },
    },
    next: {
      metadata: { name: "NAME", annotations: { "pulumi.com/skipAwait": "true" } },
      spec: { selector: { app: "nobody" }, ports: [{ ...port, port: 81 }] },
    },
    step: "update",
  },
  {
    says: "replaces a Service that loses its address",
    source: sources.diff,
    type: "core.v1.Service",
    first: named({ spec: { ports: [port] } }),
    next: named({ spec: { ports: [port], clusterIP: "None" } }),
    step: "replace",
  },
  {
    says: "changes a Role's rules in place",
    source: sources.diff,
    type: "rbac.v1.Role",
    first: role(["get"]),
    next: role(["get", "list"]),
    step: "update",
  },
  {
    says: "replaces a RoleBinding to another Role",
    source: sources.diff,
    type: "rbac.v1.RoleBinding",
    first: binding("a"),
    next: binding("b"),
    step: "replace",
  },
  {
    says: "changes a NetworkPolicy in place",
    source: sources.diff,
    type: "networking.v1.NetworkPolicy",
    first: policy("a"),
    next: policy("b"),
    step: "update",
  },
  {
    says: "changes an Ingress in place",
    source: sources.diff,
    type: "networking.v1.Ingress",
    first: ingress("/a"),
    next: ingress("/b"),
    step: "update",
  },
  {
    says: "replaces a claim of another class",
    source: sources.diff,
    type: "core.v1.PersistentVolumeClaim",
    first: claim("none"),
    next: claim("other"),
    step: "replace",
  },
  {
    says: "replaces a volume at another place",
    source: sources.diff,
    type: "core.v1.PersistentVolume",
    first: volume("/a"),
    next: volume("/b"),
    step: "replace",
  },
  {
    says: "makes the new object first where the name changes",
    source: sources.provider,
    type: "core.v1.ConfigMap",
    first: { metadata: { name: "name-one" }, data: { a: "1" } },
    next: { metadata: { name: "name-two" }, data: { a: "1" } },
    step: "replace-later",
  },
  {
    says: "names an object without a name after its resource, and keeps the name",
    source: sources.naming,
    type: "core.v1.ConfigMap",
    first: { data: { a: "1" } },
    next: { metadata: { labels: { a: "b" } }, data: { a: "1" } },
    step: "update",
  },
];
