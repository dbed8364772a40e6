import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { parse } from "yaml";
import { type DeployOutputs, deploy } from "../../../dynamos/deploy.js";
import { OUR_IMAGES } from "../../../dynamos/images/names.js";
import { makeSshKeyPair } from "../../../infra/fabric/ssh-key-pair.js";

type Made = pulumi.runtime.MockResourceArgs;
const made: Made[] = [];
const adminConf =
  'clusters: [{ name: a, cluster: { server: "https://127.0.0.1:6443" } }]\nusers: [{ name: u, user: {} }]\ncontexts: [{ name: c, context: { cluster: a, user: u } }]\ncurrent-context: c\n';
const folder = mkdtempSync(join(tmpdir(), "cluster targets "));
const keys = { bastion: makeSshKeyPair("bastion"), slice: makeSshKeyPair("slice") };
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

beforeAll(() => {
  for (const [name, pair] of Object.entries(keys)) {
    writeFileSync(join(folder, name), pair.privateKey, { mode: 0o600 });
    writeFileSync(join(folder, `${name}.pub`), `${pair.publicKey}\n`);
  }
  vi.stubEnv("HOME", folder);
  vi.stubEnv("FABRIC_BASTION_USERNAME", "someone_0001");
  vi.stubEnv("FABRIC_BASTION_KEY_LOCATION", join(folder, "bastion"));
  vi.stubEnv("FABRIC_SLICE_PRIVATE_KEY_FILE", join(folder, "slice"));
  vi.stubEnv("FABRIC_SLICE_PUBLIC_KEY_FILE", join(folder, "slice.pub"));
});

async function deployed(change: (marketplace: Record<string, unknown>) => void): Promise<DeployOutputs> {
  await pulumi.runtime.setMocks(
    {
      newResource: (args) => {
        made.push(args);
        const number = ["AMST", "LOSA", "TOKY"].indexOf(String(args.inputs.site)) + 1;
        const known = {
          gateway: `10.13${number}.1.1`,
          subnet: `10.13${number}.1.0/24`,
          managementIp: `2001:db8::${names.indexOf(String(args.inputs.name)) + 1}`,
          addresses: [`10.13${number}.1.${names.indexOf(String(args.inputs.name)) + 11}`],
          mac: "02:00:00:00:00:01",
          sliverId: `${args.name}-sliver`,
          value: "a password",
          stdout: args.name.endsWith("-kubeconfig") ? adminConf : "ssh-ed25519 AAAA\n",
        };
        return { id: `${args.name}-id`, state: { ...args.inputs, ...known } };
      },
      call: () => ({}),
    },
    "dynamos-fabric",
    "dev",
    false,
  );
  const monitor = pulumi.runtime.getMonitor() as unknown as Record<string, unknown>;
  const answer = (_request: unknown, settle: (error: null, response: unknown) => void) => settle(null, {});
  monitor.registerResourceHook = answer; // mocks know no hooks
  monitor.registerErrorHook = answer;
  const file = parse(readFileSync("Pulumi.dev.yaml", "utf8")) as {
    config: Record<string, Record<string, unknown>>;
  };
  const marketplace = structuredClone(file.config["dynamos-fabric:marketplace"] ?? {});
  marketplace.users = { issuer: "https://login.example.org" };
  marketplace.kubernetes = { images: { references } };
  change(marketplace);
  pulumi.runtime.setAllConfig({ "dynamos-fabric:marketplace": JSON.stringify(marketplace) });
  const outputs = await deploy();
  await pulumi.runtime.disconnect();
  return outputs;
}
const value = <T>(output: pulumi.Output<T>): Promise<T> => new Promise((done) => void output.apply(done));
const dataOf = (n: string) => `dev-${n}-/var/lib/dynamos-fabric/dynamos-${n}/data`;
const names = ["clientone", "clientthree", "clienttwo", "control", "core", "server"];
/** Where all images are named there need be no lock. */
const references = Object.fromEntries(
  OUR_IMAGES.map((name) => [name, { image: `registry.example/${name}:1` }]),
);
const commands = () => made.filter((m) => m.type === "command:remote:Command");
const stepsOf = (name: string) => commands().find((m) => m.name === name)?.inputs;
/** What the nodes get for the marketplace: folders for volumes, and each party's data. */
const forMarket = [
  ...names.filter((n) => n !== "control").map((n) => `dev-${n}-folders`),
  ...names.filter((n) => !["control", "core"].includes(n)).flatMap((n) => [dataOf(n), `${dataOf(n)}-room`]),
];
const expected = [...forMarket, "dev-apply", "dev-helm", "dev-k9s", "dev-key", "dev-kubeconfig", "dev-kubespray", "dev-labels", ...names.flatMap((n) => [`dev-${n}-check`, `dev-${n}-prepare`])].sort(); // biome-ignore format: one line
beforeEach(() => {
  made.length = 0;
});

