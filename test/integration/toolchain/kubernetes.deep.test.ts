/** The kubernetes plugin against the API server and controllers of Kubernetes 1.34; a kubelet is played. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ControlPlane, startControlPlane } from "../../support/control-plane.js";
import { nameOf, type Preview, TestStack, type Update } from "../../support/engine.js";
import { ended, imageMissing, type Play, PlayedKubelet, running } from "../../support/played-kubelet.js";
import { cases } from "./kubernetes-cases.js";

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
const stepsOf = (preview: Preview): Record<string, string> =>
  Object.fromEntries(preview.steps.map(({ urn, op }) => [nameOf(urn), op]));

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

  for (const [i, { says, step = "same" }] of all.entries())
    it(says, () => {
      const found = preview.steps.filter(({ urn }) => nameOf(urn) === `c${i}`).map(({ op }) => op);
      if (step === "create-replacement") expect(found[0]).toBe("create-replacement");
      else if (step === "replace")
        expect(found.sort()).toEqual(["create-replacement", "delete-replaced", "replace"]);
      else expect(found).toEqual([step]);
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
