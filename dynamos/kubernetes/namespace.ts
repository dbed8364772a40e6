import { label } from "./names.js";
import type { KubeObject, ObjectOf } from "./objects.js";
import type { Place } from "./place.js";
import { labelsOf, PULL_SECRET } from "./pod.js";
import { metadataOf } from "./workload.js";

/** What stands in a namespace: the core, or one party. */
export const ROLE_LABEL = "dynamos-fabric/role";

/** A namespace in which only pods run that may do nothing to their node, with the registry's secret where there is one. */
export function namespaceObjects(role: "core" | "party", place: Place): readonly KubeObject[] {
  const { namespace, images } = place;
  return [
    {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: {
        name: namespace,
        labels: {
          ...labelsOf(place),
          [ROLE_LABEL]: role,
          "pod-security.kubernetes.io/enforce": "restricted",
          "pod-security.kubernetes.io/warn": "restricted",
        },
      },
    },
    ...(images.pullSecret === true
      ? [
          {
            apiVersion: "v1",
            kind: "Secret",
            metadata: metadataOf(PULL_SECRET, place),
            type: "kubernetes.io/dockerconfigjson",
            stringData: { ".dockerconfigjson": `{{secret:${PULL_SECRET}}}` },
          } as const,
        ]
      : []),
  ];
}

type PolicySpec = NonNullable<ObjectOf<"NetworkPolicy">["spec"]>;
type Peers = NonNullable<NonNullable<PolicySpec["ingress"]>[number]["from"]>;

/** Pods of this marketplace in namespaces of a role. */
const inRole = (role: "core" | "party", place: Place, pods: Readonly<Record<string, string>>): Peers => [
  {
    namespaceSelector: {
      matchLabels: { "dynamos-fabric/marketplace": label(place.marketplace), [ROLE_LABEL]: role },
    },
    podSelector: { matchLabels: { ...pods } },
  },
];

const tcp = (...ports: number[]) => ports.map((port) => ({ protocol: "TCP", port }));
const DNS = { ports: [{ protocol: "UDP", port: 53 }, ...tcp(53)] };
/** The API server, whose address no selector knows. */
const API_SERVER = { ports: tcp(443, 6443) };
/** The users' issuer is somewhere outside: its keys are asked for there. */
const portOfUrl = (url: string): number => Number(new URL(url).port) || (url.startsWith("https:") ? 443 : 80);
const AMQP = 5672;
const HTTP = 8080;

/**
 * Who may speak to whom: nobody but those named here. They hold where the cluster's network enforces NetworkPolicies, and change nothing
 * where it does not.
 *
 * @param issuer of the users' tokens, which the core asks for its keys
 */
export function networkPolicies(
  role: "core" | "party",
  place: Place,
  issuer?: string,
): readonly KubeObject[] {
  const policy = (name: string, spec: PolicySpec): KubeObject => ({
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: metadataOf(name, place),
    spec,
  });
  const nothing = policy("nothing-else", {
    podSelector: {},
    policyTypes: ["Ingress", "Egress"],
    egress: [DNS],
  });
  const core = (pods: Readonly<Record<string, string>> = {}): Peers => inRole("core", place, pods);
  const parties = (pods: Readonly<Record<string, string>> = {}): Peers => inRole("party", place, pods);
  if (role === "core") {
    return [
      nothing,
      policy("core", {
        podSelector: { matchLabels: { type: "core" } },
        policyTypes: ["Ingress", "Egress"],
        ingress: [
          { from: core() },
          // The agents take messages and documents; so do their jobs, messages alone.
          { from: parties({ type: "agent" }), ports: tcp(AMQP, 2379) },
          { from: parties({ type: "microservice" }), ports: tcp(AMQP) },
        ],
        egress: [{ to: core() }, { to: parties({ type: "agent" }), ports: tcp(HTTP) }],
      }),
      policy("gateway", {
        podSelector: { matchLabels: { type: "core", app: "api-gateway" } },
        policyTypes: ["Ingress"],
        ingress: [{ ports: tcp(HTTP) }],
      }),
      ...(issuer === undefined
        ? []
        : [
            policy("issuer", {
              podSelector: {
                matchExpressions: [{ key: "app", operator: "In", values: ["api-gateway", "orchestrator"] }],
              },
              policyTypes: ["Egress"],
              egress: [{ ports: tcp(portOfUrl(issuer)) }],
            }),
          ]),
    ];
  }
  return [
    nothing,
    policy("agent", {
      podSelector: { matchLabels: { type: "agent" } },
      policyTypes: ["Ingress", "Egress"],
      ingress: [{ from: [...core(), ...parties({ type: "agent" })], ports: tcp(HTTP) }],
      egress: [
        { to: core(), ports: tcp(AMQP, 2379) },
        { to: parties({ type: "agent" }), ports: tcp(HTTP) },
        API_SERVER,
      ],
    }),
    policy("microservice", {
      podSelector: { matchLabels: { type: "microservice" } },
      policyTypes: ["Egress"],
      egress: [{ to: core({ app: "broker" }), ports: tcp(AMQP) }],
    }),
  ];
}
