import type { ServiceSpec } from "../../infra/local/service.js";
import { label, portName } from "./names.js";
import { imageName, needsOf } from "./needs.js";
import type { KubeObject, Metadata, PodSpec } from "./objects.js";
import { type Place, portOf, renderFor, secretFilesOf } from "./place.js";
import { fileKey, filesName, filesOf, labelsOf, selectorOf, templateOf } from "./pod.js";
import { volumeOf } from "./volumes.js";

/** Ports that only the service itself uses. */
const PRIVATE_PORTS: readonly string[] = ["distribution", "peer"];

/** All objects of a service: what it reads, what it keeps, its pods, and the name by which others find it. */
export function serviceObjects(
  spec: ServiceSpec,
  place: Place,
  parts: Partial<PodSpec> = {},
): readonly KubeObject[] {
  const { storage } = needsOf(imageName(spec));
  const volume = storage === undefined ? undefined : volumeOf(label(spec.name), storage, place);
  const template = templateOf(spec, place, parts);
  const selector = { matchLabels: selectorOf(spec, place) };
  const metadata = metadataOf(label(spec.name), place);
  // One of each: two orchestrators, or two agents of a party, would work on the same queue.
  const pods: KubeObject =
    volume === undefined
      ? {
          apiVersion: "apps/v1",
          kind: "Deployment",
          metadata,
          spec: { replicas: 1, strategy: { type: "Recreate" }, selector, template },
        }
      : {
          apiVersion: "apps/v1",
          kind: "StatefulSet",
          metadata,
          spec: { replicas: 1, serviceName: label(spec.name), selector, template },
        };
  return [
    ...fileObjects(spec, place),
    ...secretFilesOf(spec).map((name) => secretObject(name, place)),
    ...(volume?.objects ?? []),
    {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: {
        selector: selectorOf(spec, place),
        ports: Object.keys(spec.ports ?? {})
          .filter((port) => !PRIVATE_PORTS.includes(port))
          .map((port) => ({ name: portName(port), port: portOf(port), targetPort: portName(port) })),
      },
    },
    pods,
  ];
}

export const metadataOf = (name: string, place: Pick<Place, "namespace" | "marketplace">): Metadata => ({
  name,
  namespace: place.namespace,
  labels: labelsOf(place),
});

/** A secret of its own, so that each service is given exactly those it reads. */
export const secretObject = (name: string, place: Pick<Place, "namespace" | "marketplace">): KubeObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: metadataOf(label(name), place),
  type: "Opaque",
  stringData: { value: `{{secret:${name}}}` },
});

function fileObjects(spec: ServiceSpec, place: Place): KubeObject[] {
  const { plain, secret } = filesOf(spec);
  const rendered = new Map(renderFor(spec, place).files.map(({ path, content }) => [path, content]));
  const data = (files: typeof plain): Record<string, string> =>
    Object.fromEntries(files.map(({ path }) => [fileKey(path), rendered.get(path) ?? ""]));
  const metadata = metadataOf(filesName(spec), place);
  return [
    ...(plain.length === 0
      ? []
      : [{ apiVersion: "v1", kind: "ConfigMap", metadata, data: data(plain) } as const]),
    ...(secret.length === 0
      ? []
      : [
          {
            apiVersion: "v1",
            kind: "Secret",
            metadata,
            type: "Opaque",
            stringData: data(secret),
          } as const,
        ]),
  ];
}
