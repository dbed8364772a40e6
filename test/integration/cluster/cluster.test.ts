import { describe, expect, it } from "vitest";
import { inventoryFiles } from "../../../infra/cluster/inventory.js";
import type { Host, KubesprayOptions } from "../../../infra/cluster/spec.js";
import * as steps from "../../../infra/cluster/steps.js";
import { contentHash } from "../../../infra/content-hash.js";
import { shellWord } from "../../../infra/shell-word.js";
import type { Executed } from "../../../infra/toolchain/execute.js";
import { ansibleVenv } from "./ansible.js";
import { type ClusterGround, onClusterGround, threeSites } from "./cluster-ground.js";
import { stubOptions } from "./stub-kubespray.js";

/** The short form of `npm run test:cluster`: the scripts of a cluster on hosts behind a bastion, by the real Ansible; one story, in order. */
describe("a cluster, in short", { timeout: 120_000 }, () => {
  let options: KubesprayOptions;
  let kubespray: steps.Step;
  const ground = onClusterGround(threeSites, ready);

  const good = ({ code, stdout, stderr }: Executed): string => {
    expect(code, stderr + stdout).toBe(0);
    return stdout;
  };
  const apply = async (names: readonly string[]) => {
    const { lab } = ground;
    const hosts = lab.some(names);
    const files = inventoryFiles("lab", hosts, options);
    return good(await lab.run("control", steps.applyStep("lab", files, options, kubespray.hash, [])));
  };
  const history = async () =>
    (await ground.lab.on("control", "cd ~/.dynamos-fabric/lab && cat history 2>/dev/null; rm -f history"))
      .split("\n")
      .filter(Boolean)
      .map((line) => line.split(" ").slice(1).join(" ").trim());
  async function ready({ lab }: ClusterGround): Promise<void> {
    options = await stubOptions();
    const key = good(await lab.run("control", steps.keyStep("lab")));
    const all = Object.entries(lab.all());
    await Promise.all(
      all.map(async ([name, host]: [string, Host]) =>
        good(await lab.run(name, steps.prepareStep("lab", name, host, options, key))),
      ),
    );
    // Ansible is this machine's, which every node sees, run by the node's own Python: only the deep form installs it there.
    const source = steps.sourceOf(options);
    const place = `~/.dynamos-fabric/lab/kubespray/${contentHash(source).slice(0, 12)}`;
    const seed = [
      `mkdir -p ${place}/source && cd ${place} && tar -xzf ${shellWord(source.replace("file://", ""))} -C source --strip-components=1`,
      "python3 -m venv --without-pip venv",
      `echo ${shellWord(await ansibleVenv())}/lib/python3*/site-packages >$(echo venv/lib/python3*/site-packages)/shared.pth`,
      `printf '#!%s/venv/bin/python\nfrom ansible.cli.playbook import main\nmain()\n' "$PWD" >venv/bin/ansible-playbook`,
      "chmod 755 venv/bin/ansible-playbook && touch complete",
    ];
    await lab.on("control", seed.join(" && "));
    kubespray = steps.kubesprayStep("lab", "control", options);
    good(await lab.run("control", kubespray));
  }

  it("is made by cluster.yml, and nothing is done the second time", async () => {
    expect(await apply(["control", "losa"])).toMatch(/ended: 2 of 2 hosts well/);
    expect(await apply(["control", "losa"])).toContain("nothing to do: all 2 hosts are in the cluster");
    expect(await history()).toEqual(["0 cluster.yml"]);
  });

  it("gets a host by scale.yml and loses one by remove-node.yml in one go; the one that stays is not touched", async () => {
    await apply(["control", "toky"]);
    expect(await history()).toEqual(["0 remove-node.yml -e node=losa -e skip_confirmation=yes", "0 playbooks/facts.yml", "0 scale.yml --limit=toky,localhost"]); // biome-ignore format: one line
    expect(await ground.touches("control")).toEqual(["cluster"]);
    expect(await ground.touches("losa")).toEqual(["cluster", "remove"]);
    expect(await ground.touches("toky")).toEqual(["scale"]);
  });
});
