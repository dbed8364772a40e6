/** What is wrong with a cluster for a marketplace, by what the cluster says of itself. Pure. */
import type { Problem } from "../../infra/problem.js";
import { closest } from "../../policy/contract/suggest.js";
import type { Kind, KubeObject } from "./objects.js";

/** Jobs that end at a refusal (podFailurePolicy) and Pod Security came to stay by this version. */
export const LEAST_VERSION = { major: 1, minor: 28 } as const;

/** One of a cluster's nodes, as far as it is looked at. */
export interface SeenNode {
  readonly name: string;
  /** Its label kubernetes.io/hostname, which pods are pinned by. */
  readonly hostname: string | undefined;
  /** Why it takes no pod now; undefined where it does. */
  readonly unwell: string | undefined;
}

/** A rule of a SelfSubjectRulesReview. */
export interface SeenRule {
  readonly verbs: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
}

/** What a cluster says of itself. What it did not tell is undefined. */
export interface SeenCluster {
  /** e.g. `v1.34.4` */
  readonly version: string | undefined;
  readonly nodes: readonly SeenNode[] | undefined;
  /** By namespace; undefined where it could not be told wholly. */
  readonly rules: Readonly<Record<string, readonly SeenRule[] | undefined>>;
  /** The node that each PersistentVolume lies on, by the volume's name. */
  readonly volumes: Readonly<Record<string, string>> | undefined;
  /** Storage classes and when each makes its volumes. */
  readonly classes: Readonly<Record<string, string>> | undefined;
}

/** What a resource is called in a rule: `<resource>.<group>`. */
const RESOURCES: Readonly<Record<Kind, string>> = {
  Namespace: "namespaces.",
  ConfigMap: "configmaps.",
  Secret: "secrets.",
  PersistentVolume: "persistentvolumes.",
  PersistentVolumeClaim: "persistentvolumeclaims.",
  ServiceAccount: "serviceaccounts.",
  Role: "roles.rbac.authorization.k8s.io",
  RoleBinding: "rolebindings.rbac.authorization.k8s.io",
  Service: "services.",
  Deployment: "deployments.apps",
  StatefulSet: "statefulsets.apps",
  Job: "jobs.batch",
  Ingress: "ingresses.networking.k8s.io",
  NetworkPolicy: "networkpolicies.networking.k8s.io",
};
/** What whoever deploys does with each object, and with what tells whether pods are ready. */
const VERBS = ["get", "list", "watch", "create", "patch", "delete"];
const LOOKED_AT = ["pods.", "events."];
const LOOKS = ["get", "list", "watch"];

/**
 * What is wrong with the cluster for these objects, and what is only worth a note.
 *
 * Codes: K8S-VERSION, K8S-NODE-UNKNOWN, K8S-NODE-HOSTNAME, K8S-VOLUME-NODE, K8S-NOT-ALLOWED, K8S-STORAGE-CLASS; note K8S-NODE-UNWELL.
 *
 * @param pathOf where the specification names a node of the cluster, e.g. `nodes.core.host`
 */
export function clusterStateProblems(
  objects: readonly KubeObject[],
  seen: SeenCluster,
  pathOf: (host: string) => string,
): { readonly problems: readonly Problem[]; readonly notes: readonly Problem[] } {
  const hosts = [...new Set(objects.flatMap((object) => hostOfObject(object) ?? []))].sort();
  return {
    problems: [
      ...versionProblems(seen.version),
      ...nodeProblems(hosts, seen.nodes, pathOf),
      ...volumeProblems(objects, seen, pathOf),
      ...classProblems(objects, seen.classes),
      ...rightProblems(objects, seen.rules),
    ],
    notes: (seen.nodes ?? [])
      .filter(({ name, unwell }) => unwell !== undefined && hosts.includes(name))
      .map(({ name, unwell = "" }) => ({
        code: "K8S-NODE-UNWELL",
        path: pathOf(name),
        message: `${name} takes no pods now: ${unwell}`,
        remedy: "pods start when it does; see `kubectl describe node`",
      })),
  };
}

function versionProblems(version: string | undefined): Problem[] {
  const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(version ?? "") ?? [];
  if (major === undefined) return [];
  const old =
    Number(major) < LEAST_VERSION.major ||
    (Number(major) === LEAST_VERSION.major && Number(minor) < LEAST_VERSION.minor);
  if (!old) return [];
  return [
    {
      code: "K8S-VERSION",
      path: "kubernetes",
      message: `the cluster runs Kubernetes ${version}, and ${LEAST_VERSION.major}.${LEAST_VERSION.minor} is the least that will do`,
      remedy: "upgrade it, or use another",
    },
  ];
}

