/** The collection of playbooks as the archive that a cluster's control node fetches instead of Kubespray's. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { stringify } from "yaml";
import { execute } from "../../infra/toolchain/execute.js";
import { ansibleCore, ansibleVenv } from "../integration/cluster/ansible.js";
import { kubernetesVersion } from "../support/kubernetes-binaries.js";
import type { ClusterPrograms } from "./programs.js";

export interface CollectionInput {
  readonly programs: ClusterPrograms;
  /** Folder with `pause.tar` and `coredns.tar`, below the toolchain's cache, which every host sees. */
  readonly images: string;
  /** Name of the control group that all nodes' are in: this lab's own. */
  readonly cgroup: string;
}

/** Writes the archive. */
export async function packCollection(archive: string, input: CollectionInput): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "lab-collection-"));
  try {
    const root = join(folder, "lab-collection");
    cpSync(resolve(__dirname, "collection"), root, { recursive: true });
    // Hosts reach no internet: pip takes what was fetched before.
    const wheels = join(await ansibleVenv(), "wheels");
    writeFileSync(
      join(root, "requirements.txt"),
      ["--no-index", `--find-links ${wheels}`, ansibleCore, ""].join("\n"),
    );
    const { programs, images, cgroup } = input;
    mkdirSync(join(root, "group_vars/all"), { recursive: true });
    writeFileSync(
      join(root, "group_vars/all/lab.yml"),
      stringify({
        lab_programs: programs,
        lab_images: images,
        lab_cgroup: cgroup,
        lab_version: kubernetesVersion,
      }),
    );
    const { code, stderr } = await execute("tar", ["-czf", archive, "-C", folder, "lab-collection"]);
    if (code !== 0) throw new Error(stderr);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
