import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { readConfig } from "../platform/config.js";
import type { JobRunner } from "./runner.js";
import { KubernetesRunner } from "./runner-kubernetes.js";
import { ClusterApi, ownCluster } from "./runner-kubernetes-api.js";
import type { KubeJob } from "./runner-kubernetes-job.js";
import { ProcessRunner, type ProcessRunnerOptions } from "./runner-process.js";

/** Made absolute: microservices run in folders of their own. */
export const folder = z
  .string()
  .min(1)
  .transform((path) => resolve(path));

const processes = z.object({
  /** Microservices' programs lie below it. */
  EXPERIMENT_FOLDER: folder,
  DATA_FOLDER: folder,
});

const pods = z.object({
  /** A Kubernetes Job (JSON): what all jobs of this agent look like. */
  JOB_TEMPLATE_FILE: z.string().min(1),
});

/** Where jobs run, as a setting. */
export const jobRunner = z.enum(["process", "kubernetes"]).default("process");

type Common = Omit<ProcessRunnerOptions, "experimentFolder" | "dataFolder">;

/** The runner that an agent's environment names. */
export async function openRunner(kind: z.infer<typeof jobRunner>, common: Common): Promise<JobRunner> {
  if (kind === "kubernetes") {
    const { JOB_TEMPLATE_FILE } = readConfig(pods);
    const template = JSON.parse(readFileSync(JOB_TEMPLATE_FILE, "utf8")) as KubeJob;
    return await KubernetesRunner.open({ api: new ClusterApi(ownCluster()), template, log: common.log });
  }
  const { EXPERIMENT_FOLDER, DATA_FOLDER } = readConfig(processes);
  return new ProcessRunner({ ...common, experimentFolder: EXPERIMENT_FOLDER, dataFolder: DATA_FOLDER });
}
