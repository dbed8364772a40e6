import type { ServiceSpec } from "../../infra/local/service.js";
import type { ExperimentDocument } from "../experiment.js";
import { agentService, type Placement } from "../placement.js";
import { BROKER, coreServices, EPMD, GATEWAY, STORE } from "../services.js";
import { agentObjects, jobTemplateOf } from "./agent-plan.js";
import { brokerObjects } from "./broker-plan.js";
import { documentObjects } from "./documents-plan.js";
import { checkNamespaces, coreNamespace, label, partyNamespace } from "./names.js";
import { namespaceObjects, networkPolicies } from "./namespace.js";
import { type KubeObject, podTemplate } from "./objects.js";
import { DEFAULT_PREFIX, GATEWAY_NODE_PORT, type KubernetesOptions, NODE_FOLDER } from "./options.js";
import { type Place, portOf } from "./place.js";
import { selectorOf } from "./pod.js";
import { storeObjects } from "./store-plan.js";
import { metadataOf, serviceObjects } from "./workload.js";

/** What a marketplace on a cluster follows from. */
export interface KubernetesInput {
  readonly placement: Placement;
  readonly options: KubernetesOptions;
  /** The experiment's. @default none */
  readonly documents?: readonly ExperimentDocument[];
}

/** A marketplace as Kubernetes objects, by part; in each, what others need comes first. */
export interface KubernetesPlan {
  /** Namespace and NetworkPolicies of the core: before all that is in it. */
  readonly coreNamespace: readonly KubeObject[];
  readonly broker: readonly KubeObject[];
  readonly store: readonly KubeObject[];
  /** Orchestrator, policy enforcer and gateway, with the way to the gateway. */
  readonly services: readonly KubeObject[];
  /** The experiment's documents, and what brings them into the marketplace. */
  readonly documents: readonly KubeObject[];
  /** By party. */
  readonly agents: Readonly<Record<string, readonly KubeObject[]>>;
}

/** A marketplace's objects. Asks nobody, and holds no secret. @throws InfraError K8S-NAMESPACE, K8S-DOCUMENT-SIZE */
export function planKubernetes({ placement, options, documents = [] }: KubernetesInput): KubernetesPlan {
  const parties = placement.agents.map(({ party }) => party);
  checkNamespaces(options.namespacePrefix ?? DEFAULT_PREFIX, parties);
  const core = corePlace(placement.core, options);
  return {
    coreNamespace: coreNamespaceObjects(core, options),
    broker: brokerObjects(parties, core),
    store: storeObjects(parties, core),
    services: coreObjects(core, options),
    documents: documentObjects(documents, core),
    agents: Object.fromEntries(
      placement.agents.map((agent) => [
        agent.party,
        agentObjects(agent, partyPlace(agent.party, agent.node, options)),
      ]),
    ),
  };
}

/** All objects of a plan. */
export const allObjects = (plan: KubernetesPlan): readonly KubeObject[] => [
  ...plan.coreNamespace,
  ...plan.broker,
  ...plan.store,
  ...plan.services,
  ...plan.documents,
  ...Object.values(plan.agents).flat(),
];

/** Folders that must be there on each node of the cluster before its volumes can be used; empty with a storage class. */
export function foldersByNode(objects: readonly KubeObject[]): Readonly<Record<string, readonly string[]>> {
  const folders: Record<string, string[]> = {};
  for (const object of objects) {
    if (object.kind !== "PersistentVolume") continue;
    const path = object.spec?.local?.path;
    const host =
      object.spec?.nodeAffinity?.required?.nodeSelectorTerms[0]?.matchExpressions?.[0]?.values?.[0];
    if (path === undefined || host === undefined || !path.startsWith(NODE_FOLDER)) continue;
    folders[host] = [...(folders[host] ?? []), path].sort();
  }
  return folders;
}

/** References of the images that each node of the cluster runs, those of an agent's jobs included. */
export function imagesByNode(objects: readonly KubeObject[]): Readonly<Record<string, readonly string[]>> {
  const images: Record<string, Set<string>> = {};
  for (const { spec } of objects.flatMap((object) =>
    [podTemplate(object), jobTemplateOf(object)].flatMap((t) => t ?? []),
  )) {
    const host = spec?.nodeSelector?.["kubernetes.io/hostname"];
    if (host === undefined) continue;
    images[host] ??= new Set();
    for (const { image } of spec?.containers ?? []) if (image !== undefined) images[host].add(image);
  }
  return Object.fromEntries(Object.entries(images).map(([host, found]) => [host, [...found].sort()]));
}

/** Where the core's services are. */
export function corePlace(node: string, options: KubernetesOptions): Place {
  const namespace = coreNamespace(options.namespacePrefix ?? DEFAULT_PREFIX);
  return placeOf("core", node, namespace, options);
}

/** Where a party's agent is. */
export function partyPlace(party: string, node: string, options: KubernetesOptions): Place {
  const place = placeOf(
    "agent",
    node,
    partyNamespace(options.namespacePrefix ?? DEFAULT_PREFIX, party),
    options,
  );
  return {
    ...place,
    dataFolder: options.dataFolders?.[party],
    services: { ...place.services, [agentService(party)]: place.namespace },
  };
}

function placeOf(type: Place["type"], node: string, namespace: string, options: KubernetesOptions): Place {
  const prefix = options.namespacePrefix ?? DEFAULT_PREFIX;
  const core = coreNamespace(prefix);
  return {
    namespace,
    host: options.hosts?.[node] ?? node,
    type,
    marketplace: prefix,
    images: options.images,
    storageClass: options.storageClass,
    services: Object.fromEntries(servicesOfCore(options.users).map(({ name }) => [name, core])),
  };
}

const servicesOfCore = (users: KubernetesOptions["users"]): readonly ServiceSpec[] =>
  coreServices({ placement: { core: "core", agents: [] }, users });

/** The core's namespace, and who may speak to whom in it. */
export const coreNamespaceObjects = (
  place: Place,
  { users }: Pick<KubernetesOptions, "users">,
): readonly KubeObject[] => [
  ...namespaceObjects("core", place),
  ...networkPolicies("core", place, users.issuer),
];

/** The core's services that are neither broker nor store, and the gateway's way out. */
export function coreObjects(place: Place, options: KubernetesOptions): readonly KubeObject[] {
  const apart = [EPMD, BROKER, STORE];
  return [
    ...servicesOfCore(options.users)
      .filter(({ name }) => !apart.includes(name))
      .flatMap((spec) => serviceObjects(spec, place)),
    gatewayDoor(place, options),
  ];
}

function gatewayDoor(
  place: Place,
  { ingressClass, ingressHost, gatewayNodePort = GATEWAY_NODE_PORT }: KubernetesOptions,
): KubeObject {
  const http = portOf("http");
  if (ingressClass === undefined) {
    return {
      apiVersion: "v1",
      kind: "Service",
      metadata: metadataOf(`${GATEWAY}-door`, place),
      spec: {
        type: "NodePort",
        selector: selectorOf({ name: GATEWAY }, place),
        ports: [{ name: "http", port: http, targetPort: "http", nodePort: gatewayNodePort }],
      },
    };
  }
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: metadataOf(GATEWAY, place),
    spec: {
      ingressClassName: ingressClass,
      rules: [
        {
          ...(ingressHost === undefined ? {} : { host: ingressHost }),
          http: {
            paths: [
              {
                path: "/",
                pathType: "Prefix",
                backend: { service: { name: label(GATEWAY), port: { name: "http" } } },
              },
            ],
          },
        },
      ],
    },
  };
}
