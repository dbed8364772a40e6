import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ExperimentResult } from "../../dynamos/runs/result.js";
import { nameOf } from "../support/engine.js";
import { firstTime, Lab } from "./lab.js";
import { LabMarket } from "./lab-market.js";

/** Seconds from images on the nodes to a marketplace that is ready; MB that the enforcer may have. */
const limits = { ready: 90, enforcer: 160 };
const first = { control: "control AMST", core: "core AMST", server: "agent LOSA", clientone: "agent TOKY", clienttwo: "agent LOSA" }; // biome-ignore format: one line
const all = { ...first, clientthree: "agent SALT" };

/** One story: one configuration object, one `up`, three layers. */
describe("a marketplace on a cluster on a slice", { timeout: 900_000 }, () => {
  let lab: Lab;
  let market: LabMarket;

  beforeAll(async () => {
    lab = await Lab.open();
    market = await LabMarket.open(lab);
  }, firstTime * 1000);
  afterAll(async () => await lab?.end(), 60_000);

  it("comes up by one up: slice, cluster and services", async () => {
    market.wants(first);
    const done = await market.up();
    const types = new Set(done.resources.map(({ type }) => type));
    for (const type of ["fabric:FabricSlice", "cluster:KubesprayCluster", "dynamos:Marketplace"])
      expect([...types]).toContain(`dynamos-fabric:${type}`);
    const pods = await market.pods();
    expect(pods.filter(({ ready }) => !ready)).toEqual([]);
    const core = await market.kubectl<{ metadata: { creationTimestamp: string } }>("get", "namespace", "dynamos-core"); // biome-ignore format: one line
    const seconds = (Math.max(...pods.map(({ readyAt }) => readyAt)) - Date.parse(core.metadata.creationTimestamp)) / 1000; // biome-ignore format: one line
    console.log(`ready ${seconds} s after its images were on the nodes (${pods.length} pods)`);
    expect(seconds).toBeLessThan(limits.ready);
  });

  it("has every pod and volume on the node that the specification gives it", async () => {
    const where = Object.fromEntries((await market.pods()).map(({ namespace, node }) => [namespace, node]));
    const parties = ["server", "clientone", "clienttwo"];
    expect(where).toEqual(Object.fromEntries(["core", ...parties].map((name) => [`dynamos-${name}`, name])));
    const { items } = await market.kubectl<{ readonly items: readonly Volume[] }>("get", "pv");
    expect(items.length).toBeGreaterThan(parties.length);
    for (const { spec, status } of items) {
      expect(status.phase).toBe("Bound");
      const node = spec.nodeAffinity.required.nodeSelectorTerms[0]?.matchExpressions[0]?.values[0];
      expect(spec.claimRef.namespace).toBe(`dynamos-${node}`);
    }
  });

  it("answers two requests at once, each job's pods on their party's node", async () => {
    const jobs: { readonly node: string; readonly namespace: string }[] = [];
    let over = false;
    const watching = (async () => {
      while (!over) jobs.push(...(await market.pods()).filter(({ name }) => name.startsWith("j-")));
    })();
    const answers = await Promise.all(
      [1, 2].map((seed) => market.train(["clientone", "clienttwo"], 20, seed)),
    );
    over = true;
    await watching;
    for (const { status, body } of answers) {
      expect(body, JSON.stringify(body)).toMatchObject({ status: "completed", rounds: 20 });
      expect(status).toBe(200);
    }
    const seen = jobs.filter(({ node }) => node !== "");
    expect(new Set(seen.map(({ node }) => node))).toEqual(new Set(["server", "clientone", "clienttwo"]));
    for (const { node, namespace } of seen) expect(namespace).toBe(`dynamos-${node}`);
  });

  it("previews an agent that comes in all three layers, and gets it while others work", async () => {
    market.wants(all);
    const { steps } = await market.preview();
    const changes = steps.filter(({ op }) => op !== "same").map(({ op, urn }) => `${op} ${nameOf(urn)}`);
    console.log(`${changes.length} changes for an agent that comes`);
    expect(changes).toEqual(expect.arrayContaining(["create lab-clientthree", "create lab-clientthree-check", "update lab-apply"])); // biome-ignore format: one line
    expect(changes.join("\n")).toMatch(/create lab-clientthree-.*agent-clientthree/);
    const before = await market.pods();
    const [answer] = await Promise.all([market.train(["clientone", "clienttwo"], 100), market.up()]);
    expect(answer.body, JSON.stringify(answer.body)).toMatchObject({ status: "completed", rounds: 100 });
    const after = await market.pods();
    for (const { name, readyAt } of before.filter((pod) => !pod.name.startsWith("j-")))
      expect(
        after.find((pod) => pod.name === name),
        name,
      ).toMatchObject({ ready: true, readyAt });
    expect(after.find(({ name }) => name === "agent-clientthree-0")).toMatchObject({ node: "clientthree", ready: true }); // biome-ignore format: one line
  });

  it("refuses the round after a party has left its agreement: the experiment, by its command", async () => {
    const out = join(lab.testbed.folder, "out");
    const done = await market.run(["experiment", "--runs", "1", "--rounds", "20", "--out", out]);
    expect(done.code, done.text).toBe(0);
    const { runs } = JSON.parse(readFileSync(join(out, "result.json"), "utf8")) as ExperimentResult;
    console.log(done.text.trim().split("\n").slice(-6).join("\n"));
    expect(runs).toHaveLength(1);
  });

  it("loses an agent while others work", async () => {
    market.wants(first);
    const [answer] = await Promise.all([market.train(["clientone", "clienttwo"], 50), market.up()]);
    expect(answer.body, JSON.stringify(answer.body)).toMatchObject({ status: "completed", rounds: 50 });
    expect((await market.pods()).map(({ namespace }) => namespace)).not.toContain("dynamos-clientthree");
    expect(lab.testbed.hosts.hosts.map(({ name }) => name)).not.toContain("clientthree");
  });

  it("has a policy enforcer that stays small", async () => {
    const summary = await lab.kubectl(market.kubeconfig, "get", "--raw", "/api/v1/nodes/core/proxy/stats/summary"); // biome-ignore format: one line
    const { pods } = JSON.parse(summary.stdout) as Summary;
    const enforcer = pods.find(({ podRef }) => podRef.name === "policy-enforcer-0");
    const megabytes = (enforcer?.containers[0]?.memory.workingSetBytes ?? Number.NaN) / 1e6;
    console.log(`policy enforcer: ${megabytes.toFixed(0)} MB`);
    expect(megabytes).toBeLessThan(limits.enforcer);
  });

  it("is as it should be, and goes", async () => {
    const again = await market.up();
    expect(again.text).not.toMatch(/\b(updated|created|replaced|deleted)\b.*\(/);
    const done = await market.engine.destroy();
    expect(done.code, done.text.slice(-5000)).toBe(0);
    expect(done.resources).toEqual([]);
  });
});

interface Volume {
  readonly spec: {
    readonly claimRef: { readonly namespace: string };
    readonly nodeAffinity: { readonly required: { readonly nodeSelectorTerms: readonly { readonly matchExpressions: readonly { readonly values: readonly string[] }[] }[] } }; // biome-ignore format: one line
  };
  readonly status: { readonly phase: string };
}

interface Summary {
  readonly pods: readonly {
    readonly podRef: { readonly name: string };
    readonly containers: readonly { readonly memory: { readonly workingSetBytes: number } }[];
  }[];
}
