import { contentHash } from "../../infra/content-hash.js";
import type { ServiceSpec } from "../../infra/local/service.js";
import { InfraError } from "../../infra/problem.js";
import { IMAGE_USER } from "../../policy/contract/images.js";
import { label, portName } from "./names.js";
import { imageName, isOurs, needsOf } from "./needs.js";
import type { Container, PodSpec, PodTemplate, Probe, Volume, VolumeMount } from "./objects.js";
import { PUBLIC_IMAGES } from "./options.js";
import { FILES, FOLDER, type Place, portOf, renderFor, SECRETS, secretFilesOf } from "./place.js";

/** The registry's pull secret in each namespace. */
export const PULL_SECRET = "registry";
/** A pod's volume of what its service keeps. */
export const KEPT = "kept";

/** What makes a pod as little as it needs to be: no root, no kernel calls out of the ordinary. */
const podSecurity: PodSpec["securityContext"] = {
  runAsNonRoot: true,
  runAsUser: IMAGE_USER,
  runAsGroup: IMAGE_USER,
  fsGroup: IMAGE_USER,
  // Not at every start: it opens files to the group that their programs want closed (etcd's data).
  fsGroupChangePolicy: "OnRootMismatch",
  seccompProfile: { type: "RuntimeDefault" },
};

const containerSecurity: Container["securityContext"] = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

/** Labels by which a service's pods are found. The type comes first: an agent's Service must not find the pods of its jobs. */
export const selectorOf = (spec: Pick<ServiceSpec, "name">, place: Place): Record<string, string> => ({
  type: place.type,
  app: label(spec.name),
});

export const labelsOf = (place: Pick<Place, "marketplace">): Record<string, string> => ({
  "app.kubernetes.io/part-of": "dynamos-fabric",
  "dynamos-fabric/marketplace": label(place.marketplace),
});

/** An image's reference, and what says that it is another one. */
export function imageOf(
  name: string,
  { images }: Pick<Place, "images">,
): {
  readonly container: Pick<Container, "image" | "imagePullPolicy">;
  readonly digest: string;
} {
  const found = images.references[name];
  const image = found?.image ?? PUBLIC_IMAGES[name];
  if (image === undefined) {
    throw new InfraError({
      code: "K8S-IMAGES-MISSING",
      path: `images.references.${name}`,
      message: `no image ${name} is named`,
      remedy: "run `dynamos-fabric images`, and give what lockedImages() reads",
    });
  }
  // A public image that has no archive is pulled all the same.
  const there = images.from === "archive" && (isOurs(name) || found?.archive !== undefined);
  return {
    container: { image, imagePullPolicy: there ? "Never" : "IfNotPresent" },
    digest: found?.digest ?? image,
  };
}

/** What all pods of ours have in common, pinned to their node. */
export function podOf(place: Pick<Place, "host" | "images">, parts: Partial<PodSpec>): PodSpec {
  return {
    nodeSelector: { "kubernetes.io/hostname": place.host },
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: podSecurity,
    ...(place.images.pullSecret === true ? { imagePullSecrets: [{ name: PULL_SECRET }] } : {}),
    containers: [],
    ...parts,
  };
}

/** A container of ours, with nothing to write to but its volumes. */
export const containerOf = (container: Container): Container => ({
  terminationMessagePolicy: "FallbackToLogsOnError",
  securityContext: containerSecurity,
  ...container,
});

