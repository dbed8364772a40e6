import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as rpc from "@pulumi/pulumi/runtime/rpc";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Live } from "../../../../infra/cluster/object.js";
import { unknownValue } from "../../../../infra/dynamic.js";
import { checkedConfig, configDifference } from "../../../../infra/toolchain/kubernetes/config.js";
import {
  changesOf,
  difference,
  immutableFields,
  normal,
  pruned,
} from "../../../../infra/toolchain/kubernetes/diff.js";
import { type Kind, kinds, pathOf } from "../../../../infra/toolchain/kubernetes/kinds.js";
import { isUnderstood, readinessOf } from "../../../../infra/toolchain/kubernetes/readiness.js";
import { completed, keptIn, marked, stateOf } from "../../../../infra/toolchain/kubernetes/state.js";
import { revealed } from "../../../../infra/toolchain/plugin-values.js";

const secret = (value: unknown) => ({ [rpc.specialSigKey]: rpc.specialSecretSig, value });
const kindOf = (name: string): Kind => [...kinds.values()].find(({ kind }) => kind === name) as Kind;
const rules = { isMutable: false, ignored: [] as readonly string[] };
const live = (kind: string, more: object = {}, metadata: object = {}): Live => ({
  apiVersion: "v1",
  kind,
  metadata: { name: "a", namespace: "x", generation: 1, ...metadata },
  ...more,
});

it("is at most 900 lines", () => {
  const folder = join(__dirname, "../../../../infra/toolchain/kubernetes");
  const lines = readdirSync(folder).map(
    (file) => readFileSync(join(folder, file), "utf8").split("\n").length - 1,
  );
  expect(lines.length).toBeGreaterThan(5);
  expect(lines.reduce((sum, count) => sum + count)).toBeLessThanOrEqual(900);
});

