import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readExperiment } from "../../../../dynamos/experiment.js";
import { partyNamespace } from "../../../../dynamos/kubernetes/names.js";
import {
  type Container,
  type KubeObject,
  type ObjectOf,
  ofKind,
  type PodTemplate,
  podTemplate,
  secretsOf,
} from "../../../../dynamos/kubernetes/objects.js";
import { DEFAULT_PREFIX } from "../../../../dynamos/kubernetes/options.js";
import {
  allObjects,
  foldersByNode,
  imagesByNode,
  type KubernetesInput,
  planKubernetes,
} from "../../../../dynamos/kubernetes/plan.js";
import { agentService, placementOf } from "../../../../dynamos/placement.js";
import { resolveSpec } from "../../../../dynamos/spec.js";
import { imagesOf, markets, USERS } from "../../../support/random-market.js";
import { paperStack } from "../paper-stack.js";

interface Pods {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: NonNullable<PodTemplate["spec"]>;
}

/** The pods of an object, and those that an agent makes from its template. */
function podsOf(object: KubeObject): Pods[] {
  const template = object.kind === "ConfigMap" ? jobOf(object)?.spec?.template : podTemplate(object);
  if (template?.spec === undefined) return [];
  return [
    {
      namespace: object.metadata.namespace ?? "",
      labels: template.metadata?.labels ?? {},
      spec: template.spec,
    },
  ];
}

const jobOf = ({ data }: ObjectOf<"ConfigMap">): ObjectOf<"Job"> | undefined =>
  data?.["job.json"] === undefined ? undefined : (JSON.parse(data["job.json"]) as ObjectOf<"Job">);

const objectsOf = (input: KubernetesInput): readonly KubeObject[] => allObjects(planKubernetes(input));
const containersOf = (objects: readonly KubeObject[]): Container[] =>
  objects.flatMap(podsOf).flatMap(({ spec }) => [...spec.containers, ...(spec.initContainers ?? [])]);
const text = (object: unknown): string => JSON.stringify(object);
const prefixOf = ({ options }: KubernetesInput): string => options.namespacePrefix ?? DEFAULT_PREFIX;

const paper = (): KubernetesInput => {
  const { spec } = resolveSpec(paperStack());
  if (spec === undefined) throw new Error("the paper's stack is not valid");
  return {
    placement: placementOf(spec),
    options: { users: USERS, images: { from: "registry", references: imagesOf() } },
  };
};

