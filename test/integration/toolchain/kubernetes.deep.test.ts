/** The kubernetes plugin against the API server and controllers of Kubernetes 1.34; a kubelet is played. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { accessOf } from "../../../infra/cluster/access.js";
import { ApiServer } from "../../../infra/cluster/api-server.js";
import { managerOf } from "../../../infra/toolchain/kubernetes/objects.js";
import { type ControlPlane, startControlPlane } from "../../support/control-plane.js";
import { nameOf, type Preview, TestStack, type Update } from "../../support/engine.js";
import { ended, imageMissing, type Play, PlayedKubelet, running } from "../../support/played-kubelet.js";
import { cases, template } from "./kubernetes-cases.js";

const NODE = "worker-2";
const limit = { timeout: 240_000 };
let plane: ControlPlane;
let kubelet: PlayedKubelet;
const stacks: TestStack[] = [];

interface Declared {
  readonly name: string;
  /** `core.v1.ConfigMap` */
  readonly type: string;
  readonly args: object;
  readonly options?: object;
}
/** A program of these resources on the cluster; each `metadata` is an output. */
const programOf = (resources: readonly Declared[], config: object = {}): string => `
const k8s = require("@pulumi/kubernetes");
const pulumi = require("@pulumi/pulumi");
const live = (value) => {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(live);
  if ("$secret" in value) return pulumi.secret(value.$secret);
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, live(part)]));
};
const provider = new k8s.Provider("cluster", { kubeconfig: process.env.TEST_KUBECONFIG, ...${JSON.stringify(config)} });
let first = [];
for (const { name, type, args, options } of ${JSON.stringify(resources)}) {
  const Type = type.split(".").reduce((found, step) => found[step], k8s);
  const made = new Type(name, live(args), { provider, dependsOn: first, ...options });
  exports[name] = made.metadata;
  if (type.endsWith(".Namespace")) first.push(made);
}
`;

const official = process.env.DYNAMOS_FABRIC_KUBERNETES_PLUGIN;
const stackOf = (resources: readonly Declared[], config?: object): TestStack => {
  const stack = new TestStack({
    program: programOf(resources, config),
    env: {
      TEST_KUBECONFIG: plane.kubeconfig,
      ...(official === undefined ? {} : { PATH: `${dirname(official)}:${process.env.PATH}` }),
    },
  });
  stacks.push(stack);
  return stack;
};
const namespace = (name: string): Declared => ({
  name: `space-${name}`,
  type: "core.v1.Namespace",
  args: { metadata: { name } },
});

/** Jobs end well, all else is ready; by their image some are not. */
const played: Play = (pod) => {
  const { labels = {}, ownerReferences } = pod.metadata as {
    labels?: object;
    ownerReferences?: { kind: string }[];
  };
  if ("missing" in labels) return imageMissing();
  if (ownerReferences?.[0]?.kind === "Job") return ended("fails" in labels ? 3 : 0, "its last words");
  return {
    ...running(),
    conditions: [{ type: "Ready", status: "True", lastTransitionTime: new Date().toISOString() }],
  } as never;
};

beforeAll(async () => {
  plane = await startControlPlane();
  await plane.call("POST", "/api/v1/nodes", { metadata: { name: NODE }, spec: {} });
  kubelet = new PlayedKubelet(plane, NODE);
  kubelet.play = played;
}, 1_800_000);
afterAll(async () => {
  for (const stack of stacks) stack.end();
  await kubelet?.stop();
  await plane?.stop();
}, 60_000);

