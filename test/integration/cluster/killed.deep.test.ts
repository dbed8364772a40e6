import { spawn } from "node:child_process";
import { afterAll, describe, expect, it } from "vitest";
import { engineArguments } from "../../../infra/toolchain/engine.js";
import { silentProgress } from "../../../infra/toolchain/progress.js";
import { repairStack } from "../../../infra/toolchain/repair.js";
import { onClusterGround, threeSites } from "./cluster-ground.js";
import { ClusterStack } from "./cluster-program.js";
import { clash } from "./stub-kubespray.js";

/** The engine is killed inside each step and after it; the next `up` goes on, until one comes to its end. */
describe("a cluster whose engine is killed again and again", { timeout: 900_000 }, () => {
  let stack: ClusterStack;
  const ground = onClusterGround(threeSites, async (open) => {
    stack = new ClusterStack(open.folder);
  });
  afterAll(() => stack?.end());
  const playbooks = async () => (await ground.lab.on("control", "cat ~/.dynamos-fabric/lab/history")).split("\n").map((line) => line.split(" ").slice(1).join(" ").trim()); // biome-ignore format: one line

  /** An `up` that is killed at the first moment that is not among those of before. @returns that moment, or undefined when it came to its end */
  async function upKilledAt(before: ReadonlySet<string>): Promise<string | undefined> {
    const engine = await stack.engine();
    await repairStack(engine, silentProgress);
    const args = [...engineArguments(engine, ["up", "--yes", "--skip-preview"]), "--non-interactive"];
    const run = spawn(engine.tool.path, args, { cwd: engine.project, env: engine.env });
    let said = "";
    let moment: string | undefined;
    const hear = (chunk: Buffer): void => {
      said += chunk.toString();
      for (const [, name, what] of said.matchAll(
        /command:remote:Command (lab-\S+) (creating|created|updating|updated)\b/g,
      )) {
        const seen = `${name} ${what}`;
        if (moment !== undefined || before.has(seen)) continue;
        moment = seen;
        run.kill("SIGKILL");
      }
    };
    run.stdout.on("data", hear);
    run.stderr.on("data", hear);
    const code = await new Promise<number | null>((settle) => run.once("close", settle));
    if (moment === undefined) expect(code, said).toBe(0);
    return moment;
  }

  async function upUntilDone(): Promise<string[]> {
    const moments = new Set<string>();
    for (;;) {
      const moment = await upKilledAt(moments);
      if (moment === undefined) return [...moments];
      moments.add(moment);
    }
  }

  it("is made from nothing; each host is done once", async () => {
    await stack.wants(ground.lab.some(["control", "losa"]));
    const moments = await upUntilDone();
    const steps = ["control-check", "losa-check", "key", "control-prepare", "losa-prepare", "kubespray", "apply", "labels", "kubeconfig"]; // biome-ignore format: one line
    for (const step of steps) expect(moments).toContain(`lab-${step} creating`);
    console.log(`killed ${moments.length} times: ${moments.join(", ")}`);
    expect(await ground.touches("control")).toEqual(["cluster"]);
    expect(await ground.touches("losa")).toEqual(["cluster"]);
    expect(await playbooks()).toEqual(["0 cluster.yml"]);
    expect(await ground.lab.on("control", `cat ${clash} 2>/dev/null || true`)).toBe("");
  });

  it("gets a host, and then none has anything to do", async () => {
    await stack.wants(ground.lab.some(["control", "losa", "toky"]));
    const moments = await upUntilDone();
    console.log(`killed ${moments.length} times: ${moments.join(", ")}`);
    expect(moments).toContain("lab-apply updating");
    expect(await ground.touches("losa")).toEqual(["cluster"]);
    expect(await ground.touches("toky")).toEqual(["scale"]);
    expect(await playbooks()).toEqual(["0 cluster.yml", "0 playbooks/facts.yml", "0 scale.yml --limit=toky,localhost"]); // biome-ignore format: one line
    expect((await stack.up()).text).not.toMatch(/(updated|created|replaced|deleted)\b.*\(/);
  });

  it("loses a host, and is destroyed", async () => {
    await stack.wants(ground.lab.some(["control", "losa"]));
    await upUntilDone();
    expect(await ground.touches("toky")).toEqual(["scale", "remove"]);
    expect((await playbooks()).filter((line) => line.includes("remove-node"))).toHaveLength(1);
    const down = await stack.destroy();
    expect(down.code, down.text).toBe(0);
    expect(down.resources).toEqual([]);
  });
});