describe("differences", () => {
  it("are named by paths as the engine writes them", () => {
    const changes = changesOf({ a: [{ b: 1 }, 2], "x/y": 1, c: 1 }, { a: [{ b: 2 }], "x/y": 2, d: {} });
    expect([...changes]).toEqual([
      ["a[0].b", "update"],
      ["a[1]", "delete"],
      ['["x/y"]', "update"],
      ["c", "delete"],
      ["d", "add"],
    ]);
  });

  it("are none for equal values, and some for others", () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => changesOf(value, structuredClone(value)).size === 0));
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
        fc.pre(JSON.stringify(one) !== JSON.stringify(other) && !Object.is(one, -0) && !Object.is(other, -0));
        fc.pre(!JSON.stringify([one, other]).includes("-0"));
        try {
          expect(one).toEqual(other); // keys in another order
        } catch {
          return changesOf(one, other).size > 0;
        }
        return true;
      }),
    );
  });

  it("call for a replacement by kind", () => {
    const seen = (name: string, old: object, wanted: object, more: object = {}) =>
      difference(kindOf(name), { kind: name, ...old }, { kind: name, ...wanted }, { ...rules, ...more })
        .replaces;
    expect(seen("ConfigMap", { data: { a: 1 } }, { data: { a: 2 } })).toEqual(["data.a"]);
    expect(seen("ConfigMap", { data: { a: 1 } }, { data: { a: 2 } }, { isMutable: true })).toEqual([]);
    expect(
      seen("ConfigMap", { data: { a: 1 } }, { data: { a: 2 }, immutable: true }, { isMutable: true }),
    ).toEqual(["data.a"]);
    expect(seen("Secret", { stringData: { a: "1" } }, { stringData: { a: "2" } })).toEqual(["stringData.a"]);
    expect(seen("Secret", { type: "a" }, { type: "b" }, { isMutable: true })).toEqual(["type"]);
    expect(
      seen("Job", { spec: { template: { spec: { a: 1 } } } }, { spec: { template: { spec: { a: 2 } } } }),
    ).toEqual(["spec.template.spec.a"]);
    expect(seen("Job", { spec: { templates: 1 } }, { spec: { templates: 2 } })).toEqual([]);
    expect(seen("Role", { metadata: { name: "a" } }, { metadata: { name: "b" } })).toEqual(["metadata.name"]);
    expect(seen("Deployment", { spec: { replicas: 1 } }, { spec: { replicas: 2 } })).toEqual([]);
  });

  it("are the server's where it was asked: amounts, defaults and what others changed", () => {
    const [old, wanted] = [{ spec: { cpu: "1000m" } }, { spec: { cpu: "1" } }];
    const now = live(
      "Deployment",
      { spec: { cpu: "1", replicas: 5 }, status: { a: 1 } },
      { resourceVersion: "1" },
    );
    const same = { ...now, status: { a: 2 }, metadata: { ...now.metadata, resourceVersion: "2" } };
    const kind = kindOf("Deployment");
    expect(difference(kind, old, wanted, rules, { live: now, applied: same }).changes.size).toBe(0);
    const other = { ...now, spec: { cpu: "1", replicas: 1 } };
    const found = difference(kind, old, wanted, rules, { live: now, applied: other });
    expect([...found.changes]).toEqual([["spec.replicas", "update"]]);
    expect(found.replaces).toEqual([]);
    const ignored = { ...rules, ignored: ['spec["replicas"]'] };
    expect(difference(kind, old, wanted, ignored, { live: now, applied: other }).changes.size).toBe(0);
    // Its "no" to a change in place makes it a replacement.
    expect(difference(kind, old, wanted, rules, { live: now, immutable: ["spec"] }).replaces).toEqual([
      "spec.cpu",
    ]);
    expect(difference(kind, old, wanted, rules, { live: now, immutable: [] }).replaces).toEqual(["spec.cpu"]);
  });

  it("tell an immutable field from another refusal, in the server's words", () => {
    const causes = [{ field: "spec.selector", message: "Invalid value: {}: field is immutable" }];
    expect(immutableFields(causes)).toEqual(["spec.selector"]);
    const stateful = "Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden";
    expect(immutableFields([{ field: "spec", message: stateful }])).toEqual(["spec"]);
    expect(immutableFields([...causes, { field: "a", message: "Required value" }])).toBeUndefined();
    expect(immutableFields([])).toBeUndefined();
  });

  it("keep a Secret in the form of its inputs", () => {
    const inputs = { kind: "Secret", stringData: { a: "1" } };
    expect(normal(inputs)).toEqual({ kind: "Secret", data: { a: "MQ==" } });
    expect(pruned({ kind: "Secret", data: { a: "Mg==", b: "MQ==" }, type: "Opaque" }, inputs)).toEqual({
      kind: "Secret",
      stringData: { a: "2" },
    });
  });
});

describe("what the state keeps", () => {
  it("has the secrets of the inputs wherever the object repeats them", () => {
    const inputs = {
      kind: "ConfigMap",
      data: { a: secret("quiet"), b: "loud" },
      list: [secret("quiet"), "loud"],
    };
    const state = stateOf(
      live("ConfigMap", { data: { a: "quiet", b: "loud" }, list: ["x", "quiet", "loud"] }),
      inputs,
      "m",
    );
    expect(state.data).toEqual({ a: secret("quiet"), b: "loud" });
    expect(state.list).toEqual(secret(["x", "quiet", "loud"]));
    expect(keptIn(state)).toMatchObject({
      inputs: revealed(inputs),
      manager: "m",
      live: { data: { a: "quiet" } },
    });
  });

  it("has a Secret's data as one secret, and no managed fields", () => {
    const object = live("Secret", { data: { a: "MQ==" } }, { managedFields: [{ manager: "m" }] });
    const state = stateOf(object, { kind: "Secret" }, "m");
    expect(state.data).toEqual(secret({ a: "MQ==" }));
    expect(state.metadata).not.toHaveProperty("managedFields");
  });

  it("marks nothing that no secret is in", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        fc.pre(!JSON.stringify(value).includes("__proto__"));
        expect(marked(value, value)).toEqual(value);
      }),
    );
  });

  it("has a name for each object, made up once", () => {
    const naming = { urn: "urn::p::t::web", seed: new Uint8Array([1]), proposed: undefined, namespace: "x" };
    const kind = kindOf("ConfigMap");
    const first = completed(kind, { data: {} }, {}, naming) as { metadata: { name: string } };
    expect(first.metadata).toMatchObject({ namespace: "x", annotations: { "pulumi.com/autonamed": "true" } });
    expect(first.metadata.name).toMatch(/^web-[0-9a-f]{8}$/);
    const again = completed(kind, { data: {} }, first, { ...naming, seed: new Uint8Array([2]) });
    expect(again).toMatchObject({ metadata: { name: first.metadata.name } });
    const own = { metadata: { name: "n", namespace: "y" } };
    expect(completed(kind, own, {}, naming)).toEqual(own);
    expect(completed(kindOf("Namespace"), { metadata: { name: "n" } }, {}, naming)).toEqual({
      metadata: { name: "n" },
    });
    expect(completed(kind, { metadata: unknownValue }, {}, naming)).toEqual({ metadata: unknownValue });
  });

  it("lies under each kind's own path", () => {
    expect(pathOf(kindOf("Deployment"), "x")).toBe("/apis/apps/v1/namespaces/x/deployments");
    expect(pathOf(kindOf("Namespace"), "x")).toBe("/api/v1/namespaces");
    expect(pathOf(kindOf("Ingress"))).toBe("/apis/networking.k8s.io/v1/namespaces/default/ingresses");
  });
});

