import type { types } from "@pulumi/kubernetes";

/** A type of the Kubernetes package without what is not known yet. The SDK has the like; commands of ours read objects without the SDK. */
type Unwrap<T> = T extends
  | PromiseLike<unknown>
  | { readonly apply: (f: never) => unknown; readonly get: () => unknown }
  ? never
  : T extends readonly (infer E)[]
    ? Unwrap<E>[]
    : T extends object
      ? { [K in keyof T]: Unwrap<T[K]> }
      : T;

/** What every object of ours is called. */
export interface Metadata {
  readonly name: string;
  /** Absent for what belongs to the whole cluster. */
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A Kubernetes object as plain data. Its type is the one of the Kubernetes API that `@pulumi/kubernetes` ships. */
type Plain<Kind extends string, Version extends string, Input> = Omit<
  Unwrap<Input>,
  "apiVersion" | "kind" | "metadata" | "status"
> & {
  readonly apiVersion: Version;
  readonly kind: Kind;
  readonly metadata: Metadata;
};

export type Container = Unwrap<types.input.core.v1.Container>;
export type EnvVar = Unwrap<types.input.core.v1.EnvVar>;
export type PodSpec = Unwrap<types.input.core.v1.PodSpec>;
export type PodTemplate = Unwrap<types.input.core.v1.PodTemplateSpec>;
export type Probe = Unwrap<types.input.core.v1.Probe>;
export type Resources = Unwrap<types.input.core.v1.ResourceRequirements>;
export type Volume = Unwrap<types.input.core.v1.Volume>;
export type VolumeMount = Unwrap<types.input.core.v1.VolumeMount>;

/** Every kind of object that a marketplace is made of. */
export type KubeObject =
  | Plain<"Namespace", "v1", types.input.core.v1.Namespace>
  | Plain<"ConfigMap", "v1", types.input.core.v1.ConfigMap>
  /** Its `stringData` are templates: `{{secret:NAME}}` and the like ({@link SECRET_IN_TEXT}) are filled in by who applies it, so that a plan holds no secret. */
  | Plain<"Secret", "v1", types.input.core.v1.Secret>
  | Plain<"PersistentVolume", "v1", types.input.core.v1.PersistentVolume>
  | Plain<"PersistentVolumeClaim", "v1", types.input.core.v1.PersistentVolumeClaim>
  | Plain<"ServiceAccount", "v1", types.input.core.v1.ServiceAccount>
  | Plain<"Role", "rbac.authorization.k8s.io/v1", types.input.rbac.v1.Role>
  | Plain<"RoleBinding", "rbac.authorization.k8s.io/v1", types.input.rbac.v1.RoleBinding>
  | Plain<"Service", "v1", types.input.core.v1.Service>
  | Plain<"Deployment", "apps/v1", types.input.apps.v1.Deployment>
  | Plain<"StatefulSet", "apps/v1", types.input.apps.v1.StatefulSet>
  | Plain<"Job", "batch/v1", types.input.batch.v1.Job>
  | Plain<"Ingress", "networking.k8s.io/v1", types.input.networking.v1.Ingress>
  | Plain<"NetworkPolicy", "networking.k8s.io/v1", types.input.networking.v1.NetworkPolicy>;

export type Kind = KubeObject["kind"];
export type ObjectOf<K extends Kind> = Extract<KubeObject, { readonly kind: K }>;

/** The objects of one kind. */
export const ofKind = <K extends Kind>(objects: readonly KubeObject[], kind: K): ObjectOf<K>[] =>
  objects.filter((object): object is ObjectOf<K> => object.kind === kind);

/** The template of an object's pods; undefined where it has none. */
export const podTemplate = (object: KubeObject): PodTemplate | undefined =>
  object.kind === "Deployment" || object.kind === "StatefulSet" || object.kind === "Job"
    ? object.spec?.template
    : undefined;

/** What a Secret's text names of a secret: itself, RabbitMQ's hash of it, or the public half of the agent's key that follows from it. */
export const SECRET_IN_TEXT = /\{\{(secret|rabbitmqHash|agentKey):([^{}]+)\}\}/g;

/** The names of the secrets that objects refer to, sorted. */
export function secretsOf(objects: readonly KubeObject[]): string[] {
  const names = ofKind(objects, "Secret").flatMap((secret) =>
    Object.values(secret.stringData ?? {}).flatMap((text) =>
      [...text.matchAll(SECRET_IN_TEXT)].map(([, , name = ""]) => name),
    ),
  );
  return [...new Set(names)].sort();
}