/** The pods of a service: its container, with its files, secrets and folder. */
export function templateOf(spec: ServiceSpec, place: Place, parts: Partial<PodSpec> = {}): PodTemplate {
  const name = imageName(spec);
  const needs = needsOf(name);
  const { container, digest } = imageOf(name, place);
  const { command, env, files } = renderFor(spec, place);
  const mounts: VolumeMount[] = [
    { name: needs.storage === undefined ? "folder" : KEPT, mountPath: FOLDER },
    { name: "tmp", mountPath: "/tmp" },
    ...(files.length === 0 ? [] : [{ name: "files", mountPath: FILES, readOnly: true }]),
    ...(secretFilesOf(spec).length === 0 ? [] : [{ name: "secrets", mountPath: SECRETS, readOnly: true }]),
  ];
  return {
    metadata: {
      labels: { ...labelsOf(place), ...selectorOf(spec, place) },
      // A new image or file means new pods, also where their names stay. The broker's definitions are put into it while it runs.
      annotations: {
        "dynamos-fabric/image": digest,
        "dynamos-fabric/files": contentHash(files.filter(({ path }) => path !== "definitions.json")),
      },
    },
    spec: podOf(place, {
      // Services end in good order within 15 seconds.
      terminationGracePeriodSeconds: Math.ceil(spec.stopSeconds ?? 20),
      containers: [
        containerOf({
          name: label(spec.name),
          ...container,
          ...(isOurs(name) ? {} : { command: [...command] }),
          workingDir: files.length === 0 ? FOLDER : FILES,
          env: Object.entries(env).map(([name, value]) => ({ name, value })),
          ports: Object.keys(spec.ports ?? {}).map((port) => ({
            name: portName(port),
            containerPort: portOf(port),
          })),
          volumeMounts: mounts,
          resources: needs.resources,
          ...probesOf(spec),
        }),
      ],
      volumes: volumesOf(spec, needs.storage !== undefined),
      ...parts,
    }),
  };
}

/** Ready is what the service says of itself. Alive is that it listens: one that waits for the broker must not be ended for that. */
function probesOf(spec: ServiceSpec): Pick<Container, "startupProbe" | "readinessProbe" | "livenessProbe"> {
  const port = portName("tcp" in spec.ready ? spec.ready.tcp : spec.ready.http);
  const listens: Probe = { tcpSocket: { port } };
  const ready: Probe = "tcp" in spec.ready ? listens : { httpGet: { port, path: spec.ready.path } };
  const period = 2;
  return {
    startupProbe: {
      ...ready,
      periodSeconds: period,
      timeoutSeconds: 2,
      failureThreshold: Math.ceil((spec.startSeconds ?? 60) / period),
    },
    readinessProbe: { ...ready, periodSeconds: 5, timeoutSeconds: 2, failureThreshold: 2 },
    livenessProbe: { ...listens, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 },
  };
}

function volumesOf(spec: ServiceSpec, keeps: boolean): Volume[] {
  const { plain, secret } = filesOf(spec);
  const files = [
    ...(plain.length === 0 ? [] : [{ configMap: { name: filesName(spec), items: plain.map(item) } }]),
    ...(secret.length === 0 ? [] : [{ secret: { name: filesName(spec), items: secret.map(item) } }]),
  ];
  const secrets = secretFilesOf(spec).map(secretSource);
  return [
    { name: "tmp", emptyDir: {} },
    keeps
      ? { name: KEPT, persistentVolumeClaim: { claimName: label(spec.name) } }
      : { name: "folder", emptyDir: {} },
    ...(files.length === 0 ? [] : [projected("files", files)]),
    ...(secrets.length === 0 ? [] : [projected("secrets", secrets)]),
  ];
}

type Projected = NonNullable<Volume["projected"]>;

/** Readable by the pod's user through its group, and by nobody else. */
export const projected = (name: string, sources: NonNullable<Projected["sources"]>): Volume => ({
  name,
  projected: { defaultMode: 0o440, sources },
});

/** A secret as the file of its name. */
export const secretSource = (name: string): NonNullable<Projected["sources"]>[number] => ({
  secret: { name: label(name), items: [{ key: "value", path: name }] },
});

/** ConfigMap and Secret of a service's files. */
export const filesName = ({ name }: Pick<ServiceSpec, "name">): string => label(`${name}-files`);

/** A file's path as a key of a ConfigMap, which has no slashes. */
export const fileKey = (path: string): string => path.replace(/[^A-Za-z0-9._-]/g, "_");
const item = ({ path }: { readonly path: string }): { key: string; path: string } => ({
  key: fileKey(path),
  path,
});

/** The files that hold secrets, and those that hold none. */
export function filesOf({ files = [] }: Pick<ServiceSpec, "files">): {
  readonly plain: NonNullable<ServiceSpec["files"]>;
  readonly secret: NonNullable<ServiceSpec["files"]>;
} {
  const secret = files.filter(({ content }) => /\{\{(secret|rabbitmqHash):/.test(content));
  return { secret, plain: files.filter((file) => !secret.includes(file)) };
}
