/** The kubernetes plugin against the API server and controllers of Kubernetes 1.34; a kubelet is played. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ControlPlane, startControlPlane } from "../../support/control-plane.js";
import { nameOf, TestStack } from "../../support/engine.js";
import { imageMissing, PlayedKubelet, running } from "../../support/played-kubelet.js";

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
const programOf = (resources: readonly Declared[], config: object = {}): string => `
const k8s = require("@pulumi/kubernetes");
const pulumi = require("@pulumi/pulumi");
const secrets = (value) => value instanceof Array ? value.map(secrets)
  : value instanceof Object ? ("$secret" in value ? pulumi.secret(value.$secret) : Object.fromEntries(Object.entries(value).map(([k, v]) => [k, secrets(v)])))
  : value;
const provider = new k8s.Provider("cluster", { kubeconfig: process.env.TEST_KUBECONFIG, ...${JSON.stringify(config)} });
let last = [];
for (const { name, type, args, options } of ${JSON.stringify(resources)}) {
  const Type = type.split(".").reduce((found, step) => found[step], k8s);
  const made = new Type(name, secrets(args), { provider, dependsOn: last, ...options });
  exports[name] = made.metadata;
  last = [made];
}
`;
const stackOf = (resources: readonly Declared[], config?: object): TestStack => {
  const stack = new TestStack({
    program: programOf(resources, config),
    env: { TEST_KUBECONFIG: plane.kubeconfig },
  });
  stacks.push(stack);
  return stack;
};
const namespace = (name: string): Declared => ({
  name,
  type: "core.v1.Namespace",
  args: { metadata: { name } },
});
const pod = (labels: object, image = "r/x:1") => ({
  metadata: { labels },
  spec: { nodeName: NODE, containers: [{ name: "microservice", image }] },
});
const deployment = (space: string, name: string, image?: string, options: object = {}): Declared => ({
  name,
  type: "apps.v1.Deployment",
  args: {
    metadata: { name, namespace: space },
    spec: { selector: { matchLabels: { app: name } }, template: pod({ app: name }, image) },
  },
  options,
});
const isReady = (): ReturnType<typeof running> =>
  ({
    ...running(),
    conditions: [{ type: "Ready", status: "True", lastTransitionTime: new Date().toISOString() }],
  }) as never;

beforeAll(async () => {
  plane = await startControlPlane();
  await plane.call("POST", "/api/v1/nodes", { metadata: { name: NODE }, spec: {} });
  kubelet = new PlayedKubelet(plane, NODE);
  kubelet.play = isReady;
}, 1_800_000);
afterAll(async () => {
  for (const stack of stacks) stack.end();
  await kubelet?.stop();
  await plane?.stop();
}, 60_000);

describe("a stack of objects", limit, () => {
  it("is made, is the same, is changed, is read and goes", async () => {
    const all = (image: string, text: string): Declared[] => [
      namespace("one"),
      {
        name: "config",
        type: "core.v1.ConfigMap",
        args: { metadata: { name: "config", namespace: "one" }, data: { text } },
      },
      {
        name: "secret",
        type: "core.v1.Secret",
        args: {
          metadata: { name: "secret", namespace: "one" },
          stringData: { word: { $secret: "quiet-word" } },
        },
      },
      deployment("one", "web", image),
    ];
    const stack = stackOf(all("r/x:1", "a"));
    const preview = await stack.preview();
    expect(preview.code, preview.text).toBe(0);
    const up = await stack.up();
    expect(up.code, up.text).toBe(0);
    expect((await stack.preview()).changeSummary).toEqual({ same: 6 });
    stack.program(programOf(all("r/x:2", "b")));
    const changed = await stack.preview();
    expect(changed.code, changed.text).toBe(0);
    expect(Object.fromEntries(changed.steps.map(({ urn, op }) => [nameOf(urn), op]))).toMatchObject({
      config: "replace",
      web: "update",
    });
    const second = await stack.up();
    expect(second.code, second.text).toBe(0);
    const refreshed = await stack.refresh();
    expect(refreshed.code, refreshed.text).toBe(0);
    const destroyed = await stack.destroy();
    expect(destroyed.code, destroyed.text).toBe(0);
  });
});
void imageMissing;
