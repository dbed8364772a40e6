import { label, partyNamespace } from "./names.js";
import type { KubeObject } from "./objects.js";
import { DEFAULT_PREFIX, NODE_FOLDER } from "./options.js";
import type { Place } from "./place.js";
import { labelsOf } from "./pod.js";

/** What a pod keeps on its node. */
export interface KeptVolume {
  /** The claim that the pod names. */
  readonly claim: string;
  readonly objects: readonly KubeObject[];
  /** The folder on the node that must be there; undefined where the cluster's storage class makes the volume. */
  readonly folder: string | undefined;
}

/**
 * A volume on the place's node, and the claim to it. Without a storage class it is a folder of the node, and the volume says so by its
 * nodeAffinity: a pod that claims it can run nowhere else.
 *
 * @param there the node's folder where it is not one of ours
 */
export function volumeOf(
  name: string,
  size: string,
  place: Pick<Place, "namespace" | "host" | "marketplace" | "storageClass">,
  there?: string,
): KeptVolume {
  const { namespace, host } = place;
  const storageClass = there === undefined ? place.storageClass : undefined;
  const claim: KubeObject = {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name, namespace, labels: labelsOf(place) },
    spec: {
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: size } },
      ...(storageClass === undefined
        ? { storageClassName: "", volumeName: volumeName(name, namespace) }
        : { storageClassName: storageClass }),
    },
  };
  if (storageClass !== undefined) return { claim: name, objects: [claim], folder: undefined };
  const folder = there ?? nodeFolder(namespace, name);
  const volume: KubeObject = {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: volumeName(name, namespace), labels: labelsOf(place) },
    spec: {
      capacity: { storage: size },
      accessModes: ["ReadWriteOnce"],
      // Nobody's data go because a stack went.
      persistentVolumeReclaimPolicy: "Retain",
      storageClassName: "",
      claimRef: { apiVersion: "v1", kind: "PersistentVolumeClaim", namespace, name },
      local: { path: folder },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: [host] }] },
          ],
        },
      },
    },
  };
  return { claim: name, objects: [volume, claim], folder };
}

/** Where a volume of ours lies on its node. */
export const nodeFolder = (namespace: string, claim: string): string =>
  `${NODE_FOLDER}/${namespace}/${claim}`;

/** The claim of a party's data in its namespace. */
export const DATA_CLAIM = "data";

/** Where a party's data lie on its node, without a storage class. */
export const partyDataFolder = (party: string, prefix = DEFAULT_PREFIX): string =>
  nodeFolder(partyNamespace(prefix, party), DATA_CLAIM);

const volumeName = (name: string, namespace: string): string => label(`${namespace}.${name}`);