describe("the kubernetes plugin", limit, () => {
  const all = cases.filter(({ differs }) => differs === undefined || official === undefined);
  const declared = (which: "first" | "next"): Declared[] => [
    namespace("cases"),
    ...all.map(({ type, first, next = first, options }, i) => ({
      name: `c${i}`,
      type,
      args: JSON.parse(JSON.stringify(which === "next" ? next : first).replaceAll("NAME", `c${i}`)) as object,
      ...(options === undefined ? {} : { options }),
    })),
  ];
  let stack: TestStack;
  let first: Update;
  let same: Preview;
  let preview: Preview;
  let second: Update;
  let refreshed: Update;
  let destroyed: Update;

  beforeAll(async () => {
    kubelet.play = played;
    stack = stackOf(declared("first"), { namespace: "cases" });
    const before = await stack.preview();
    expect(before.code, before.text).toBe(0);
    first = await stack.up();
    expect(first.code, first.text).toBe(0);
    same = await stack.preview();
    stack.program(programOf(declared("next"), { namespace: "cases" }));
    preview = await stack.preview();
    expect(preview.code, preview.text).toBe(0);
    second = await stack.up();
    expect(second.code, second.text).toBe(0);
    refreshed = await stack.refresh();
    destroyed = await stack.destroy();
  }, 400_000);

  /** When an update began with a resource's new object, and with its old one. */
  const began = (name: string, what: string): number =>
    second.text.search(new RegExp(`\\S+ kubernetes:\\S+ ${name} ${what}`));

  for (const [i, { says, step = "same" }] of all.entries())
    it(says, () => {
      const found = preview.steps.find(({ urn }) => nameOf(urn) === `c${i}`)?.op ?? "same";
      expect(found).toBe(step === "replace-later" ? "replace" : step);
      if (found !== "replace") return;
      const [made, gone] = [began(`c${i}`, "creating replacement"), began(`c${i}`, "deleting original")];
      expect(Math.min(made, gone), second.text).toBeGreaterThan(-1);
      expect(made > gone).toBe(step === "replace");
    });

  it("changes nothing where nothing changed", () => {
    expect(same.changeSummary, same.text).toEqual({ same: all.length + 3 });
  });

  it("keeps an own name, and makes up one where there is none", () => {
    const [before, after] = [first, second].map(({ outputs }) => outputs[`c${all.length - 1}`]);
    expect(before).toMatchObject({ annotations: { "pulumi.com/autonamed": "true" } });
    expect((before as { name: string }).name).toMatch(new RegExp(`^c${all.length - 1}-[0-9a-f]{7,8}$`));
    expect((after as { name: string }).name).toBe((before as { name: string }).name);
  });

  it("finds nothing to say in a refresh", () => {
    expect(refreshed.code, refreshed.text).toBe(0);
    expect(refreshed.text).toMatch(new RegExp(`${all.length + 3} unchanged`));
  });

  it("has everything away after destroy", async () => {
    expect(destroyed.code, destroyed.text).toBe(0);
    expect(destroyed.resources).toEqual([]);
    expect((await plane.call("GET", "/api/v1/namespaces/cases")).status).toBe(404);
  });

  it("shows no secret, and has none in clear in its state", () => {
    expect(`${first.text}${preview.text}${second.text}${destroyed.text}`).not.toMatch(
      /quiet-word|cXVpZXQtd29yZ/,
    );
    const files = readdirSync(stack.state, { recursive: true, withFileTypes: true }).filter((one) =>
      one.isFile(),
    );
    const texts = files.map((one) => readFileSync(join(one.parentPath, one.name), "utf8"));
    expect(texts.some((text) => text.includes("kubernetes:core/v1:Secret"))).toBe(true);
    expect(texts.filter((text) => /quiet-word|cXVpZXQtd29yZ/.test(text))).toEqual([]);
  });

  it.runIf(official === undefined)("says that a stand-in is at work", () => {
    expect(first.text).toContain(
      "our stand-in works on the cluster: the official kubernetes plugin is not to be had here",
    );
  });
});

