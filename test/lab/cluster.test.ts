import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shellWord } from "../../infra/shell-word.js";
import { TOKEN_DEFAULTS } from "../../policy/contract/users.js";
import { nameOf, TestStack } from "../support/engine.js";
import { clusterProgram } from "./cluster-program.js";
import { existingCluster } from "./existing.js";
import { LabIssuer } from "./issuer.js";
import { firstTime, Lab } from "./lab.js";
import { ADA, trainRequest } from "./lab-market.js";

/** Kernel settings of the whole machine that a kubelet would change. */
const settings = ["kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "kernel/keys/root_maxkeys"];
const kernel = () => settings.map((name) => readFileSync(`/proc/sys/${name}`, "utf8").trim());

interface NodeList {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
    readonly status: {
      readonly conditions: readonly { readonly type: string; readonly status: string }[];
      readonly addresses: readonly { readonly type: string; readonly address: string }[];
    };
  }[];
}

/** One story: FABRIC's slice and a real Kubernetes on it, in one program. */
describe("a cluster on a slice", { timeout: 600_000 }, () => {
  const before = kernel();
  let lab: Lab;
  let stack: TestStack;

  beforeAll(async () => {
    lab = await Lab.open();
    stack = new TestStack({ program: clusterProgram, env: lab.env });
  }, firstTime * 1000);
  afterAll(async () => await lab?.end(), 60_000);

  const wants = (sites: Readonly<Record<string, string>>): void =>
    stack.environment({ LAB_SPEC: lab.writeSpec(sites) });
  const kubeconfig = () => join(lab.testbed.folder, "kubeconfig");
  const up = async () => {
    const done = await stack.up();
    expect(done.code, done.text).toBe(0);
    writeFileSync(kubeconfig(), String(done.outputs.kubeconfig), { mode: 0o600 });
    return done;
  };
  const nodes = async (): Promise<Record<string, string>> => {
    const { stdout, stderr } = await lab.kubectl(kubeconfig(), "get", "nodes", "-o", "json");
    expect(stderr).toBe("");
    return Object.fromEntries(
      (JSON.parse(stdout) as NodeList).items.map(({ metadata, status }) => {
        const ready = status.conditions.find(({ type }) => type === "Ready")?.status === "True";
        const address = status.addresses.find(({ type }) => type === "InternalIP")?.address;
        const site = metadata.labels["topology.kubernetes.io/region"];
        return [metadata.name, `${ready ? "ready" : "not ready"} at ${site}, ${address}`];
      }),
    );
  };

  it("has a ready node at each site, by one up, its API reached through the bastion", async () => {
    wants({ control: "AMST", losa: "LOSA", toky: "TOKY" });
    const done = await up();
    console.log(/^.*cluster\.yml.*ended.*$/m.exec(done.text)?.[0]);
    expect(await nodes()).toEqual({
      control: expect.stringMatching(/^ready at AMST, 10\.128\./),
      losa: expect.stringMatching(/^ready at LOSA, 10\./),
      toky: expect.stringMatching(/^ready at TOKY, 10\./),
    });
    expect(done.text).not.toMatch(/PRIVATE KEY/);
  });

  it("is as it should be: the next up runs no command", async () => {
    const done = await up();
    expect(done.text).not.toMatch(/(updated|created|replaced|deleted)\b.*\(/);
  });

  it("takes a marketplace by a program of ten lines: examples/existing-cluster", async () => {
    const issuer = await LabIssuer.start(lab.testbed);
    const agents = { server: "toky", clientone: "losa", clienttwo: "toky", clientthree: "losa" };
    const users = {
      ...TOKEN_DEFAULTS,
      issuer: issuer.url,
      ca: readFileSync(issuer.caFile, "utf8"),
    };
    const existing = await existingCluster(lab, kubeconfig(), { core: "losa", agents, users });
    const done = await existing.up();
    expect(done.code, done.text.slice(-5000)).toBe(0);
    const request = JSON.stringify(trainRequest(["clientone", "clienttwo", "clientthree"]));
    const headers = [
      "content-type: application/json",
      `authorization: Bearer ${await issuer.token(ADA.userName)}`,
    ];
    const address = (await nodes()).losa?.split(", ")[1];
    const url = `http://${address}:30080/api/v1/requestApproval`;
    const curl = ["curl", "-s", "-m", "100", ...headers.flatMap((h) => ["-H", h]), "-d", request, url].map(
      shellWord,
    );
    expect(JSON.parse(await lab.testbed.on("control", curl.join(" ")))).toMatchObject({ status: "completed", rounds: 3 }); // biome-ignore format: one line
    const gone = await existing.destroy();
    expect(gone.code, gone.text.slice(-5000)).toBe(0);
    expect(gone.resources).toEqual([]);
  });

  it("gets a node and loses one, and the others stay", async () => {
    wants({ control: "AMST", toky: "TOKY", salt: "SALT" });
    const first = await lab.kubectl(kubeconfig(), "get", "node", "toky", "-o", "jsonpath={.metadata.uid}");
    const done = await up();
    expect(Object.keys(await nodes())).toEqual(["control", "salt", "toky"]);
    expect(await nodes()).toMatchObject({ salt: expect.stringMatching(/^ready at SALT/) });
    const after = await lab.kubectl(kubeconfig(), "get", "node", "toky", "-o", "jsonpath={.metadata.uid}");
    expect(after.stdout).toBe(first.stdout);
    expect(done.resources.map(({ urn }) => nameOf(urn))).not.toContain("lab-losa");
  });

  it("leaves this machine's kernel as it was", () => {
    expect(kernel()).toEqual(before);
  });

  it("goes with its slice", async () => {
    const done = await stack.destroy();
    expect(done.code, done.text).toBe(0);
    expect(done.resources).toEqual([]);
    expect(lab.testbed.hosts.hosts).toEqual([]);
  });
});
