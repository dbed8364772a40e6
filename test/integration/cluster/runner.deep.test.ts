import { join, relative } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";
import { kubesprayDrain } from "../../../infra/cluster/drain.js";
import { inventoryFiles } from "../../../infra/cluster/inventory.js";
import type { Host, KubesprayOptions } from "../../../infra/cluster/spec.js";
import * as steps from "../../../infra/cluster/steps.js";
import { loginsFile } from "../../../infra/fabric/slice-logins.js";
import { projectFolder } from "../../../infra/local/package-folder.js";
import type { Executed } from "../../../infra/toolchain/execute.js";
import { until } from "../emulator/until.js";
import { onClusterGround, threeSites } from "./cluster-ground.js";
import type { ClusterLab } from "./cluster-lab.js";
import { clash, failFile, nodesFolder, slowFile, stubOptions } from "./stub-kubespray.js";

const limit = { timeout: 300_000 };
/** The scripts themselves, on emulated hosts of three sites, with the real Ansible: one story, in order. */
describe("a cluster by its scripts", limit, () => {
  let lab: ClusterLab;
  let options: KubesprayOptions;
  let kubespray: string;
  let key: string;
  const ground = onClusterGround(threeSites, async (open) => {
    lab = open.lab;
    options = await stubOptions();
  });

  const good = (done: Executed): Executed => {
    expect(done, done.stderr + done.stdout).toMatchObject({ code: 0 });
    return done;
  };
  const applyStep = (hosts: Record<string, Host> = lab.all(), resettable: string[] = []) =>
    steps.applyStep("lab", inventoryFiles("lab", hosts, options), options, kubespray, resettable);
  const apply = (hosts?: Record<string, Host>) => lab.run("control", applyStep(hosts));
  const prepared = async (name: string) => {
    const host = lab.all()[name] as Host;
    good(await lab.run(name, steps.checkStep(name, host, options, true)));
    return good(await lab.run(name, steps.prepareStep("lab", name, host, options, key)));
  };
  /** Playbooks that were run since the last look, without times. */
  const history = async (): Promise<string[]> => {
    const text = await lab.on(
      "control",
      "cd ~/.dynamos-fabric/lab && cat history 2>/dev/null; rm -f history",
    );
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split(" ").slice(1).join(" ").trim());
  };
  const members = async () => (await lab.on("control", `ls ${nodesFolder}`)).split("\n");

  it("looks at hosts and tells all that is wrong with one at once, changing nothing", async () => {
    const host = {
      ...(lab.all().losa as Host),
      network: { mac: "02:00:00:00:99:99", subnet: "10.128.3.0/24", routes: [] },
    };
    const strict = { ...options, minimum: { ram: 9000, disk: 90_000 }, interfaces: "eth\\d" };
    const bad = await lab.run("losa", steps.checkStep("losa", host, strict, true));
    expect(bad.code).toBe(1);
    expect(
      [...bad.stderr.matchAll(/^error: (\S+) {2}(CLU-[A-Z-]+) {2}/gm)].map(([, path, code]) => [path, code]),
    ).toEqual([
      ["hosts.losa", "CLU-HOST-RAM"],
      ["hosts.losa", "CLU-HOST-DISK"],
      ["hosts.losa.network.mac", "CLU-HOST-INTERFACE"],
    ]);
    const pattern = await lab.run(
      "losa",
      steps.checkStep("losa", lab.all().losa as Host, { ...options, interfaces: "eth\\d" }, true),
    );
    expect(pattern.stderr).toMatch(
      /hosts\.losa {2}CLU-HOST-INTERFACE {2}no interface for the data network matches eth\\d/,
    );
  });

  it("prepares hosts, whose addresses and routes then reach across the sites, also after a reboot", async () => {
    key = good(await lab.run("control", steps.keyStep("lab"))).stdout;
    expect(key).toMatch(/^ssh-ed25519 \S+\n$/);
    for (const name of ["control", "losa", "toky"]) await prepared(name);
    const { toky, losa } = lab.all();
    const reaches = (from: string, to: Host | undefined) =>
      lab.on(from, `timeout 5 bash -c ': </dev/tcp/${to?.dataAddress}/22' && echo yes`);
    expect(await reaches("control", toky)).toBe("yes");
    expect(await reaches("toky", losa)).toBe("yes");
    const sliver = (name: string) => lab.hosts.host(name).id;
    await lab.hosts.reboot(sliver("toky"));
    await until("routes lost", () => lab.hosts.ssh("toky", "ip route"), ({ code, stdout }) => code === 0 && !stdout.includes("10.128.0.0/10"), 60); // biome-ignore format: one line
    // what systemd does at a start, which these hosts do not have
    await lab.on(
      "toky",
      "test -L /etc/systemd/system/multi-user.target.wants/dynamos-fabric-network.service && $(sed -n 's/^ExecStart=//p' /etc/systemd/system/dynamos-fabric-network.service)",
    );
    expect(await reaches("control", toky)).toBe("yes");
  });

  it("changes nothing when a host is prepared again, and names what cannot be reached from it", async () => {
    const state =
      "cat /etc/sysctl.d/90-dynamos-fabric.conf ~/.ssh/authorized_keys; ip addr; ip route; stat -c %Y ~/.ssh/authorized_keys /usr/local/sbin/dynamos-fabric-network";
    const before = await lab.on("losa", state);
    await prepared("losa");
    expect(await lab.on("losa", state)).toBe(before);
    const step = steps.prepareStep(
      "lab",
      "losa",
      lab.all().losa as Host,
      { ...options, outbound: ["http://127.0.0.1:9"] },
      key,
    );
    const done = await lab.run("losa", step);
    expect(done.code).toBe(1);
    expect(done.stderr).toContain("error: hosts.losa  CLU-HOST-OUTBOUND  127.0.0.1 port 9 cannot be reached");
  });

  it("fetches Kubespray into an environment of its own, once", async () => {
    const step = steps.kubesprayStep("lab", "control", options);
    kubespray = step.hash;
    good(await lab.run("control", step));
    const again = good(await lab.run("control", step));
    expect(again.stdout).not.toContain("virtual environment");
    const wrong = steps.kubesprayStep("lab", "control", {
      ...options,
      kubespray: { version: "v2.31.0", source: "file:///nowhere.tar.gz" },
    });
    expect((await lab.run("control", wrong)).stderr).toContain(
      "error: kubespray.source  CLU-KUBESPRAY-SOURCE  file:///nowhere.tar.gz could not be fetched",
    );
  });

  it("makes the cluster with cluster.yml, tells plays and hosts while it goes, and does nothing the second time", async () => {
    const { control, losa } = lab.all();
    const made = good(await apply({ control, losa } as Record<string, Host>));
    expect(made.stdout).toMatch(/^cluster\.yml {2}play 2\/4 {2}2 hosts {2}\d+:\d\d {2}Install nodes$/m);
    expect(made.stdout).toMatch(/ended: 2 of 2 hosts well, \d+ tasks/);
    expect(await history()).toEqual(["0 cluster.yml"]);
    const again = good(await apply({ control, losa } as Record<string, Host>));
    expect(again.stdout).toContain("nothing to do: all 2 hosts are in the cluster");
    expect(await history()).toEqual([]);
  });

  it("adds a host with facts.yml and scale.yml limited to it; the others are not touched", async () => {
    const before = await ground.touches("losa");
    good(await apply());
    expect(await history()).toEqual(["0 playbooks/facts.yml", "0 scale.yml --limit=toky,localhost"]);
    expect(await ground.touches("losa")).toEqual(before);
    expect(await ground.touches("toky")).toEqual(["scale"]);
    expect(await members()).toEqual(["control", "losa", "toky"]);
  });

  it("goes on with a playbook whose connection was dropped, and finds it again instead of a second one", async () => {
    await lab.change({ control: "AMST", losa: "LOSA", toky: "TOKY", hawi: "HAWI" });
    await prepared("hawi");
    await lab.on("hawi", `echo 8 >${slowFile}`);
    const first = lab.begin("control", applyStep());
    await until(
      "progress of scale.yml",
      async () => first.said(),
      (said) => said.includes("scale.yml  play 2/"),
      120,
    );
    first.cut();
    expect((await first.done).code).not.toBe(0);
    const both = await Promise.all([apply(), apply()]);
    for (const done of both) {
      good(done);
      expect(done.stdout).toContain("found the run again");
      expect(done.stdout).toContain("hosts well");
    }
    await lab.on("hawi", `rm ${slowFile}`);
    expect(await history()).toEqual(["0 playbooks/facts.yml", "0 scale.yml --limit=hawi,localhost"]);
    expect(await lab.on("control", `cat ${clash} 2>/dev/null || true`)).toBe("");
  });

  it("names host, play, task and remedy of a failure, shows the log's end, and does only that host again", async () => {
    await lab.change({
      control: "AMST",
      losa: "LOSA",
      toky: "TOKY",
      hawi: "HAWI",
      cern: "CERN",
      brist: "BRIST",
    });
    await Promise.all([prepared("cern"), prepared("brist")]);
    await lab.on("cern", `echo 'No space left on device' >${failFile}`);
    const failed = await apply();
    expect(failed.code).not.toBe(0);
    expect(failed.stderr).toMatch(
      /^error: hosts\.cern {2}CLU-DISK-FULL {2}scale\.yml, task Install kubelet: the disk is full: .*; make room there/m,
    );
    expect(failed.stderr).toContain("No space left on device");
    expect(failed.stderr).toMatch(
      /the last lines of the log \(all of it: \/.*-apply\.log on the control node\)/,
    );
    expect(await ground.touches("brist")).toEqual(["scale"]);
    await lab.on("cern", `rm ${failFile}`);
    await history();
    good(await apply());
    expect(await history()).toEqual(["0 playbooks/facts.yml", "0 scale.yml --limit=cern,localhost"]);
    expect(await ground.touches("brist")).toEqual(["scale"]);
  });

  it("takes a host out that lives with remove-node.yml, and one that is dead without its help", async () => {
    const { hawi: _, ...stay } = lab.all();
    good(await apply(stay));
    expect(await history()).toEqual(["0 remove-node.yml -e node=hawi -e skip_confirmation=yes"]);
    expect((await ground.touches("hawi")).at(-1)).toBe("remove");
    expect(await lab.on("hawi", "cat ~/.ssh/authorized_keys")).not.toContain("dynamos-fabric:lab");
    await lab.change({ control: "AMST", losa: "LOSA", toky: "TOKY", brist: "BRIST" });
    const done = good(await apply());
    expect(done.stdout).toContain("cern does not answer");
    expect(await history()).toEqual([
      "0 remove-node.yml -e node=cern -e skip_confirmation=yes -e reset_nodes=false -e allow_ungraceful_removal=true",
    ]);
    expect(await members()).toEqual(["brist", "control", "losa", "toky"]);
  });

  it("refuses to let the first host of the control plane go", async () => {
    const { control: _, losa, ...others } = lab.all();
    const done = await apply({ losa: { ...(losa as Host), role: "control" }, ...others });
    expect(done.code).not.toBe(0);
    expect(done.stderr).toContain("error: hosts.control  CLU-CONTROL-FIRST");
    expect(await history()).toEqual([]);
  });

  it("begins again after the control node was started anew in the middle of a run", async () => {
    await lab.change({ control: "AMST", losa: "LOSA", toky: "TOKY", brist: "BRIST", max: "MAX" });
    await prepared("max");
    await lab.on("max", `echo 60 >${slowFile}`);
    const first = lab.begin("control", applyStep());
    await until(
      "progress of scale.yml",
      async () => first.said(),
      (said) => said.includes("scale.yml  play 2/"),
      120,
    );
    await lab.hosts.reboot(lab.hosts.host("control").id);
    await first.done;
    await until(
      "control again",
      () => lab.hosts.ssh("control", "cat /proc/uptime"),
      ({ code }) => code === 0,
      60,
    );
    await lab.on("control", "/usr/local/sbin/dynamos-fabric-network; rm -rf /var/lib/stub/lock");
    await lab.on("max", `rm ${slowFile}; pkill -x sleep || true`);
    await history();
    const done = good(await apply());
    expect(done.stdout).not.toContain("found the run again");
    expect(await history()).toEqual(["0 playbooks/facts.yml", "0 scale.yml --limit=max,localhost"]);
  });

  it("stops at the deadline with what to do", async () => {
    await lab.change({
      control: "AMST",
      losa: "LOSA",
      toky: "TOKY",
      brist: "BRIST",
      max: "MAX",
      star: "STAR",
    });
    await prepared("star");
    await lab.on("star", `echo 100 >${slowFile}`);
    const short = { ...options, deadline: "15s" };
    const done = await lab.run(
      "control",
      steps.applyStep("lab", inventoryFiles("lab", lab.all(), short), short, kubespray, []),
    );
    expect(done.code).not.toBe(0);
    expect(done.stderr).toContain("error: deadline  CLU-RUN-DEADLINE  scale.yml was stopped at the deadline");
    await lab.on("star", `rm ${slowFile}`);
    await lab.on("control", "rm -rf /var/lib/stub/lock");
    good(await apply());
  });

  it("sets labels and takes away those of before, and hands out the kubeconfig", async () => {
    good(await lab.run("control", steps.labelsStep("lab", { losa: { zone: "west", gpu: "yes" } })));
    good(await lab.run("control", steps.labelsStep("lab", { losa: { zone: "east" } })));
    expect(await lab.on("control", "grep -o 'label .*' /var/lib/stub/kubectl")).toBe(
      [
        "label node losa gpu=yes --overwrite",
        "label node losa zone=west --overwrite",
        "label node losa gpu- --overwrite",
        "label node losa zone=east --overwrite",
      ].join("\n"),
    );
    const { stdout } = good(await lab.run("control", steps.kubeconfigStep("lab", 1)));
    expect(stdout).toMatch(/^apiVersion: v1\nkind: Config\n/);
  });

  it("drains a node for a slice that only knows its nodes, twice without harm, and stops the slice when it cannot", async () => {
    await pulumi.runtime.setMocks(
      { newResource: () => ({ id: "", state: {} }), call: () => ({}) },
      "drained",
      "dev",
    );
    const state = join(ground.folder, "state");
    lab.writeConfig(loginsFile(state, "cluster"));
    const own = { sliceName: "cluster", state: relative(projectFolder(process.cwd()) ?? "", state) };
    const hosts = Object.fromEntries(
      Object.entries(lab.all()).map(([name, h]) => [name, { site: "AMST", managementIp: h.address }]),
    );
    const drain = kubesprayDrain(own);
    await drain({ leaving: ["star"], hosts });
    await drain({ leaving: ["star"], hosts });
    expect(await members()).not.toContain("star");
    await expect(drain({ leaving: ["control"], hosts })).rejects.toMatchObject({ code: "CLU-CONTROL-FIRST" });
    await expect(kubesprayDrain({ ...own, control: "nobody" })({ leaving: ["max"], hosts })).rejects.toMatchObject({ code: "CLU-DRAIN" }); // biome-ignore format: one line
    expect(await members()).toContain("max");
  });

  it("resets only machines that live on, and leaves nothing of the cluster on the control node", async () => {
    await history();
    good(await lab.run("control", applyStep(lab.all(), ["control", "losa"]), "undo"));
    expect((await ground.touches("losa")).at(-1)).toBe("reset");
    expect((await ground.touches("toky")).at(-1)).not.toBe("reset");
    expect(await lab.on("control", "ls -A ~/.dynamos-fabric")).toBe("");
  });
});