describe.runIf(official === undefined)("an object that does not become ready", limit, () => {
  const workload = (
    kind: "Deployment" | "StatefulSet",
    name: string,
    labels: object,
    more: object = {},
  ): Declared => ({
    name,
    type: `apps.v1.${kind}`,
    args: {
      metadata: { name },
      spec: {
        selector: { matchLabels: { app: name } },
        template: { ...template({ app: name, ...labels }), ...more },
      },
    },
  });
  const nowhere = {
    spec: { nodeSelector: { "kubernetes.io/hostname": "gone" }, containers: [{ name: "a", image: "r/x:1" }] },
  };
  const all: readonly (Declared & { readonly shows: RegExp })[] = [
    {
      ...workload("Deployment", "missing", { missing: "1" }),
      shows:
        /K8S-CANNOT-START {2}Deployment bad\/missing cannot start: .*pod missing-\S+: container microservice: ErrImageNeverPull: Container image "r\/x:1" is not present/,
    },
    {
      ...workload("StatefulSet", "kept", { missing: "1" }),
      shows:
        /K8S-CANNOT-START {2}StatefulSet bad\/kept cannot start: .*pod kept-0: container microservice: ErrImageNeverPull/,
    },
    {
      ...workload("Deployment", "nowhere", {}, { metadata: { labels: { app: "nowhere" } }, ...nowhere }),
      shows: /K8S-CANNOT-START {2}Deployment bad\/nowhere .*Unschedulable: 0\/3 nodes are available/,
    },
    {
      ...workload(
        "Deployment",
        "greedy",
        {},
        template({ app: "greedy" }, { resources: { limits: { memory: "9Gi" } } }),
      ),
      shows: /K8S-CANNOT-START {2}Deployment bad\/greedy .*exceeded quota: small/,
    },
    {
      name: "failing",
      type: "batch.v1.Job",
      args: {
        metadata: { name: "failing" },
        spec: { backoffLimit: 0, template: template({ fails: "1" }, {}, { restartPolicy: "Never" }) },
      },
      shows: /K8S-FAILED {2}Job bad\/failing: it failed: BackoffLimitExceeded.*exited with 3: its last words/,
    },
    {
      name: "lonely",
      type: "core.v1.Service",
      args: { metadata: { name: "lonely" }, spec: { selector: { app: "nobody" }, ports: [{ port: 80 }] } },
      options: { customTimeouts: { create: "3s" } },
      shows:
        /K8S-NOT-READY {2}Service bad\/lonely is not ready after 3 s: no pod that its selector names is ready/,
    },
    {
      name: "waiting",
      type: "core.v1.ConfigMap",
      args: {
        metadata: {
          name: "waiting",
          annotations: { "pulumi.com/waitFor": "jsonpath={.data.b}=1", "pulumi.com/timeoutSeconds": "2" },
        },
        data: { a: "1" },
      },
      shows: /K8S-NOT-READY {2}ConfigMap bad\/waiting .*it waits for jsonpath=\{\.data\.b\}=1/,
    },
    {
      name: "theirs",
      type: "core.v1.ConfigMap",
      args: { metadata: { name: "theirs" }, data: { a: "1" } },
      shows: /K8S-EXISTS {2}ConfigMap bad\/theirs is there already/,
    },
  ];
  let update: Update;
  let seconds: number;
  let stop = false;
  let scheduler: Promise<void>;

  /** Says of pods that want the node that is gone what the scheduler says of them. */
  async function schedule(): Promise<void> {
    while (!stop) {
      const { body } = await plane.call("GET", "/api/v1/namespaces/bad/pods?labelSelector=app%3Dnowhere");
      for (const { metadata, status } of (body.items ?? []) as {
        metadata: { name: string };
        status: { conditions?: unknown };
      }[]) {
        if (status.conditions !== undefined) continue;
        const message =
          "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 node(s) didn't match Pod's node affinity/selector. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.";
        const conditions = [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message }];
        await plane.call("PATCH", `/api/v1/namespaces/bad/pods/${metadata.name}/status`, {
          status: { conditions },
        });
      }
      await sleep(100);
    }
  }

  beforeAll(async () => {
    await plane.call("POST", "/api/v1/namespaces", { metadata: { name: "bad" } });
    await plane.call("POST", "/api/v1/namespaces/bad/configmaps", {
      metadata: { name: "theirs" },
      data: { a: "2" },
    });
    await plane.call("POST", "/api/v1/namespaces/bad/resourcequotas", {
      metadata: { name: "small" },
      spec: { hard: { "limits.memory": "1Gi" } },
    });
    await plane.call("POST", "/api/v1/namespaces/bad/limitranges", {
      metadata: { name: "some" },
      spec: { limits: [{ type: "Container", default: { memory: "1Mi" } }] },
    });
    scheduler = schedule();
    const stack = stackOf(all, { namespace: "bad" });
    const started = performance.now();
    update = await stack.up(["--continue-on-error"]);
    seconds = (performance.now() - started) / 1000;
    stop = true;
    await scheduler;
    expect((await stack.destroy()).code).toBe(0);
    await plane.call("DELETE", "/api/v1/namespaces/bad");
  }, 300_000);

  for (const { name, shows } of all)
    it(`is named with why: ${name}`, () => expect(update.text).toMatch(shows));

  it("is told within 30 s, and kept so that the next run mends it", () => {
    expect(seconds).toBeLessThan(45);
    const kept = update.resources.filter(({ type }) => /^kubernetes:(apps|batch|core)/.test(type));
    expect(kept.map(({ urn }) => nameOf(urn)).sort()).toEqual(
      all
        .map(({ name }) => name)
        .filter((name) => name !== "theirs")
        .sort(),
    );
    expect(kept.filter(({ initErrors = [] }) => initErrors.length === 0)).toEqual([]);
  });
});

