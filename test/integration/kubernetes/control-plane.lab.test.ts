/** The plan's objects and an agent's job runner against Kubernetes' own API server and controllers. No node: a kubelet is played. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { type KubeObject, ofKind, podTemplate } from "../../../dynamos/kubernetes/objects.js";
import { allObjects, planKubernetes } from "../../../dynamos/kubernetes/plan.js";
import type { JobService } from "../../../policy/agent/runner.js";
import { KubernetesRunner } from "../../../policy/agent/runner-kubernetes.js";
import { ClusterApi } from "../../../policy/agent/runner-kubernetes-api.js";
import { jobName, type KubeJob, type KubePod } from "../../../policy/agent/runner-kubernetes-job.js";
import { createLogger } from "../../../policy/platform/log.js";
import { type ControlPlane, startControlPlane } from "../../support/control-plane.js";
import { ended, imageMissing, PlayedKubelet, running } from "../../support/played-kubelet.js";
import { imagesOf, markets, USERS } from "../../support/random-market.js";
import { until } from "../../support/servers.js";

const PATHS: Readonly<Record<string, string>> = {
  v1: "/api/v1",
  "apps/v1": "/apis/apps/v1",
  "batch/v1": "/apis/batch/v1",
  "networking.k8s.io/v1": "/apis/networking.k8s.io/v1",
  "rbac.authorization.k8s.io/v1": "/apis/rbac.authorization.k8s.io/v1",
};
const PLURALS: Readonly<Record<string, string>> = { Ingress: "ingresses", NetworkPolicy: "networkpolicies" };
const NODE = "worker-2";
const DEPLOYER = "deployer";
const log = createLogger("test", "silent");

let plane: ControlPlane;
let kubelet: PlayedKubelet;

const collection = ({ apiVersion, kind, metadata }: KubeObject): string =>
  [
    PATHS[apiVersion],
    ...(metadata.namespace === undefined ? [] : ["namespaces", metadata.namespace]),
    PLURALS[kind] ?? `${kind.toLowerCase()}s`,
  ].join("/");

beforeAll(async () => {
  plane = await startControlPlane();
  await plane.call("POST", "/api/v1/nodes", { metadata: { name: NODE }, spec: {} });
  kubelet = new PlayedKubelet(plane, NODE);
}, 1_800_000);
afterAll(async () => {
  await kubelet?.stop();
  await plane?.stop();
}, 60_000);

describe("the API server of Kubernetes 1.34", () => {
  it("takes every object of any marketplace, and every pod under the restricted Pod Security standard", async () => {
    // With the rights that docs/kubernetes.md lists, and no others.
    const role = parse(
      /```yaml\n(apiVersion[^`]+)```/.exec(readFileSync("docs/kubernetes.md", "utf8"))?.[1] ?? "",
    );
    const rbac = "/apis/rbac.authorization.k8s.io/v1";
    expect((await plane.call("POST", `${rbac}/clusterroles`, role)).status).toBe(201);
    const binding = {
      metadata: { name: "deployer" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role.metadata.name },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: DEPLOYER }],
    };
    expect((await plane.call("POST", `${rbac}/clusterrolebindings`, binding)).status).toBe(201);
    const dry = "?dryRun=All&fieldValidation=Strict";
    let count = 0;
    const refused: string[] = [];
    const ask = async (path: string, object: object, what: string, user?: string): Promise<void> => {
      // A Role is really made: who binds one must hold what it gives, which is checked against the Role itself.
      const query = what.startsWith("Role ") ? "" : dry;
      const { status, body } = await plane.call("POST", `${path}${query}`, object, user);
      count += 1;
      if (status !== 201) refused.push(`${what}: ${status} ${body.message}`);
    };
    const samples = fc.sample(markets, { numRuns: 8, seed: 7 });
    for (const [i, input] of samples.entries()) {
      // A prefix each, so that no namespace is another sample's.
      const objects = allObjects(
        planKubernetes({ ...input, options: { ...input.options, namespacePrefix: `m${i}-` } }),
      );
      for (const namespace of ofKind(objects, "Namespace")) {
        const { status, body } = await plane.call("POST", "/api/v1/namespaces", namespace, DEPLOYER);
        expect(status, body.message).toBe(201);
      }
      for (const object of objects) {
        const { kind, metadata } = object;
        const { namespace } = metadata;
        // Its text, as the component fills it in.
        const sent =
          kind === "Secret" && object.type?.includes("dockerconfig")
            ? { ...object, stringData: { ".dockerconfigjson": "{}" } }
            : object;
        if (kind !== "Namespace") await ask(collection(object), sent, `${kind} ${metadata.name}`, DEPLOYER);
        const template =
          kind === "ConfigMap" && object.data?.["job.json"] !== undefined
            ? (JSON.parse(object.data["job.json"]) as KubeJob).spec.template
            : podTemplate(object);
        if (template === undefined) continue;
        const { serviceAccountName: _later, ...spec } = template.spec as { serviceAccountName?: string };
        const pod = { metadata: { ...template.metadata, name: "p", namespace }, spec };
        await until("the namespace's account", async () => {
          const { status } = await plane.call(
            "GET",
            `/api/v1/namespaces/${namespace}/serviceaccounts/default`,
          );
          return status === 200;
        });
        await ask(`/api/v1/namespaces/${namespace}/pods`, pod, `pod of ${metadata.name}`);
      }
    }
    console.log(`${count} objects and pods asked for`);
    expect(refused).toEqual([]);
  }, 300_000);
});

describe("an agent's jobs on a cluster", () => {
  const plan = planKubernetes({
    placement: { core: NODE, agents: [{ party: "one", node: NODE, role: "agent" }] },
    options: { users: USERS, images: { from: "archive", references: imagesOf() } },
  });
  const objects = plan.agents.one ?? [];
  const namespace = "dynamos-one";
  const template = JSON.parse(
    ofKind(objects, "ConfigMap").map(({ data }) => data?.["job.json"])[0] ?? "",
  ) as KubeJob;
  const open: KubernetesRunner[] = [];
  let token: string;

  const api = (bearer = token): ClusterApi =>
    new ClusterApi({ server: plane.server, ca: plane.ca, token: () => bearer, namespace });
  const runner = async (): Promise<KubernetesRunner> => {
    const made = await KubernetesRunner.open({
      api: api(),
      template,
      log,
      limits: { takenMs: 2_000, runningMs: 4_000 },
    });
    open.push(made);
    return made;
  };
  const service = (name = "vflClient"): JobService => ({
    job: randomBytes(16).toString("hex"),
    service: name,
    entry: "microservices/vfl-client.mts",
    queue: "q",
    roundMs: 60_000,
  });
  const items = async (kind: "pods" | "jobs"): Promise<readonly KubePod[]> => {
    const path = kind === "pods" ? "/api/v1" : "/apis/batch/v1";
    const { body } = await plane.call("GET", `${path}/namespaces/${namespace}/${kind}`);
    return body.items as readonly KubePod[];
  };
  const isRunning = async (): Promise<boolean> =>
    (await items("pods")).some(({ status }) => status?.phase === "Running");

  beforeAll(async () => {
    for (const object of objects) {
      if (!["Namespace", "ServiceAccount", "Role", "RoleBinding"].includes(object.kind)) continue;
      const { status, body } = await plane.call("POST", collection(object), object);
      expect(status, body.message).toBe(201);
    }
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/agent-one/token`;
    const { body } = await plane.call("POST", path, {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: {},
    });
    token = (body.status as { token: string }).token;
  });
  afterEach(async () => {
    kubelet.play = running;
    for (const made of open.splice(0)) await made.close();
    await plane.call("DELETE", `/api/v1/namespaces/${namespace}/resourcequotas/q`);
  });

  it("are pinned to its node, found again by their id, and gone when they are stopped", async () => {
    const one = await runner();
    const [first, second] = [service(), service()];
    const [a, again, b] = await Promise.all([one.ensure(first), one.ensure(first), one.ensure(second)]);
    expect(again).toBe(a);
    expect(b).not.toBe(a);
    await until("two pods", async () => (await items("pods")).length === 2);
    for (const pod of await items("pods")) expect(pod.spec?.nodeName).toBe(NODE);
    expect((await items("jobs")).map(({ metadata }) => metadata.name).sort()).toEqual(
      [jobName(first), jobName(second)].sort(),
    );
    await until("it runs", isRunning);
    await one.stop(first.job);
    expect(await a.ended).toMatchObject({ code: "JOB-DIED" });
    expect((await items("pods")).length).toBe(1);
    await one.stop(first.job);
    await one.stop("never");
    await one.close();
    expect(await items("jobs")).toEqual([]);
  });

  it("that an earlier run of the agent left are taken away by the next", async () => {
    const left = new ClusterApi({ server: plane.server, ca: plane.ca, token: () => token, namespace });
    const before = await KubernetesRunner.open({ api: left, template, log });
    await before.ensure(service());
    await until("a pod", async () => (await items("pods")).length === 1);
    await runner(); // as after a kill: nobody closed the one before
    await until(
      "nothing is left",
      async () => [...(await items("jobs")), ...(await items("pods"))].length === 0,
    );
    await before.close();
  });

  it("that cannot start are answered with the reason within seconds: image, node, quota, program", async () => {
    const one = await runner();
    const timed = async (
      kind: string,
      act: () => Promise<{ code: string; message: string }>,
    ): Promise<string> => {
      const begin = performance.now();
      const { code, message } = await act();
      const seconds = (performance.now() - begin) / 1000;
      console.log(`${kind}: ${seconds.toFixed(1)} s: ${message}`);
      expect(seconds).toBeLessThan(6);
      return `${code} ${message}`;
    };
    kubelet.play = imageMissing;
    expect(await timed("image", async () => (await one.ensure(service())).ended)).toContain(
      'JOB-START microservice vflClient could not be started: ErrImageNeverPull: Container image "r/x:1" is not present',
    );
    kubelet.play = () => "down";
    expect(await timed("node down", async () => (await one.ensure(service())).ended)).toContain(
      `JOB-START microservice vflClient could not be started: node ${NODE} has not taken its pod within 2 s`,
    );
    kubelet.play = running;
    await plane.call("POST", `/api/v1/namespaces/${namespace}/resourcequotas`, {
      metadata: { name: "q" },
      spec: { hard: { pods: "0" } },
    });
    await until("the quota is known", async () => {
      const { body } = await plane.call("GET", `/api/v1/namespaces/${namespace}/resourcequotas/q`);
      return (body.status as { hard?: object } | undefined)?.hard !== undefined;
    });
    expect(await timed("quota", async () => (await one.ensure(service())).ended)).toMatch(
      /^JOB-START .*FailedCreate: .*exceeded quota: q/,
    );
    await expect(one.ensure({ ...service(), entry: "../../etc/passwd" })).rejects.toMatchObject({
      code: "JOB-ENTRY",
    });
  }, 60_000);

  it("that end by themselves are told with their last words", async () => {
    const one = await runner();
    const { ended: over } = await one.ensure(service());
    await until("it runs", isRunning);
    kubelet.play = () => ended(1, "starting\nTypeError: rows is not iterable\n    at train\n");
    expect(await over).toMatchObject({
      code: "JOB-DIED",
      message: "microservice vflClient ended with exit code 1 (Error): TypeError: rows is not iterable",
    });
  });

  it("are all that the agent may touch", async () => {
    const own = api();
    const refused = async (bearer: ClusterApi, path: string): Promise<unknown> =>
      await bearer.list(path, {}).then(
        () => "allowed",
        (error: { status?: number }) => error.status,
      );
    expect(await refused(own, "apis/batch/v1/jobs")).toBe("allowed");
    expect(await refused(own, "api/v1/pods")).toBe("allowed");
    for (const path of ["api/v1/secrets", "api/v1/configmaps", "apis/apps/v1/deployments"])
      expect(await refused(own, path)).toBe(403);
    const elsewhere = new ClusterApi({
      server: plane.server,
      ca: plane.ca,
      token: () => token,
      namespace: "default",
    });
    expect(await refused(elsewhere, "apis/batch/v1/jobs")).toBe(403);
    await expect(elsewhere.create("apis/batch/v1/jobs", template)).rejects.toMatchObject({ status: 403 });
    await expect(KubernetesRunner.open({ api: api("nobody"), template, log })).rejects.toMatchObject({
      code: "JOB-CLUSTER",
    });
    await own.close();
    await elsewhere.close();
  });

  it("cannot be made to do more than a job may: the namespace takes no privileged pod", async () => {
    const one = api();
    const pods = template.spec.template;
    const bent = {
      ...template,
      metadata: { ...template.metadata, name: "bent" },
      spec: { ...template.spec, template: { ...pods, spec: { ...pods.spec, hostNetwork: true } } },
    };
    expect(await one.create("apis/batch/v1/jobs", bent)).toBe(true);
    await until("its pod is refused", async () => {
      const { body } = await plane.call("GET", `/api/v1/namespaces/${namespace}/events`);
      return JSON.stringify(body).includes('violates PodSecurity \\"restricted');
    });
    expect(await items("pods")).toEqual([]);
    await one.delete("apis/batch/v1/jobs", "bent");
    await one.close();
  });
});
