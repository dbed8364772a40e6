import * as pulumi from "@pulumi/pulumi";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  type ClusterHostArgs,
  ExistingCluster,
  InfraError,
  KubesprayCluster,
  type KubesprayClusterArgs,
} from "../../../infra/index.js";
import { privateKey } from "../../unit/cluster/hosts.js";

const own = (last: number, more: Partial<ClusterHostArgs> = {}): ClusterHostArgs => ({
  address: `192.0.2.${last}`,
  user: "ubuntu",
  privateKey,
  ...more,
});
const made: pulumi.runtime.MockResourceArgs[] = [];
const adminConf = `
clusters: [{ name: a, cluster: { server: "https://127.0.0.1:6443" } }]
users: [{ name: u, user: { client-key-data: S0VZ } }]
contexts: [{ name: c, context: { cluster: a, user: u } }]
current-context: c
`;

beforeAll(async () => {
  await pulumi.runtime.setMocks(
    {
      newResource: (args) => {
        made.push(args);
        const stdout = args.name.endsWith("-kubeconfig")
          ? adminConf
          : args.name.endsWith("-key")
            ? "ssh-ed25519 AAAA"
            : "";
        return { id: `${args.name}-id`, state: { ...args.inputs, stdout } };
      },
      call: () => ({}),
    },
    "dynamos-fabric",
    "dev",
  );
  // The SDK's mocks do not know hooks.
  const monitor = pulumi.runtime.getMonitor() as unknown as Record<string, unknown>;
  const answer = (_request: unknown, callback: (error: null, response: unknown) => void) =>
    callback(null, {});
  monitor.registerResourceHook = answer;
  monitor.registerErrorHook = answer;
});
beforeEach(() => {
  made.length = 0;
});

const value = <T>(output: pulumi.Output<T>): Promise<T> => new Promise((done) => void output.apply(done));
/** Waits for every child, so that an error in one is seen. */
const complete = (cluster: KubesprayCluster) =>
  Promise.all([cluster, ...Object.values(cluster.steps)].map((r) => value(r.urn)));
const hosts: KubesprayClusterArgs["hosts"] = {
  control: own(1, { role: "control" }),
  losa: own(2, { labels: { site: "LOSA" } }),
};
const nameOf = (m: pulumi.runtime.MockResourceArgs) => `${m.type} ${m.name}`;

describe("KubesprayCluster", () => {
  it("makes a command for each step, all its children, by their type tokens", async () => {
    await complete(new KubesprayCluster("lab", { hosts }));
    const steps = ["control-check", "losa-check", "key", "control-prepare", "losa-prepare", "kubespray", "apply", "labels", "kubeconfig", "k9s", "helm"]; // biome-ignore format: one line
    expect(made.map(nameOf).sort()).toEqual(["dynamos-fabric:cluster:KubesprayCluster lab", ...steps.map((s) => `command:remote:Command lab-${s}`)].sort()); // biome-ignore format: one line
  });

  it("gives each a fixed command line, what is to do by standard input, no trigger, and takes back only the cluster itself", async () => {
    await complete(new KubesprayCluster("lab", { hosts }));
    for (const { name, type, inputs } of made) {
      if (type !== "command:remote:Command") continue;
      expect(inputs, name).toMatchObject({
        create: expect.stringMatching(/^timeout -k 30 \d+ bash -s -- do$/),
        update: inputs.create,
      });
      expect(inputs.triggers, name).toBeUndefined();
      expect(inputs.delete, name).toEqual(
        name === "lab-apply" ? expect.stringMatching(/^timeout -k 30 7320 bash -s -- undo$/) : undefined,
      );
      expect(JSON.stringify(inputs.stdin), name).not.toContain("PRIVATE KEY");
    }
  });

  it("takes nothing back where all machines end with the stack", async () => {
    await complete(
      new KubesprayCluster("lab", { hosts: { control: own(1, { role: "control", reset: false }) } }),
    );
    expect(made.find((m) => m.name === "lab-apply")?.inputs.delete).toBeUndefined();
  });

  it("keeps keys and the kubeconfig secret, and the names and labels of nodes plain", async () => {
    const cluster = new KubesprayCluster("lab", { hosts, apiAddress: "api.example.org" });
    await complete(cluster);
    expect(await pulumi.isSecret(cluster.kubeconfig)).toBe(true);
    expect(await value(pulumi.unsecret(cluster.kubeconfig))).toContain("https://api.example.org:6443");
    expect(await pulumi.isSecret(cluster.steps.apply?.connection as pulumi.Output<unknown>)).toBe(true);
    expect(await pulumi.isSecret(cluster.nodes)).toBe(false);
    expect(await value(cluster.nodes)).toEqual([{ name: "control", labels: {} }, { name: "losa", labels: { site: "LOSA" } }]); // biome-ignore format: one line
  });

  it("takes outputs of other resources as values", async () => {
    const address = pulumi.output(new Promise<string>((done) => setTimeout(done, 5, "192.0.2.9")));
    await complete(
      new KubesprayCluster("lab", {
        hosts: { ...hosts, vm: { address, user: "root", privateKey: pulumi.secret(privateKey) } },
      }),
    );
    expect(made.find((m) => m.name === "lab-vm-check")?.inputs.connection.value).toMatchObject({
      host: "192.0.2.9",
      user: "root",
    });
    expect(made.find((m) => m.name === "lab-apply")?.inputs.stdin).toContain("ansible_host: 192.0.2.9");
  });

  it("tells all that is wrong and known at once, before any resource is registered", () => {
    let error: unknown;
    try {
      new KubesprayCluster("lab", {
        hosts: {
          a: own(1, { role: "control" }),
          b: own(2, { role: "control" }),
          Bad: own(2, { privateKey: "no key" }),
        },
        deadline: "soon",
      });
    } catch (caught) {
      error = caught;
    }
    expect((error as InfraError).problems.map((p) => [p.path, p.code])).toEqual([
      ["hosts.Bad", "CLU-HOST-NAME"],
      ["hosts", "CLU-ETCD-EVEN"],
      ["deadline", "SPEC-INVALID"],
      ["hosts.Bad.privateKey", "CLU-KEY"],
    ]);
    expect(error).toBeInstanceOf(InfraError);
    expect(made).toEqual([]);
  });

  it("has a provider when it is asked for, and only one", async () => {
    const cluster = new KubesprayCluster("lab", { hosts });
    await complete(cluster);
    expect(made.some((m) => m.type === "pulumi:providers:kubernetes")).toBe(false);
    expect(cluster.provider).toBe(cluster.provider);
    await value(cluster.provider.urn);
    expect(made.filter((m) => m.type === "pulumi:providers:kubernetes").map((m) => m.name)).toEqual(["lab"]);
  });
});

describe("ExistingCluster", () => {
  it("gives the same: one context's kubeconfig, nodes, a provider; and sets labels that are asked for", async () => {
    const cluster = new ExistingCluster("there", {
      kubeconfig: adminConf,
      nodes: { "worker-2": { labels: { disk: "fast" } }, "worker-1": {} },
    });
    expect(await pulumi.isSecret(cluster.kubeconfig)).toBe(true);
    expect(await value(pulumi.unsecret(cluster.kubeconfig))).toContain("current-context: c");
    expect(await value(cluster.nodes)).toEqual([
      { name: "worker-1", labels: {} },
      { name: "worker-2", labels: { disk: "fast" } },
    ]);
    await value(cluster.provider.urn);
    await expect.poll(() => made.map(nameOf)).toContain("kubernetes:core/v1:NodePatch there-worker-2");
  });
});