/** The whole marketplace, by the provider of the cluster that was made. */
function expectMarket(): void {
  const objects = made.filter((m) => m.type.startsWith("kubernetes:"));
  expect(objects.length).toBeGreaterThan(80);
  for (const { provider } of objects) expect(provider).toContain("pulumi:providers:kubernetes::dev");
  const jobs = objects.filter((m) => m.inputs.kind === "Job").map((m) => m.name);
  expect(jobs.sort()).toEqual([
    "dev-broker-job-broker-users",
    "dev-documents-job-documents",
    "dev-store-job-store-users",
  ]);
  const agent = objects.find((m) => m.name === "dev-clienttwo-statefulset-agent-clienttwo");
  expect(JSON.stringify(agent?.inputs)).toContain('"kubernetes.io/hostname":"clienttwo"');
}

describe("target kubernetes", () => {
  it("puts the marketplace on a cluster that is there, each part on the node that is named", async () => {
    const config = join(folder, "kubeconfig");
    writeFileSync(config, adminConf);
    const outputs = await deployed((m) => {
      m.target = "kubernetes";
      writeFileSync(join(folder, "ca.pem"), "-----BEGIN CERTIFICATE-----\n");
      Object.assign(m.users as object, { caFile: join(folder, "ca.pem") });
      m.kubernetes = { kubeconfig: config, images: { references }, ingressClass: "nginx", ingressHost: "market.example", namespacePrefix: "vfl-" }; // biome-ignore format: one line
      for (const [name, node] of Object.entries(m.nodes as Record<string, { host: string }>))
        node.host = `${name}.example.org`;
    });
    expect(commands()).toEqual([]);
    expect(await value(outputs.gatewayUrl)).toBe("http://market.example");
    for (const service of ["api-gateway", "orchestrator"]) {
      const pods = JSON.stringify(made.find((m) => m.name === `dev-core-deployment-${service}`)?.inputs);
      expect(pods).toContain('"name":"NODE_EXTRA_CA_CERTS","value":"/etc/dynamos/files/issuer-ca.pem"');
      const files = made.find((m) => m.name === `dev-core-configmap-${service}-files`);
      expect(files?.inputs.data).toEqual({ "issuer-ca.pem": "-----BEGIN CERTIFICATE-----\n" });
    }
    const agent = made.find((m) => m.name === "dev-clienttwo-statefulset-agent-clienttwo");
    expect(agent?.inputs.metadata).toMatchObject({ namespace: "vfl-clienttwo" });
    expect(JSON.stringify(agent?.inputs)).toContain('"kubernetes.io/hostname":"clienttwo.example.org"');
  });

  it("says by its code what is wrong before anything is made: issuer, node, images", async () => {
    const refused = (change: (m: Record<string, unknown>) => void) =>
      deployed((m) => {
        m.target = "kubernetes";
        for (const node of Object.values(m.nodes as Record<string, { host: string }>)) node.host = "worker-1";
        change(m);
      });
    await expect(refused((m) => void delete m.users)).rejects.toThrow("SPEC-NO-ISSUER");
    await expect(refused((m) => void Object.assign((m.nodes as Record<string, object>).core ?? {}, { host: "Not A Node" }))).rejects.toThrow("K8S-NODE-NAME"); // biome-ignore format: one line
    await expect(refused((m) => void delete m.kubernetes)).rejects.toThrow("K8S-IMAGES-MISSING");
    await expect(refused((m) => void Object.assign(m.users as object, { caFile: "nowhere.pem" }))).rejects.toThrow("SPEC-FILE"); // biome-ignore format: one line
    expect(made).toEqual([]);
  });
});