describe.runIf(official === undefined)("what happened to objects meanwhile", limit, () => {
  it("shows in a preview, and is mended or refused", async () => {
    const config = (name: string, data = "1"): Declared => ({
      name,
      type: "core.v1.ConfigMap",
      args: { metadata: { name }, data: { a: data } },
    });
    const all = [config("gone"), config("shared"), config("killed")];
    const stack = stackOf([namespace("drift"), ...all.slice(0, 2)], {
      namespace: "drift",
      enableConfigMapMutable: true,
    });
    const up = await stack.up();
    expect(up.code, up.text).toBe(0);
    const path = "/api/v1/namespaces/drift/configmaps";
    await plane.call("DELETE", `${path}/gone`);
    await plane.call("PATCH", `${path}/shared`, { data: { b: "theirs" } });
    const first = await stack.preview();
    expect(first.changeSummary, first.text).toEqual({ same: 4, update: 1 });
    expect(first.text).toContain("ConfigMap drift/gone is not there any more: it is made again");
    const mended = await stack.up();
    expect(mended.code, mended.text).toBe(0);
    expect((await plane.call("GET", `${path}/gone`)).body).toMatchObject({ data: { a: "1" } });
    // Another takes a field of ours: told at preview, by name; nothing is overwritten.
    await plane.call("PATCH", `${path}/shared`, { data: { a: "theirs" } });
    const conflict = await stack.preview();
    expect(conflict.code).not.toBe(0);
    expect(conflict.text).toMatch(/K8S-CONFLICT {2}ConfigMap drift\/shared: others have set \.data\.a/);
    const refreshed = await stack.refresh();
    expect(refreshed.resources.find(({ urn }) => nameOf(urn) === "shared")?.inputs).toMatchObject({
      data: { a: "theirs" },
    });
    // What a killed run made is taken over: it has this resource's own manager, and the state knows nothing of it.
    const urn = "urn:pulumi:test::test::kubernetes:core/v1:ConfigMap::killed";
    await applied(`${path}/killed`, { ...all[2]?.args, apiVersion: "v1", kind: "ConfigMap" }, managerOf(urn));
    stack.program(
      programOf([namespace("drift"), config("gone"), config("shared", "theirs"), config("killed", "2")], {
        namespace: "drift",
        enableConfigMapMutable: true,
      }),
    );
    const taken = await stack.up();
    expect(taken.code, taken.text).toBe(0);
    expect((await plane.call("GET", `${path}/killed`)).body).toMatchObject({ data: { a: "2" } });
    expect((await stack.destroy()).code).toBe(0);
  });

  it("is a Job that failed, which is made anew where it says so", async () => {
    const failing: Declared = {
      name: "failing",
      type: "batch.v1.Job",
      args: {
        metadata: { name: "failing", annotations: { "pulumi.com/replaceUnready": "true" } },
        spec: { backoffLimit: 0, template: template({ fails: "1" }, {}, { restartPolicy: "Never" }) },
      },
    };
    const stack = stackOf([namespace("again"), failing], { namespace: "again" });
    const uid = async (): Promise<unknown> =>
      (await plane.call("GET", "/apis/batch/v1/namespaces/again/jobs/failing")).body.metadata;
    expect((await stack.up()).text).toContain("K8S-FAILED");
    const first = await uid();
    expect((await stack.preview()).changeSummary).toEqual({ same: 3, replace: 1 });
    expect((await stack.up()).text).toContain("K8S-FAILED");
    expect(await uid()).not.toMatchObject({ uid: (first as { readonly uid: string }).uid });
    expect((await stack.destroy()).code).toBe(0);
  });

  /** As a run of the plugin applies it. */
  async function applied(path: string, object: object, manager: string): Promise<void> {
    const api = new ApiServer(await accessOf(plane.kubeconfig));
    await api.call("PATCH", path, { body: object, query: { fieldManager: manager } });
  }
});