describe("readiness", () => {
  const is = (object: Live, beside = {}): boolean => readinessOf(object, beside).isReady;
  const rolled = [
    { type: "Available", status: "True" },
    { type: "Progressing", status: "True", reason: "NewReplicaSetAvailable" },
  ];
  const deployment = (status: object) =>
    live("Deployment", {
      spec: { replicas: 2 },
      status: { observedGeneration: 1, updatedReplicas: 2, conditions: rolled, ...status },
    });

  it("of a Deployment is a rollout that is through, of this generation", () => {
    expect(is(deployment({}))).toBe(true);
    expect(is(deployment({ observedGeneration: 0 }))).toBe(false);
    expect(is(deployment({ updatedReplicas: 1 }))).toBe(false);
    expect(is(deployment({ conditions: [rolled[1]] }))).toBe(false);
    expect(is(deployment({ conditions: [rolled[0], { ...rolled[1], reason: "ReplicaSetUpdated" }] }))).toBe(
      false,
    );
    const late = {
      type: "Progressing",
      status: "False",
      reason: "ProgressDeadlineExceeded",
      message: "too late",
    };
    expect(readinessOf(deployment({ conditions: [late] }))).toMatchObject({
      hasFailed: true,
      says: expect.stringContaining("too late"),
    });
  });

  it("of a StatefulSet is every pod of the newest template ready", () => {
    const set = (status: object, spec: object = {}) =>
      live("StatefulSet", {
        spec,
        status: {
          observedGeneration: 1,
          updatedReplicas: 1,
          readyReplicas: 1,
          currentRevision: "r",
          updateRevision: "r",
          ...status,
        },
      });
    expect(is(set({}))).toBe(true);
    expect(is(set({ readyReplicas: 0 }))).toBe(false);
    expect(is(set({ currentRevision: "old" }))).toBe(false);
    expect(is(set({ currentRevision: "old" }, { updateStrategy: { type: "OnDelete" } }))).toBe(true);
    expect(is(set({}, { replicas: 2 }))).toBe(false);
  });

  it("of a Job is its end, and a failed one is told as such", () => {
    const job = (type: string) =>
      live("Job", { status: { conditions: [{ type, status: "True", reason: "R", message: "m" }] } });
    expect(is(job("Complete"))).toBe(true);
    expect(is(live("Job", { status: { active: 1 } }))).toBe(false);
    expect(readinessOf(job("Failed"))).toEqual({ isReady: false, hasFailed: true, says: "it failed: R: m" });
  });

  it("of Services, Ingresses and volumes is what they are there for", () => {
    const service = (spec: object, status = {}) => live("Service", { spec, status });
    expect(is(service({ selector: { a: "b" } }))).toBe(false);
    expect(is(service({ selector: { a: "b" } }), { addresses: 1 })).toBe(true);
    expect(is(service({}))).toBe(true);
    expect(is(service({ type: "ExternalName", selector: { a: "b" } }))).toBe(true);
    const balanced = { loadBalancer: { ingress: [{ ip: "192.0.2.1" }] } };
    expect(is(service({ type: "LoadBalancer" }))).toBe(false);
    expect(is(service({ type: "LoadBalancer" }, balanced))).toBe(true);
    expect(is(live("Ingress", { status: balanced }), { addresses: 1 })).toBe(true);
    expect(is(live("Ingress", { status: balanced }))).toBe(false);
    expect(is(live("Ingress", {}), { addresses: 1 })).toBe(false);
    const claim = live("PersistentVolumeClaim", { status: { phase: "Pending" } });
    expect(is(claim)).toBe(false);
    expect(is(claim, { binding: "WaitForFirstConsumer" })).toBe(true);
    expect(is(live("PersistentVolume", { status: { phase: "Available" } }))).toBe(true);
    expect(is(live("PersistentVolume", { status: { phase: "Failed" } }))).toBe(false);
    expect(is(live("Role"))).toBe(true);
  });

  it("is what the annotations say, where there are some", () => {
    const noted = (annotation: string, value: string, more: object = {}) =>
      live(
        "Deployment",
        { spec: { replicas: 9 }, ...more },
        { annotations: { [`pulumi.com/${annotation}`]: value } },
      );
    expect(is(noted("skipAwait", "true"))).toBe(true);
    const status = { status: { phase: "Up", conditions: [{ type: "Ready", status: "False" }] } };
    expect(is(noted("waitFor", "jsonpath={.status.phase}=Up", status))).toBe(true);
    expect(is(noted("waitFor", "jsonpath={.status.phase}=Down", status))).toBe(false);
    expect(is(noted("waitFor", "jsonpath={.status.gone}", status))).toBe(false);
    expect(is(noted("waitFor", "condition=Ready", status))).toBe(false);
    expect(is(noted("waitFor", '["condition=Ready=False","jsonpath=.status.phase"]', status))).toBe(true);
    expect(isUnderstood("jsonpath={.items[0].a}")).toBe(false);
    expect(isUnderstood('["condition=Ready","ready"]')).toBe(false);
  });
});