describe("a marketplace on a cluster", () => {
  it("has every pod, job and volume of a party on the party's node, and the core's on the core's", () => {
    fc.assert(
      fc.property(markets, (input) => {
        const plan = planKubernetes(input);
        const check = (objects: readonly KubeObject[], host: string): void => {
          for (const { spec } of objects.flatMap(podsOf))
            expect(spec.nodeSelector).toEqual({ "kubernetes.io/hostname": host });
          for (const volume of ofKind(objects, "PersistentVolume"))
            expect(text(volume.spec?.nodeAffinity)).toContain(
              text({ key: "kubernetes.io/hostname", operator: "In", values: [host] }),
            );
          for (const map of ofKind(objects, "ConfigMap"))
            expect([host, undefined]).toContain(jobOf(map)?.spec?.template.spec?.nodeName);
        };
        const { agents: _parties, ...core } = plan;
        check(Object.values(core).flat(), input.placement.core);
        for (const { party, node } of input.placement.agents) {
          const objects = plan.agents[party] ?? [];
          check(objects, node);
          expect(objects.flatMap(podsOf)).toHaveLength(2); // the agent, and its jobs
        }
      }),
    );
  });

  it("has Services that find the pods of exactly one service: an agent's never those of its jobs", () => {
    fc.assert(
      fc.property(markets, (input) => {
        const objects = objectsOf(input);
        const pods = objects.flatMap(podsOf);
        for (const { metadata, spec } of ofKind(objects, "Service")) {
          const wanted = Object.entries(spec?.selector ?? {});
          expect(wanted.map(([key]) => key)).toContain("type");
          const found = pods.filter(
            ({ namespace, labels }) =>
              namespace === metadata.namespace && wanted.every(([key, value]) => labels[key] === value),
          );
          expect(found).toHaveLength(1);
          expect(["core", "agent"]).toContain(found[0]?.labels.type);
        }
        for (const { party } of input.placement.agents) {
          const namespace = partyNamespace(prefixOf(input), party);
          const own = ofKind(objects, "Service").filter((s) => s.metadata.namespace === namespace);
          expect(own.map((s) => s.spec?.selector?.type)).toEqual(["agent"]);
        }
      }),
    );
  });

  it("names secrets, and holds none", () => {
    fc.assert(
      fc.property(markets, (input) => {
        const objects = objectsOf(input);
        for (const secret of ofKind(objects, "Secret")) {
          expect(secret.data).toBeUndefined();
          for (const value of Object.values(secret.stringData ?? {}))
            expect(value).toMatch(/\{\{(secret|rabbitmqHash|agentKey):[a-z0-9-]+\}\}/);
        }
        // Nothing else even names one by value: a placeholder that is left would be one that nobody fills in.
        for (const object of objects) if (object.kind !== "Secret") expect(text(object)).not.toMatch(/\{\{/);
        for (const { env } of containersOf(objects)) expect(text(env)).not.toContain("secretKeyRef");
        expect(secretsOf(objects)).toContain("broker-admin");
      }),
    );
  });

  it("gives every object a name that Kubernetes takes, and no two the same", () => {
    fc.assert(
      fc.property(markets, (input) => {
        const objects = objectsOf(input);
        const label = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/;
        for (const { kind, metadata } of objects) {
          expect(metadata.name, kind).toMatch(label);
          if (metadata.namespace !== undefined) expect(metadata.namespace).toMatch(label);
          for (const value of Object.values(metadata.labels ?? {}))
            expect(value).toMatch(/^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/);
        }
        for (const { labels, spec } of objects.flatMap(podsOf)) {
          for (const value of Object.values(labels)) expect(value.length).toBeLessThanOrEqual(63);
          for (const name of [...spec.containers, ...(spec.volumes ?? [])].map((part) => part.name))
            expect(name).toMatch(label);
          for (const port of spec.containers.flatMap((c) => c.ports ?? []))
            expect(port.name).toMatch(/^[a-z]([-a-z0-9]{0,13}[a-z0-9])?$/);
        }
        for (const map of ofKind(objects, "ConfigMap"))
          for (const key of Object.keys(map.data ?? {})) expect(key).toMatch(/^[-._a-zA-Z0-9]{1,253}$/);
        const ids = objects.map(({ kind, metadata }) => `${kind}/${metadata.namespace}/${metadata.name}`);
        expect(new Set(ids).size).toBe(ids.length);
      }),
    );
  });

  it("runs nothing as root, and nothing that could become it or write where it must not", () => {
    fc.assert(
      fc.property(markets, (input) => {
        const objects = objectsOf(input);
        for (const { spec } of objects.flatMap(podsOf)) {
          expect(spec.securityContext).toMatchObject({
            runAsNonRoot: true,
            seccompProfile: { type: "RuntimeDefault" },
          });
          expect(spec.hostNetwork ?? spec.hostPID ?? spec.hostIPC).toBeUndefined();
          for (const volume of spec.volumes ?? []) expect(volume).not.toHaveProperty("hostPath");
        }
        for (const container of containersOf(objects)) {
          expect(container.securityContext).toEqual({
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          });
          expect(Object.keys(container.resources?.limits ?? {})).toEqual(["cpu", "memory"]);
          expect(Object.keys(container.resources?.requests ?? {})).toEqual(["cpu", "memory"]);
        }
        for (const { metadata } of ofKind(objects, "Namespace"))
          expect(metadata.labels).toMatchObject({ "pod-security.kubernetes.io/enforce": "restricted" });
      }),
    );
  });

  it("gives an agent rights in its own namespace only, and a token to nobody else", () => {
    fc.assert(
      fc.property(markets, (input) => {
        const plan = planKubernetes(input);
        for (const { party } of input.placement.agents) {
          const objects = plan.agents[party] ?? [];
          const namespace = partyNamespace(prefixOf(input), party);
          for (const { kind, metadata } of objects)
            if (kind !== "Namespace" && kind !== "PersistentVolume")
              expect(metadata.namespace).toBe(namespace);
          const [role] = ofKind(objects, "Role");
          expect(text(role?.rules)).not.toMatch(/\*|secrets|configmaps|update|patch|exec/);
          const [binding] = ofKind(objects, "RoleBinding");
          expect(binding?.subjects).toEqual([
            { kind: "ServiceAccount", name: role?.metadata.name, namespace },
          ]);
        }
        const withToken = allObjects(plan)
          .flatMap(podsOf)
          .filter(({ spec }) => spec.automountServiceAccountToken !== false);
        expect(withToken.map(({ labels }) => labels.type)).toEqual(input.placement.agents.map(() => "agent"));
      }),
    );
  });

  it("has all that its pods name", () => {
    fc.assert(
      fc.property(markets, (input) => {
        const objects = objectsOf(input);
        const there = new Set(
          objects.map(({ kind, metadata }) => `${metadata.namespace} ${kind} ${metadata.name}`),
        );
        for (const { namespace, spec } of objects.flatMap(podsOf)) {
          const sources = (spec.volumes ?? []).flatMap((volume) => volume.projected?.sources ?? []);
          const named = [
            ...sources.flatMap(({ secret }) => (secret?.name === undefined ? [] : [`Secret ${secret.name}`])),
            ...sources.flatMap(({ configMap: map }) =>
              map?.name === undefined ? [] : [`ConfigMap ${map.name}`],
            ),
            ...(spec.volumes ?? []).flatMap(({ persistentVolumeClaim: claim }) =>
              claim === undefined ? [] : [`PersistentVolumeClaim ${claim.claimName}`],
            ),
            ...(spec.imagePullSecrets ?? []).map(({ name }) => `Secret ${name}`),
            ...(spec.serviceAccountName === undefined ? [] : [`ServiceAccount ${spec.serviceAccountName}`]),
          ];
          for (const name of named) expect(there).toContain(`${namespace} ${name}`);
          const volumes = new Set((spec.volumes ?? []).map(({ name }) => name));
          for (const mount of spec.containers.flatMap((c) => c.volumeMounts ?? []))
            expect(volumes).toContain(mount.name);
        }
      }),
    );
  });

  it("lets services listen on their pod's address, and find each other by name", () => {
    const ours = containersOf(objectsOf(paper())).filter(({ name }) => !["broker", "store"].includes(name));
    for (const { env } of ours) expect(text(env)).not.toMatch(/127\.0\.0\.1|localhost/);
    const agent = ours.find(({ name }) => name === "agent-clientone")?.env;
    expect(Object.fromEntries((agent ?? []).map(({ name, value }) => [name, value]))).toMatchObject({
      AMQP_HOST: "broker.dynamos-core.svc",
      AMQP_PORT: "5672",
      ETCD_ENDPOINT: "store.dynamos-core.svc:2379",
      HTTP_HOST: "0.0.0.0",
      HTTP_ADVERTISE: "agent-clientone.dynamos-clientone.svc:8080",
    });
  });

  it("changes for nobody when an agent comes, but for the lists of users at broker and store", () => {
    fc.assert(
      fc.property(markets, markets, (input, { placement: { agents } }) => {
        const [comer] = agents;
        fc.pre(comer !== undefined && !input.placement.agents.some((a) => same(a.party, comer.party)));
        if (comer === undefined) return;
        const more = { ...input.placement, agents: [...input.placement.agents, comer] };
        const before = planKubernetes(input);
        const { broker, store, agents: after, ...rest } = planKubernetes({ ...input, placement: more });
        const { [comer.party]: _its, ...others } = after;
        const { broker: ownBroker, store: ownStore, ...unmoved } = before;
        expect({ ...rest, agents: others }).toEqual(unmoved);
        const changed = (now: readonly KubeObject[], then: readonly KubeObject[]): KubeObject[] =>
          now.filter((object, i) => text(object) !== text(then[i]));
        // Their own pods are not among them: neither is restarted.
        expect(changed(broker, ownBroker).map(({ kind }) => kind)).toEqual(["Secret", "Job"]);
        expect(changed(store, ownStore).map(({ kind }) => kind)).toEqual(["ConfigMap", "Secret", "Job"]);
        for (const part of [changed(broker, ownBroker), changed(store, ownStore)])
          expect(text(part)).toContain(agentService(comer.party));
      }),
    );
  });

  it("says which images each node runs, those of an agent's jobs included", () => {
    const images = imagesByNode(objectsOf(paper()));
    const short = (host: string) => images[host]?.map((image) => image.replace(/^.*\/|:.*$/g, ""));
    expect(short("core")).toEqual(["broker", "enforcer", "gateway", "orchestrator", "setup", "store"]);
    expect(short("clienttwo")).toEqual(["agent", "microservice"]);
    expect(images.control).toBeUndefined();
  });

  it("keeps what must be kept in folders of the nodes, or where the storage class says", () => {
    const input = paper();
    expect(foldersByNode(objectsOf(input)).core).toEqual([
      "/var/lib/dynamos-fabric/dynamos-core/broker",
      "/var/lib/dynamos-fabric/dynamos-core/policy-enforcer",
      "/var/lib/dynamos-fabric/dynamos-core/store",
    ]);
    const objects = objectsOf({ ...input, options: { ...input.options, storageClass: "fast" } });
    expect(ofKind(objects, "PersistentVolume")).toEqual([]);
    expect(foldersByNode(objects)).toEqual({});
    for (const { spec } of ofKind(objects, "PersistentVolumeClaim"))
      expect(spec?.storageClassName).toBe("fast");
  });

  it("reaches the gateway by its node port, or by an Ingress where there is a class for it", () => {
    const input = paper();
    expect(text(objectsOf(input))).toContain('"nodePort":30080');
    const behind = objectsOf({
      ...input,
      options: { ...input.options, ingressClass: "nginx", ingressHost: "market.example" },
    });
    expect(text(behind)).not.toContain("nodePort");
    const [ingress] = ofKind(behind, "Ingress");
    expect(ingress?.spec?.rules?.[0]?.host).toBe("market.example");
  });

  it("has a map a document and a Job of another name where one of them is another", () => {
    const input = paper();
    const { experiment } = readExperiment(join(process.cwd(), "examples/titanic"));
    const jobOfDocuments = (documents: KubernetesInput["documents"]): string | undefined =>
      ofKind(planKubernetes({ ...input, documents: documents ?? [] }).documents, "Job")[0]?.metadata.name;
    const { documents } = planKubernetes({ ...input, documents: experiment.documents });
    const maps = ofKind(documents, "ConfigMap");
    expect(maps).toHaveLength(experiment.documents.length);
    const [agreement] = experiment.documents.filter(({ kind }) => kind === "agreement");
    expect(maps.map(({ metadata }) => metadata.name)).toContain(`agreement-${agreement?.name}`);
    const all = experiment.documents;
    expect(jobOfDocuments(all)).toBe(jobOfDocuments([...all]));
    const changed = all.map((one) =>
      one === agreement ? { ...one, value: { ...one.value, archetypes: [] } } : one,
    );
    expect(jobOfDocuments(changed)).not.toBe(jobOfDocuments(all));
    expect(jobOfDocuments([])).toBeUndefined();
    const huge = all.map((one) => ({ ...one, value: { ...one.value, schema: "x".repeat(1_000_000) } }));
    expect(() => planKubernetes({ ...input, documents: huge })).toThrow(
      expect.objectContaining({ code: "K8S-DOCUMENT-SIZE" }),
    );
  });

  it("says of two parties that would share a namespace that they would", () => {
    const input = paper();
    const agents = [{ party: "Core", node: "a", role: "agent" as const }];
    expect(() => planKubernetes({ ...input, placement: { core: "core", agents } })).toThrow(
      expect.objectContaining({ code: "K8S-NAMESPACE" }),
    );
    for (const namespacePrefix of ["", "Upper", "kube-", "9", "a".repeat(21)])
      expect(() => planKubernetes({ ...input, options: { ...input.options, namespacePrefix } })).toThrow(
        expect.objectContaining({ code: "K8S-NAMESPACE" }),
      );
  });

  it("is this for the paper's stack", () => {
    expect(planKubernetes(paper())).toMatchSnapshot();
  });
});

const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
