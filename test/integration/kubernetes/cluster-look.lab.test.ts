/** What the preflight finds out about an existing cluster, from a real API server. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { documentsToChange } from "../../../dynamos/cluster-changes.js";
import { existingClusterProblems } from "../../../dynamos/cluster-look.js";
import { readExperiment } from "../../../dynamos/experiment.js";
import { OUR_IMAGES } from "../../../dynamos/images/names.js";
import { ofKind } from "../../../dynamos/kubernetes/objects.js";
import { planKubernetes } from "../../../dynamos/kubernetes/plan.js";
import { placementOf } from "../../../dynamos/placement.js";
import { resolveSpec } from "../../../dynamos/spec.js";
import { accessOf } from "../../../infra/cluster/access.js";
import { ApiServer } from "../../../infra/cluster/api-server.js";
import { type ControlPlane, startControlPlane } from "../../support/control-plane.js";
import { imagesOf, USERS } from "../../support/random-market.js";

const folder = mkdtempSync(join(tmpdir(), "cluster-look-"));
let plane: ControlPlane;

const look = async (kubeconfig: string, core = "worker-1", storageClass?: string) => {
  const references = Object.fromEntries(OUR_IMAGES.map((name) => [name, { image: `r/${name}:1` }]));
  const file = join(folder, "kubeconfig");
  writeFileSync(file, kubeconfig, { mode: 0o600 });
  const { spec, problems } = resolveSpec({
    target: "kubernetes",
    experiment: "examples/titanic",
    users: { issuer: "https://login.example" },
    nodes: { core: { role: "core", host: core }, server: { role: "agent", host: "worker-2" } },
    kubernetes: {
      kubeconfig: file,
      images: { references },
      ...(storageClass === undefined ? {} : { storageClass }),
    },
  });
  if (spec === undefined) throw new Error(JSON.stringify(problems));
  const { experiment } = readExperiment(join(process.cwd(), "examples/titanic"));
  return await existingClusterProblems({
    spec,
    placement: placementOf(spec),
    experiment,
    project: process.cwd(),
  });
};
const told = ({ problems, notes }: Awaited<ReturnType<typeof look>>): string[] =>
  [...problems, ...notes].map(({ code, path }) => `${code} ${path}`);

beforeAll(async () => {
  plane = await startControlPlane();
  for (const name of ["worker-1", "worker-2"])
    await plane.call("POST", "/api/v1/nodes", {
      metadata: { name, labels: { "kubernetes.io/hostname": name } },
    });
}, 1_800_000);
afterAll(async () => {
  await plane?.stop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

describe("an existing cluster, before anything is changed", () => {
  it("is well for whoever may do all, and tells of a node that is not there, with the one that was meant", async () => {
    expect(told(await look(plane.kubeconfig))).toEqual([]);
    const wrong = await look(plane.kubeconfig, "worker-11");
    expect(told(wrong)).toEqual(["K8S-NODE-UNKNOWN nodes.core.host"]);
    expect(wrong.problems[0]?.message).toContain("did you mean worker-1?");
  });

  it("tells of a cordoned node, of one that other pods are pinned to, and of a class that is not there", async () => {
    const patch = (name: string, body: object) => plane.call("PATCH", `/api/v1/nodes/${name}`, body);
    await patch("worker-2", { spec: { unschedulable: true } });
    await patch("worker-1", { metadata: { labels: { "kubernetes.io/hostname": "elsewhere" } } });
    expect(told(await look(plane.kubeconfig, "worker-1", "fast"))).toEqual([
      "K8S-NODE-HOSTNAME nodes.core.host",
      "K8S-STORAGE-CLASS kubernetes.storageClass",
      "K8S-NODE-UNWELL nodes.server.host",
    ]);
    await patch("worker-2", { spec: { unschedulable: null } });
    await patch("worker-1", { metadata: { labels: { "kubernetes.io/hostname": "worker-1" } } });
  });

  it("tells of a volume that lies on a node that has left", async () => {
    const volume = {
      metadata: { name: "dynamos-core-store-x", labels: { "app.kubernetes.io/part-of": "dynamos-fabric" } },
      spec: {
        capacity: { storage: "1Gi" },
        accessModes: ["ReadWriteOnce"],
        local: { path: "/var/lib/dynamos-fabric/dynamos-core/store" },
        nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: ["worker-9"] }] }] } }, // biome-ignore format: one line
      },
    };
    const { label } = await import("../../../dynamos/kubernetes/names.js");
    const name = label("dynamos-core.store");
    expect((await plane.call("POST", "/api/v1/persistentvolumes", { ...volume, metadata: { ...volume.metadata, name } })).status).toBe(201); // biome-ignore format: one line
    const { problems } = await look(plane.kubeconfig);
    expect(problems).toEqual([expect.objectContaining({ code: "K8S-VOLUME-NODE", path: "nodes.core.host" })]);
    expect(problems[0]?.message).toContain("worker-9, which has left the cluster");
    // No controller of volumes runs here, who would take this off.
    await plane.call("PATCH", `/api/v1/persistentvolumes/${name}`, { metadata: { finalizers: null } });
    await plane.call("DELETE", `/api/v1/persistentvolumes/${name}`);
  });

  it("tells of rights that are missing, and of none once docs/kubernetes.md's are there", async () => {
    const account = "/api/v1/namespaces/default/serviceaccounts";
    await plane.call("POST", account, { metadata: { name: "deployer" } });
    const { body } = await plane.call("POST", `${account}/deployer/token`, { spec: {} });
    const config = parse(plane.kubeconfig) as { users: { user: object }[] };
    config.users = [{ ...config.users[0], user: { token: (body.status as { token: string }).token } }];
    const own = stringify(config);
    const before = await look(own);
    expect(before.problems.map(({ code }) => code)).toEqual(["K8S-NOT-ALLOWED", "K8S-NOT-ALLOWED"]);
    expect(before.problems[0]?.message).toMatch(
      /^in dynamos-\w+ you may not get, list, watch, create, patch, delete /,
    );

    const role = parse(/```yaml\n(apiVersion[^`]+)```/.exec(readFileSync("docs/kubernetes.md", "utf8"))?.[1] ?? "") as { metadata: { name: string } }; // biome-ignore format: one line
    const rbac = "/apis/rbac.authorization.k8s.io/v1";
    expect((await plane.call("POST", `${rbac}/clusterroles`, role)).status).toBe(201);
    await plane.call("POST", `${rbac}/clusterrolebindings`, {
      metadata: { name: "deployer" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role.metadata.name },
      subjects: [{ kind: "ServiceAccount", name: "deployer", namespace: "default" }],
    });
    expect(told(await look(own))).toEqual([]);
    // Now it may see the nodes too.
    expect(told(await look(own, "worker-11"))).toEqual(["K8S-NODE-UNKNOWN nodes.core.host"]);
  });

  it("tells in words which documents a preview would change", async () => {
    const { experiment } = readExperiment(join(process.cwd(), "examples/titanic"));
    const api = new ApiServer(await accessOf(plane.kubeconfig));
    const changes = (documents = experiment.documents) => documentsToChange(api, "dynamos-core", documents);
    expect(await changes()).toEqual([]);
    await plane.call("POST", "/api/v1/namespaces", { metadata: { name: "dynamos-core" } });
    const images = { from: "registry" as const, references: imagesOf() };
    const { documents } = planKubernetes({
      placement: { core: "worker-1", agents: [] },
      options: { users: USERS, images },
      documents: experiment.documents,
    });
    for (const map of ofKind(documents, "ConfigMap"))
      expect((await plane.call("POST", "/api/v1/namespaces/dynamos-core/configmaps", map)).status).toBe(201);
    expect(await changes()).toEqual([]);
    const [gone, ...rest] = experiment.documents.filter(({ kind }) => kind === "agreement");
    const narrowed = rest.map((one, i) =>
      i === 0 ? { ...one, value: { ...one.value, archetypes: ["computeToData", "another"] } } : one,
    );
    const others = experiment.documents.filter(({ kind }) => kind !== "agreement");
    const lines = await changes([...others, ...narrowed]);
    expect(lines).toContain(`- agreement ${gone?.name}`);
    expect(lines).toContain(`~ agreement ${narrowed[0]?.name}`);
    expect(lines).toContain('    + archetypes: "another"');
    await api.close();
  });

  it("is a note where it does not answer", async () => {
    const away = plane.kubeconfig.replace(plane.server, "https://127.0.0.1:9");
    expect(told(await look(away))).toEqual(["K8S-NOT-ASKED kubernetes"]);
  });
});