describe("the provider's arguments", () => {
  const config = (server: string, more: object = {}) =>
    JSON.stringify({
      clusters: [{ name: "c", cluster: { server, ...more } }],
      users: [{ name: "u", user: { token: "t" } }],
      contexts: [
        { name: "x", context: { cluster: "c", user: "u", namespace: "mine" } },
        { name: "y", context: { cluster: "c", user: "u" } },
      ],
      "current-context": "x",
    });

  it("mean another cluster only by its server and certificate, or by the name it is given", () => {
    const seen = (old: object, wanted: object) =>
      configDifference(old as never, wanted as never).getReplacesList();
    const one = config("https://a");
    expect(seen({ kubeconfig: one }, { kubeconfig: one.replace('"t"', '"other"') })).toEqual([]);
    expect(seen({ kubeconfig: one }, { kubeconfig: config("https://b") })).toEqual(["kubeconfig"]);
    expect(seen({ kubeconfig: one }, { kubeconfig: one, context: "y" })).toEqual([]);
    expect(seen({ kubeconfig: one }, { kubeconfig: unknownValue })).toEqual(["kubeconfig"]);
    const named = (kubeconfig: string, clusterIdentifier = "i") => ({ kubeconfig, clusterIdentifier });
    expect(seen(named(one), named(unknownValue))).toEqual([]);
    expect(seen(named(one), named(config("https://b")))).toEqual([]);
    expect(seen(named(one), named(one, "j"))).toEqual(["clusterIdentifier"]);
    expect(seen({ kubeconfig: one }, named(one))).toEqual([]);
  });

  it("are told where they are not built", () => {
    const told = checkedConfig({
      kubeconfig: "",
      renderYamlToDirectory: "x",
      enableServerSideApply: "false",
      version: "4",
    });
    expect(told.map((failure) => failure.getProperty())).toEqual([
      "renderYamlToDirectory",
      "enableServerSideApply",
    ]);
    expect(checkedConfig({ enableServerSideApply: "true", suppressDeprecationWarnings: "true" })).toEqual([]);
  });
});
