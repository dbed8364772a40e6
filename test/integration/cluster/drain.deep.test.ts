import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { namespacesProblem } from "../../../infra/fabric/emulator/hosts-namespaces.js";
import { execute } from "../../../infra/toolchain/execute.js";
import { ensure } from "../../../infra/toolchain/tools.js";
import { TestStack } from "../../support/engine.js";
import { takeWheels } from "./ansible.js";
import { ClusterStack } from "./cluster-program.js";
import { nodesFolder, stubOptions, touched } from "./stub-kubespray.js";

/** Only the library is imported: this program knows the slice, and of the cluster nothing. */
const sliceProgram = `
const pulumi = require("@pulumi/pulumi");
const { FabricSlice, fabricHosts, kubesprayDrain, LocalProcess } = require("dynamos-fabric/infra");
const config = new pulumi.Config("slice");
const state = ".state/test";
const emulator = new LocalProcess("emulator", { state, spec: {
  name: "emulator",
  node: "outside",
  command: ["{{node}}", "{{package}}/dist/infra/fabric/emulator/main.js", "--hosts", "namespaces"],
  env: { HTTP_HOST: "127.0.0.1", HTTP_PORT: "{{port:http}}", STATE_FILE: "{{folder}}/state.json" },
  ports: { http: 0 },
  ready: { http: "http", path: "/healthz" },
} });
const slice = new FabricSlice("slice", {
  endpoint: { kind: "local", state, service: "emulator", hosts: "namespaces" },
  nodes: config.requireObject("nodes"),
  beforeRemove: kubesprayDrain(),
}, { dependsOn: emulator });
exports.hosts = pulumi.secret(pulumi.output(fabricHosts(slice, { control: ["control"] })));
`;

const sites = { control: "AMST", losa: "LOSA", toky: "TOKY", hawi: "HAWI" };
type Name = keyof typeof sites;

/** A slice in one project, the cluster of its nodes in another; then nodes leave the slice. One story, in order. */
describe("nodes that leave a slice whose cluster another project made", { timeout: 600_000 }, () => {
  let problem: string | undefined;
  let slice: TestStack;
  let cluster: ClusterStack;
  let ssh: string;
  beforeEach(({ skip }) => skip(problem !== undefined, problem));
  beforeAll(async () => {
    problem = await namespacesProblem();
    if (problem !== undefined) return;
    ssh = (await ensure(["ssh", "sshd"])).ssh.path;
    slice = new TestStack({ project: "slice", program: sliceProgram });
    cluster = new ClusterStack(slice.folder);
  }, 300_000);
  afterAll(async () => {
    await slice?.destroy();
    slice?.end();
    cluster?.end();
  }, 120_000);

  const nodes = (names: readonly Name[]) =>
    slice.config({ "slice:nodes": Object.fromEntries(names.map((name) => [name, { site: sites[name] }])) });
  const on = async (node: string, command: string): Promise<string> => {
    const config = join(slice.state, "ssh", "slice-test.config");
    const done = await execute(ssh, ["-F", config, "-o", "BatchMode=yes", node, command], {
      timeoutMs: 60_000,
    });
    if (done.code !== 0) throw new Error(`${command} on ${node}: ${done.stderr}`);
    return done.stdout.trim();
  };
  const members = async () => (await on("control", `ls ${nodesFolder}`)).split("\n");

  it("are in the cluster first", async () => {
    nodes(["control", "losa", "toky", "hawi"]);
    const made = await slice.up();
    expect(made.code, made.text).toBe(0);
    const wheels = await takeWheels();
    await Promise.all(Object.keys(sites).map((name) => on(name, wheels)));
    const spec = { hosts: made.outputs.hosts, options: await stubOptions() };
    writeFileSync(join(slice.folder, "spec.json"), JSON.stringify(spec));
    const up = await cluster.up();
    expect(up.code, up.text).toBe(0);
    expect(await members()).toEqual(["control", "hawi", "losa", "toky"]);
  });

  it("leave the cluster before their machines go, the dead one too; the others are not touched", async () => {
    nodes(["control", "losa"]);
    // What a dead machine looks like from the control node.
    await on("hawi", "rm ~/.ssh/authorized_keys");
    const up = await slice.up();
    expect(up.code, up.text).toBe(0);
    expect(up.text).toMatch(/remove-node\.yml/);
    expect(await members()).toEqual(["control", "losa"]);
    expect(await on("control", "cat /var/lib/stub/drains")).toBe(
      "drain hawi ungraceful=true\ndrain toky ungraceful=False",
    );
    expect(await on("losa", `cat ${touched}`)).toBe("cluster");
    const names = (up.outputs.hosts as Record<string, unknown>) ?? {};
    expect(Object.keys(names).sort()).toEqual(["control", "losa"]);
  });

  it("stop the slice's change when they cannot leave", async () => {
    nodes(["losa"]);
    const up = await slice.up();
    expect(up.code).not.toBe(0);
    expect(up.text).toMatch(/CLU-CONTROL-FIRST/);
    expect(await members()).toEqual(["control", "losa"]);
    nodes(["control", "losa"]);
    const again = await slice.up();
    expect(again.code, again.text).toBe(0);
  });
});
