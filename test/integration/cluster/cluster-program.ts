import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { KubesprayOptionsInput } from "../../../infra/cluster/spec.js";
import { TestStack } from "../../support/engine.js";
import { stubOptions } from "./stub-kubespray.js";

/** A program that makes the cluster which the file CLUSTER_SPEC describes. */
const clusterProgram = `
const { readFileSync } = require("fs");
const { KubesprayCluster } = require("dynamos-fabric/infra");
const { hosts, options } = JSON.parse(readFileSync(process.env.CLUSTER_SPEC, "utf8"));
const cluster = new KubesprayCluster("lab", { ...options, hosts });
module.exports = { kubeconfig: cluster.kubeconfig, nodes: cluster.nodes };
`;

/** A project of its own that makes a cluster named `lab` as the file `spec.json` in a folder says. */
export class ClusterStack extends TestStack {
  readonly #file: string;

  constructor(folder: string) {
    const file = join(folder, "spec.json");
    super({ program: clusterProgram, env: { CLUSTER_SPEC: file } });
    this.#file = file;
  }

  /** The cluster that is wanted from now on. */
  async wants(hosts: unknown, more: KubesprayOptionsInput = {}): Promise<void> {
    writeFileSync(this.#file, JSON.stringify({ hosts, options: await stubOptions(more) }));
  }
}
