import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Kind, KubeObject } from "./objects.js";
import { fillIn, type Secrets } from "./secrets.js";

type Make = (
  name: string,
  object: KubeObject,
  options: pulumi.CustomResourceOptions,
) => pulumi.CustomResource;

/** A kind's constructor, for plain objects of the kind. */
const of =
  (
    Resource: new (name: string, args: never, options: pulumi.CustomResourceOptions) => pulumi.CustomResource,
  ): Make =>
  (name, object, options) =>
    new Resource(name, object as never, options);

const MAKERS: Readonly<Record<Kind, Make>> = {
  Namespace: of(k8s.core.v1.Namespace),
  ConfigMap: of(k8s.core.v1.ConfigMap),
  Secret: of(k8s.core.v1.Secret),
  PersistentVolume: of(k8s.core.v1.PersistentVolume),
  PersistentVolumeClaim: of(k8s.core.v1.PersistentVolumeClaim),
  ServiceAccount: of(k8s.core.v1.ServiceAccount),
  Role: of(k8s.rbac.v1.Role),
  RoleBinding: of(k8s.rbac.v1.RoleBinding),
  Service: of(k8s.core.v1.Service),
  Deployment: of(k8s.apps.v1.Deployment),
  StatefulSet: of(k8s.apps.v1.StatefulSet),
  Job: of(k8s.batch.v1.Job),
  Ingress: of(k8s.networking.v1.Ingress),
  NetworkPolicy: of(k8s.networking.v1.NetworkPolicy),
};

/** Kinds that others name: a claim is bound at once when its volume is there. */
const BEFORE_ALL: readonly Kind[] = ["Namespace", "PersistentVolume"];
/** Kinds whose objects run pods: made after all that their pods name. */
const WORKLOADS: readonly Kind[] = ["Deployment", "StatefulSet", "Job"];
/**
 * The provider waits for these to be ready, which they only are together with what comes after them. A claim that names its volume is waited for: a pod that
 * the scheduler sees before its claim is bound may stay where it is for five minutes.
 */
const isAwaited = (object: KubeObject): boolean =>
  object.kind === "PersistentVolumeClaim"
    ? object.spec?.volumeName !== undefined
    : object.kind !== "Service" && object.kind !== "Ingress";

/**
 * Registers a part's objects: namespaces and volumes first, then what pods name, then what runs pods, a Job last, so that what it speaks to is there.
 * Secrets are filled in here, and nowhere else.
 *
 * @returns the resources that came last: when they are there, so is the whole part
 */
export function registerObjects(
  name: string,
  objects: readonly KubeObject[],
  secrets: Secrets,
  options: pulumi.CustomResourceOptions,
): readonly pulumi.CustomResource[] {
  let last: readonly pulumi.CustomResource[] = [];
  for (const wave of wavesOf(objects)) {
    // Each wave on the one before: to name all before it would cost the engine their number times each other.
    const dependsOn = last.length === 0 ? options.dependsOn : [...last];
    last = wave.map((object) =>
      MAKERS[object.kind](resourceName(name, object), withSecrets(object, secrets), {
        ...options,
        ...(dependsOn === undefined ? {} : { dependsOn }),
      }),
    );
  }
  return last;
}

function wavesOf(objects: readonly KubeObject[]): readonly (readonly KubeObject[])[] {
  const wave = ({ kind }: KubeObject): number =>
    BEFORE_ALL.includes(kind) ? 0 : !WORKLOADS.includes(kind) ? 1 : kind === "Job" ? 3 : 2;
  return [0, 1, 2, 3]
    .map((n) => objects.filter((object) => wave(object) === n))
    .filter((objects) => objects.length > 0);
}

/** A Job is called anew with each content: it keeps its resource's name, so that the engine sees one that is replaced. */
function resourceName(name: string, { kind, metadata }: KubeObject): string {
  const own = kind === "Job" ? (metadata.labels?.app ?? metadata.name) : metadata.name;
  return `${name}-${kind.toLowerCase()}-${own}`;
}

function withSecrets(object: KubeObject, secrets: Secrets): KubeObject {
  const { metadata } = object;
  const annotated = isAwaited(object)
    ? metadata
    : { ...metadata, annotations: { ...metadata.annotations, "pulumi.com/skipAwait": "true" } };
  if (object.kind !== "Secret") return { ...object, metadata: annotated } as KubeObject;
  const filled = Object.entries(object.stringData ?? {}).map(([key, text]) => [key, fillIn(text, secrets)]);
  return { ...object, stringData: Object.fromEntries(filled) as Record<string, string> };
}
