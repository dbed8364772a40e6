/** Takes nodes out of a cluster before their machines go (DESIGN 5). I/O: ssh, by the configuration that the slice has written. */
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import type { Removal } from "../fabric/slice.js";
import { loginsFile } from "../fabric/slice-logins.js";
import { projectFolder } from "../local/package-folder.js";
import { InfraError } from "../problem.js";
import { shellWord } from "../shell-word.js";
import { type Executed, execute } from "../toolchain/execute.js";
import { find } from "../toolchain/locate.js";
import { seconds } from "./spec.js";

export interface DrainOptions {
  /** The node that runs Kubespray. Default: looked for on all nodes. */
  readonly control?: string;
  /** The slice's name in FABRIC. Default `<project>-<stack>`, as FabricSlice has it. */
  readonly sliceName?: string;
  /** The stack's state folder, as FabricSlice has it. Default `.state/<stack>`. */
  readonly state?: string;
  /** For all nodes that leave, e.g. `30m`, the default. */
  readonly deadline?: string;
}

/** What a node answers that has no cluster of ours. */
const noCluster = 3;

/**
 * For `beforeRemove` of a FabricSlice: nodes leave the cluster by `remove-node.yml` on its control node, which knows them; where there is no cluster,
 * nothing happens. It takes nothing from the running program, so it works from any program that knows the slice, and is done again without harm.
 *
 * Throws CLU-DRAIN when a node that may be the control node cannot be reached, and with the playbook's own code when that fails; the slice then
 * stays as it is.
 */
export function kubesprayDrain(options: DrainOptions = {}): (removal: Removal) => Promise<void> {
  return async ({ leaving, hosts }) => {
    const stack = pulumi.getStack();
    const state = join(projectFolder(process.cwd()) ?? process.cwd(), options.state ?? `.state/${stack}`);
    const config = loginsFile(state, options.sliceName ?? `${pulumi.getProject()}-${stack}`);
    const limit = seconds(options.deadline ?? "30m");
    const ssh = find("ssh")?.path ?? "ssh";
    const run = async (name: string, command: string, time: number): Promise<Executed> =>
      await execute(ssh, ["-F", config, "-o", "BatchMode=yes", name, command], {
        timeoutMs: time * 1000,
        onLine: (line) => void pulumi.log.info(line),
      });
    const known = Object.entries(hosts).filter(([, host]) => host.managementIp !== undefined);
    const candidates = options.control === undefined ? known.map(([name]) => name) : [options.control];
    const looked = await Promise.all(
      candidates.map(async (name) => ({
        name,
        ...(await run(name, `bash -c ${shellWord(lookScript)}`, 60)),
      })),
    );
    const withCluster = looked.filter(({ code }) => code === 0);
    const silent = looked.filter(({ code }) => code !== 0 && code !== noCluster);
    // A node that leaves because it is dead is no reason to stop: the control node is another, if it was found.
    if (withCluster.length === 0 && silent.length > 0) throw unreachable(silent.map(({ name }) => name));
    for (const { name } of withCluster) {
      const done = await run(name, `bash -c ${shellWord(leaveScript(leaving, limit))}`, limit + 120);
      if (done.code !== 0) throw failed(name, leaving, done);
    }
  };
}

const lookScript = `ls "$HOME"/.dynamos-fabric/*/tools/cluster.sh >/dev/null 2>&1 || exit ${noCluster}`;

function leaveScript(leaving: readonly string[], limit: number): string {
  const names = leaving.map(shellWord).join(" ");
  const key = shellWord(`leave ${[...leaving].sort().join(" ")}`);
  return `for tool in "$HOME"/.dynamos-fabric/*/tools/cluster.sh; do bash "$tool" follow ${key} ${limit} leave ${names} || exit 1; done`;
}

function unreachable(names: readonly string[]): InfraError {
  return new InfraError({
    code: "CLU-DRAIN",
    path: "beforeRemove",
    message: `no cluster was found on the nodes that answer, and ${names.join(", ")} cannot be reached: nothing was removed`,
    remedy: "name the control node in kubesprayDrain({ control }), see that it runs, then run up again",
  });
}

function failed(control: string, leaving: readonly string[], { stderr }: Executed): InfraError {
  const own = /^error: (\S+) +(CLU-[A-Z-]+) +(.*); (.*)$/m.exec(stderr);
  const [, path = "beforeRemove", code = "CLU-DRAIN", message, remedy] = own ?? [];
  return new InfraError({
    code,
    path,
    message:
      message ??
      `${leaving.join(", ")} could not leave the cluster of ${control}: ${stderr.trim().split("\n").at(-1) ?? ""}`,
    remedy: remedy ?? "see the log on the control node, then run up again",
  });
}