describe("target fabric", () => {
  it("makes the slice and then the cluster of its nodes, through the bastion, on each site's network", async () => {
    const outputs = await deployed((m) => {
      m.target = "fabric";
    });
    expect(
      commands()
        .map((m) => m.name)
        .sort(),
    ).toEqual(expected);
    expect(stepsOf("dev-clienttwo-check")?.connection.value).toMatchObject({
      host: "2001:db8::3",
      user: "ubuntu",
      privateKey: keys.slice.privateKey,
      proxy: {
        host: "bastion.fabric-testbed.net",
        user: "someone_0001",
        privateKey: keys.bastion.privateKey,
      },
    });
    const prepare = String(stepsOf("dev-clienttwo-prepare")?.stdin);
    expect(prepare).toContain("ADDRESS='10.132.1.13/24'");
    expect(prepare).toContain("ROUTES='10.128.0.0/10 10.132.1.1'");
    const apply = stepsOf("dev-apply");
    expect(apply?.stdin).toContain("hosts/c01-control.yaml");
    expect(apply?.delete, "machines that end with their slice are not reset").toBeUndefined();
    expect(JSON.stringify(stepsOf("dev-labels"))).toContain("clienttwo topology.kubernetes.io/region=LOSA");
    expect(made.find((m) => m.type.endsWith(":Slice"))?.inputs).toMatchObject({ lease: "14d", endpoint: { kind: "fabric" } }); // biome-ignore format: one line
    expect(await value(outputs.gatewayUrl)).toBe("http://10.131.1.15:30080");
    expectMarket();
    expect(await pulumi.isSecret(outputs.kubeconfig as pulumi.Output<string>)).toBe(true);
    expect(JSON.stringify(commands().map((m) => m.inputs.stdin))).not.toContain("PRIVATE KEY");
  });
});

describe("target hosts", () => {
  it("makes a cluster of machines that are there, and resets them at destroy", async () => {
    const outputs = await deployed((m) => {
      m.target = "hosts";
      m.machines = { user: "ada", port: 2222, keyFile: join(folder, "slice"), bastion: { host: "gate.example.org", port: 22 } }; // biome-ignore format: one line
      for (const [i, node] of Object.values(m.nodes as Record<string, { host: string }>).entries())
        node.host = `192.0.2.${i + 1}`;
    });
    expect(made.filter((m) => /dynamic\/(fabric|local):/.test(m.type))).toEqual([]);
    expect(await value(outputs.gatewayUrl)).toBe("http://192.0.2.2:30080");
    expectMarket();
    expect(
      commands()
        .map((m) => m.name)
        .sort(),
    ).toEqual(expected);
    const { privateKey } = keys.slice;
    expect(stepsOf("dev-core-check")?.connection.value).toMatchObject({
      ...{ host: "192.0.2.2", port: 2222, user: "ada", privateKey },
      proxy: { host: "gate.example.org", port: 22, user: "ada", privateKey },
    });
    expect(stepsOf("dev-apply")?.delete).toMatch(/ bash -s -- undo$/);
    expect(await value(outputs.nodes)).toMatchObject({ control: { address: "192.0.2.1" } });
    expect(await value(pulumi.unsecret(outputs.kubeconfig as pulumi.Output<string>))).toContain("https://192.0.2.1:6443"); // biome-ignore format: one line
  });

  it("says by its code what is wrong before anything is made: keys, roles", async () => {
    const refused = deployed((m) => {
      m.target = "hosts";
      m.machines = { keyFile: "nowhere/key" };
      for (const node of Object.values(m.nodes as Record<string, { host: string; role: string }>)) {
        node.host = "192.0.2.1";
        if (node.role === "control") node.role = "agent";
      }
    });
    await expect(refused).rejects.toThrow(/CLU-NO-CONTROL[\s\S]*CLU-KEY|CLU-KEY[\s\S]*CLU-NO-CONTROL/);
    expect(made).toEqual([]);
  });
});
