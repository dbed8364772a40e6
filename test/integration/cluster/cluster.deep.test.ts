import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { Host } from "../../../infra/cluster/spec.js";
import { nameOf } from "../../support/engine.js";
import { onClusterGround, threeSites } from "./cluster-ground.js";
import { ClusterStack } from "./cluster-program.js";
import { failFile } from "./stub-kubespray.js";

const limit = { timeout: 400_000 };
/** One story, in order: a program with the component, the real engine, the real Ansible, hosts behind a bastion. */
describe("KubesprayCluster", limit, () => {
  let stack: ClusterStack;
  const ground = onClusterGround(threeSites, async (open) => {
    stack = new ClusterStack(open.folder);
  });
  afterAll(() => stack?.end());

  const spec = (names: readonly string[], change?: (name: string, host: Host) => Partial<Host>) =>
    stack.wants(ground.lab.some(names, change), { patience: "10s" });
  /** Logins on all hosts so far, the tests' own included. */
  const logins = () => ground.lab.hosts.record.hosts.reduce((sum, host) => sum + (readFileSync(join(host.folder, "console.log"), "utf8").match(/Accepted publickey/g) ?? []).length, 0); // biome-ignore format: one line
  const changes = async () => {
    const { steps, code, text } = await stack.preview();
    expect(code, text).toBe(0);
    return steps
      .filter((s) => s.op !== "same")
      .map((s) => `${s.op} ${nameOf(s.urn)}`)
      .sort();
  };

  it("is made from nothing, says plays and hosts while it goes, and gives a secret kubeconfig", async () => {
    await spec(["control", "losa"]);
    const up = await stack.up();
    expect(up.code, up.text).toBe(0);
    expect(up.text).toMatch(/cluster\.yml {2}play 2\/4 {2}2 hosts/);
    expect(parse(String(up.outputs.kubeconfig))).toMatchObject({ "current-context": "lab", clusters: [{ cluster: { server: `https://${ground.lab.hosts.host("control").address}:6443` } }] }); // biome-ignore format: one line
    expect(up.outputs.nodes).toEqual([{ name: "control", labels: {} }, { name: "losa", labels: {} }]); // biome-ignore format: one line
    expect(await ground.touches("losa")).toEqual(["cluster"]);
    expect(up.text).not.toMatch(/PRIVATE KEY|S0VZ/);
  });

  it("takes no command at all when nothing changed", async () => {
    const before = logins();
    const up = await stack.up();
    expect(up.code, up.text).toBe(0);
    expect(up.text).toMatch(/\d+ unchanged/);
    expect(up.text).not.toMatch(/(updated|created|replaced|deleted)\b.*\(/);
    expect(logins() - before).toBe(0);
  });

  it("gets a host: only that host and the control node have anything to do", async () => {
    await spec(["control", "losa", "toky"]);
    expect(await changes()).toEqual(["create lab-toky-check", "create lab-toky-prepare", "update lab-apply"]);
    const up = await stack.up();
    expect(up.code, up.text).toBe(0);
    expect(await ground.touches("losa")).toEqual(["cluster"]);
    expect(await ground.touches("toky")).toEqual(["scale"]);
  });

  it("tells what failed on which host, and goes on there with the next up", async () => {
    await spec(["control", "losa"]);
    expect((await stack.up()).code).toBe(0);
    expect((await ground.touches("toky")).at(-1)).toBe("remove");
    await spec(["control", "losa", "toky"]);
    await ground.lab.on("toky", `echo 'no such package' >${failFile}`);
    const failed = await stack.up();
    expect(failed.code).not.toBe(0);
    expect(failed.text).toMatch(
      /error: hosts\.toky {2}CLU-PLAYBOOK-FAILED {2}scale\.yml, play Install nodes, task Install kubelet/,
    );
    const log = /the whole log of the playbooks is in (\S+)/.exec(failed.text)?.[1] ?? "none";
    const whole = readFileSync(join(stack.folder, log), "utf8");
    expect(whole).toContain("===== ");
    expect(whole).toContain("TASK [Gather minimal facts]");
    expect(whole).toContain("no such package");
    await ground.lab.on("toky", `rm ${failFile}`);
    const up = await stack.up();
    expect(up.code, up.text).toBe(0);
    expect(await ground.touches("losa")).toEqual(["cluster"]);
  });

  it("says by a code that a key is refused, that a host does not answer, and what is wrong with a host", async () => {
    await spec(["control", "losa", "toky"], (name, host) =>
      name === "losa" ? { privateKey: host.bastion?.privateKey ?? "" } : {},
    );
    const refused = await stack.up();
    expect(refused.text).toMatch(/hosts\.losa\.privateKey {2}CLU-HOST-KEY-REFUSED {2}losa/);
    await spec(["control", "losa", "toky"], (name) => (name === "losa" ? { port: 9 } : {}));
    const gone = await stack.up();
    expect(gone.text).toMatch(/hosts\.losa {2}CLU-HOST-UNREACHABLE {2}losa \([\d.]+\), step/);
    await spec(["control", "losa", "toky"], (name) => (name === "losa" ? { dataAddress: "10.1.1.1" } : {}));
    const outside = await stack.preview();
    expect(outside.text).toMatch(/hosts\.losa\.dataAddress {2}CLU-ADDRESS-SUBNET {2}10\.1\.1\.1 is outside/);
    await spec(["control", "losa", "toky"]);
    const up = await stack.up();
    expect(up.code, up.text).toBe(0);
  });

  it("has no private key and no kubeconfig in plain state", async () => {
    const state = await stack.engine().then(async (engine) => readState(engine));
    expect(state).not.toMatch(/PRIVATE KEY|S0VZ|client-key-data/);
    expect(state).toContain("lab-apply");
  });

  it("is destroyed without a reset on machines that end with their slice, and with one on others", async () => {
    await spec(["control", "losa", "toky"], (name) => ({ reset: name !== "toky" }));
    expect((await stack.up()).code).toBe(0);
    const down = await stack.destroy();
    expect(down.code, down.text).toBe(0);
    expect(down.resources).toEqual([]);
    expect((await ground.touches("losa")).at(-1)).toBe("reset");
    expect((await ground.touches("toky")).at(-1)).not.toBe("reset");
  });
});

async function readState(engine: Awaited<ReturnType<ClusterStack["engine"]>>): Promise<string> {
  const { pulumi } = await import("../../../infra/toolchain/engine.js");
  return (await pulumi(engine, ["stack", "export"])).stdout;
}
