/** What all tests of the lab stand on: the cluster's programs and images, the emulator's hosts, playbooks that make nodes of them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { KubesprayOptionsInput } from "../../infra/cluster/spec.js";
import { type Executed, execute } from "../../infra/toolchain/execute.js";
import { clusterImages } from "./cluster-images.js";
import { packCollection } from "./collection.js";
import { type ClusterPrograms, clusterPrograms } from "./programs.js";
import { Testbed } from "./testbed.js";

/** Seconds that building Kubernetes and the others may take, the first time. */
export const firstTime = 1800;

export class Lab {
  readonly testbed: Testbed;
  readonly programs: ClusterPrograms;
  /** Variables of FABRIC's that lead to the emulator. */
  readonly env: Readonly<Record<string, string>>;
  /** What a cluster here differs in from one that Kubespray itself makes. */
  readonly kubespray: KubesprayOptionsInput;

  private constructor(
    testbed: Testbed,
    programs: ClusterPrograms,
    env: Readonly<Record<string, string>>,
    archive: string,
  ) {
    this.testbed = testbed;
    this.programs = programs;
    this.env = env;
    this.kubespray = {
      kubespray: { source: `file://${archive}` },
      // The hosts reach nothing but each other.
      outbound: [],
      nat64: false,
      minimum: { ram: 0.5, disk: 1 },
      tools: { k9s: false, helm: false },
      deadline: "10m",
      patience: "30s",
    };
  }

  /** Minutes the first time on a machine. */
  static async open(): Promise<Lab> {
    const programs = await clusterPrograms((line) => console.log(line));
    const images = await clusterImages(programs.coredns);
    const testbed = new Testbed();
    try {
      // From here on temporary folders are the lab's, and go with it.
      process.env.TMPDIR = testbed.folder;
      const archive = join(testbed.shared, "collection.tar.gz");
      await packCollection(archive, { programs, images, cgroup: testbed.name });
      return new Lab(testbed, programs, await testbed.start(), archive);
    } catch (error) {
      await testbed.end();
      throw error;
    }
  }

  /** What cluster-program.ts reads: nodes by site, `control` the control node. @returns the file */
  writeSpec(sites: Readonly<Record<string, string>>): string {
    const file = join(this.testbed.folder, "spec.json");
    const nodes = Object.fromEntries(
      Object.entries(sites).map(([name, site]) => [name, { site, image: "default_ubuntu_24" }]),
    );
    writeFileSync(file, JSON.stringify({ nodes, options: this.kubespray }));
    return file;
  }

  /** kubectl on this machine. */
  async kubectl(kubeconfig: string, ...args: readonly string[]): Promise<Executed> {
    return await execute(join(this.programs.kubernetes, "kubectl"), ["--kubeconfig", kubeconfig, ...args], {
      timeoutMs: 120_000,
    });
  }

  async end(): Promise<void> {
    await this.testbed.end();
  }
}
