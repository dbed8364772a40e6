import { stringify } from "yaml";
import type { KubeObject } from "./objects.js";
import { allObjects, type KubernetesPlan } from "./plan.js";

/** One file of YAML. */
export interface Rendered {
  /** `dynamos-core/20-secret-broker-admin.yaml`: in the order of their names, what others need comes first. */
  readonly file: string;
  readonly text: string;
}

/** What must be there before what: as `up` makes them. */
const ORDER: readonly (readonly KubeObject["kind"][])[] = [
  ["Namespace"],
  ["PersistentVolume", "PersistentVolumeClaim", "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy"],
  ["Secret", "ConfigMap", "Service"],
  ["StatefulSet", "Deployment"],
  ["Job", "Ingress"],
];

/**
 * A plan as files of plain YAML, one an object, in a folder a namespace. Secrets are not in it: their texts keep their placeholders, `{{secret:NAME}}` and
 * others, for who applies it to fill in.
 */
export function renderPlan(plan: KubernetesPlan): readonly Rendered[] {
  return allObjects(plan)
    .map((object) => ({
      file: fileOf(object),
      text: stringify(object, { lineWidth: 0, sortMapEntries: false }),
    }))
    .sort((a, b) => (a.file < b.file ? -1 : 1));
}

function fileOf({ kind, metadata: { name, namespace } }: KubeObject): string {
  const place = ORDER.findIndex((kinds) => kinds.includes(kind));
  // What belongs to the whole cluster has a folder that comes first.
  const folder = kind === "Namespace" ? name : (namespace ?? "cluster");
  return `${folder}/${place}0-${kind.toLowerCase()}-${name}.yaml`;
}