function nodeProblems(
  hosts: readonly string[],
  nodes: readonly SeenNode[] | undefined,
  pathOf: (host: string) => string,
): Problem[] {
  if (nodes === undefined) return [];
  const names = nodes.map(({ name }) => name);
  return hosts.flatMap((host): Problem[] => {
    const found = nodes.find(({ name }) => name === host);
    if (found === undefined) {
      const near = closest(host, names);
      return [
        {
          code: "K8S-NODE-UNKNOWN",
          path: pathOf(host),
          message: `the cluster has no node ${host}${near === undefined ? "" : `; did you mean ${near}?`}`,
          remedy: `it has: ${names.sort().slice(0, 20).join(", ")}`,
        },
      ];
    }
    if (found.hostname === host) return [];
    return [
      {
        code: "K8S-NODE-HOSTNAME",
        path: pathOf(host),
        message: `the node ${host} has the label kubernetes.io/hostname=${found.hostname ?? ""}, by which its pods would not find it`,
        remedy: "a marketplace needs nodes whose label is their name",
      },
    ];
  });
}

/** A volume stays where it is: its data are there and nowhere else. */
function volumeProblems(
  objects: readonly KubeObject[],
  { volumes = {}, nodes }: SeenCluster,
  pathOf: (host: string) => string,
): Problem[] {
  return objects.flatMap((object): Problem[] => {
    if (object.kind !== "PersistentVolume") return [];
    const { name } = object.metadata;
    const [wanted, there] = [hostOfObject(object), volumes[name]];
    if (wanted === undefined || there === undefined || there === wanted) return [];
    const gone = nodes !== undefined && !nodes.some((node) => node.name === there);
    return [
      {
        code: "K8S-VOLUME-NODE",
        path: pathOf(wanted),
        message: `the volume ${name} lies on ${there}${gone ? ", which has left the cluster" : ""}, and is asked for on ${wanted}`,
        remedy: gone
          ? `bring the node back, or give its data up: kubectl delete pv ${name}`
          : `leave the party on ${there}; or move its folder, then kubectl delete pv ${name}`,
      },
    ];
  });
}

function classProblems(objects: readonly KubeObject[], classes: SeenCluster["classes"]): Problem[] {
  if (classes === undefined) return [];
  const wanted = objects.flatMap((object) =>
    object.kind === "PersistentVolumeClaim" ? (object.spec?.storageClassName ?? "") : "",
  );
  return [...new Set(wanted)]
    .filter((name) => name !== "" && classes[name] !== "WaitForFirstConsumer")
    .map((name) => ({
      code: "K8S-STORAGE-CLASS",
      path: "kubernetes.storageClass",
      message:
        classes[name] === undefined
          ? `the cluster has no storage class ${name}`
          : `the storage class ${name} makes volumes before it knows the pod's node`,
      remedy: `take one that waits (volumeBindingMode: WaitForFirstConsumer), or none; there are: ${Object.keys(classes).sort().join(", ")}`,
    }));
}

/** Rights that are missing, a problem a namespace; those of the whole cluster come with the first. */
function rightProblems(objects: readonly KubeObject[], rules: SeenCluster["rules"]): Problem[] {
  const cluster = objects.filter(({ metadata }) => metadata.namespace === undefined);
  return Object.entries(rules).flatMap(([namespace, own], i): Problem[] => {
    if (own === undefined) return [];
    const inside = objects.filter(({ metadata }) => metadata.namespace === namespace);
    const kinds = [...new Set([...inside, ...(i === 0 ? cluster : [])].map(({ kind }) => RESOURCES[kind]))];
    const wanted = [
      ...kinds.map((resource) => ({ resource, verbs: VERBS })),
      ...LOOKED_AT.map((resource) => ({ resource, verbs: LOOKS })),
    ];
    const missing = wanted.flatMap(({ resource, verbs }) => {
      const lacking = verbs.filter((verb) => !own.some((rule) => allows(rule, resource, verb)));
      return lacking.length === 0 ? [] : [`${lacking.join(", ")} ${resource.replace(/\.$/, "")}`];
    });
    if (missing.length === 0) return [];
    return [
      {
        code: "K8S-NOT-ALLOWED",
        path: "kubernetes.context",
        message: `in ${namespace} you may not ${missing.slice(0, 4).join("; ")}${missing.length > 4 ? `; and ${missing.length - 4} more` : ""}`,
        remedy: "docs/kubernetes.md, Permissions, lists what is needed",
      },
    ];
  });
}

function allows(
  { verbs, apiGroups = [], resources = [], resourceNames = [] }: SeenRule,
  wanted: string,
  verb: string,
): boolean {
  const [resource = "", ...rest] = wanted.split(".");
  const has = (list: readonly string[], value: string): boolean => list.includes("*") || list.includes(value);
  return (
    resourceNames.length === 0 &&
    has(verbs, verb) &&
    has(resources, resource) &&
    has(apiGroups, rest.join("."))
  );
}

/** The node that an object is for. */
function hostOfObject(object: KubeObject): string | undefined {
  if (object.kind === "PersistentVolume")
    return object.spec?.nodeAffinity?.required?.nodeSelectorTerms[0]?.matchExpressions?.[0]?.values?.[0];
  if (object.kind === "Deployment" || object.kind === "StatefulSet" || object.kind === "Job")
    return object.spec?.template?.spec?.nodeSelector?.["kubernetes.io/hostname"];
  return undefined;
}