describe("a cluster that does not answer", limit, () => {
  it.runIf(official === undefined)(
    "lets a preview pass with a warning, and fails an update with its address",
    async () => {
      const nobody = plane.kubeconfig.replace(plane.server, "https://127.0.0.1:9");
      const stack = stackOf([namespace("never")]);
      stack.environment({ TEST_KUBECONFIG: nobody });
      const preview = await stack.preview();
      expect(preview.code, preview.text).toBe(0);
      expect(preview.text).toMatch(/CLU-UNREACHABLE {2}https:\/\/127\.0\.0\.1:9 does not answer/);
      const up = await stack.up();
      expect(up.code).not.toBe(0);
      expect(up.text).toMatch(/Namespace \(space-never\):\n.*CLU-UNREACHABLE/);
    },
  );

  it("is not asked for where it is not known before the update", async () => {
    const text = `
const k8s = require("@pulumi/kubernetes");
const pulumi = require("@pulumi/pulumi");
const first = new k8s.core.v1.Namespace("first", { metadata: { name: "unknown" } }, { provider: new k8s.Provider("one", { kubeconfig: process.env.TEST_KUBECONFIG }) });
const kubeconfig = pulumi.all([first.metadata.uid]).apply(() => process.env.TEST_KUBECONFIG);
new k8s.core.v1.ConfigMap("second", { metadata: { name: "second", namespace: "unknown" } }, { provider: new k8s.Provider("two", { kubeconfig }) });`;
    const stack = stackOf([]);
    stack.program(text);
    const preview = await stack.preview();
    expect(preview.code, preview.text).toBe(0);
    expect(preview.changeSummary).toEqual({ create: 5 });
    const up = await stack.up();
    expect(up.code, up.text).toBe(0);
    expect((await stack.destroy()).code).toBe(0);
  });
});

describe("what the stand-in does not do", limit, () => {
  it.runIf(official === undefined)("is an error at preview, with its code and place", async () => {
    const stack = stackOf([
      { name: "limits", type: "core.v1.LimitRange", args: { metadata: { name: "l" } } },
    ]);
    expect((await stack.preview()).text).toMatch(/K8S-NOT-BUILT.*kubernetes:core\/v1:LimitRange/);
    stack.program(programOf([namespace("never")], { renderYamlToDirectory: "x" }));
    expect((await stack.preview()).text).toMatch(/renderYamlToDirectory.*K8S-NOT-BUILT/);
    const annotations = { "pulumi.com/waitFor": "jsonpath={.items[*].x}" };
    stack.program(
      programOf([
        { name: "waits", type: "core.v1.Namespace", args: { metadata: { name: "w", annotations } } },
      ]),
    );
    expect((await stack.preview()).text).toMatch(/K8S-NOT-BUILT.*waitFor/);
    // What the API server does not take is told in the preview too.
    stack.program(
      programOf([
        {
          name: "wrong",
          type: "core.v1.ConfigMap",
          args: { metadata: { name: "Wrong_", namespace: "default" } },
        },
      ]),
    );
    expect((await stack.preview()).text).toMatch(
      /K8S-REFUSED {2}ConfigMap default\/Wrong_: the API server says no \(422\)/,
    );
  });
});
