import type { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { InfraError } from "../problem.js";
import { problemsOfSchema } from "../problems-of-schema.js";
import { type Cluster, type ClusterNode, providerOf } from "./cluster.js";
import { apiNames, clusterInventory, controlOrderOf } from "./inventory.js";
import { reachedAt } from "./kubeconfig.js";
import { type KubesprayClusterArgs, plainHostProblems } from "./kubespray-args.js";
import { type RemoteStepArgs, remoteStep, type Target, targetOf } from "./remote-step.js";
import { addressProblems, type Host, kubesprayOptionsSchema, membershipProblems, seconds } from "./spec.js";
import * as steps from "./steps.js";

/** Seconds that a short step may take: packages may have to come from far away. */
const shortStep = 30 * 60;

/**
 * A Kubernetes cluster that Kubespray makes on any machines that SSH leads to: FABRIC's, one's own, a cloud's, mixed.
 *
 * @example
 * ```ts
 * const cluster = new KubesprayCluster("lab", {
 *   hosts: {
 *     control: { role: "control", address: "10.0.0.5", user: "ubuntu", privateKey: key },
 *     worker: { address: "10.0.0.6", user: "ubuntu", privateKey: key },
 *   },
 * });
 * export const kubeconfig = cluster.kubeconfig;
 * ```
 */
export class KubesprayCluster extends pulumi.ComponentResource implements Cluster {
  readonly kubeconfig: pulumi.Output<string>;
  readonly nodes: pulumi.Output<readonly ClusterNode[]>;
  /** The commands by what they do, to depend on. */
  readonly steps: Readonly<Record<string, remote.Command>>;
  readonly #name: string;
  #provider: pulumi.ProviderResource | undefined;

  /** @throws InfraError with all problems that are known before anything is made */
  constructor(name: string, args: KubesprayClusterArgs, options?: pulumi.ComponentResourceOptions) {
    const { hosts: given, ...rest } = args;
    const parsed = kubesprayOptionsSchema.safeParse(rest);
    const problems = [
      ...membershipProblems(given),
      ...(parsed.success ? [] : problemsOfSchema(parsed.error)),
      ...plainHostProblems(given),
    ];
    if (problems.length > 0 || !parsed.success) throw new InfraError(problems);
    const wanted = parsed.data;
    super("dynamos-fabric:cluster:KubesprayCluster", name, {}, options);
    this.#name = name;

    const made: Record<string, remote.Command> = {};
    const run = (
      label: string,
      what: Omit<RemoteStepArgs, "limit" | "patience"> & { limit?: number },
      after: readonly pulumi.Resource[],
    ): remote.Command => {
      const command = remoteStep(
        `${name}-${label}`,
        { limit: shortStep, patience: seconds(wanted.patience), ...what },
        { parent: this, dependsOn: [...after] },
      );
      made[label] = command;
      return command;
    };
    const names = Object.keys(given).sort();
    const targets = Object.fromEntries(names.map((host) => [host, targetOf(host, given[host])]));
    const on = (host: string): Target => targets[host] as Target;
    const known = (host: string): pulumi.Output<Host> => withoutKeys(on(host).host);
    const order = controlOrderOf(given);
    const control = order[0] as string;
    const onFabric = names.some((host) => given[host]?.network !== undefined);

    // All are looked at before any is changed.
    const checks = names.map(
      (host) =>
      run(`${host}-check`, { step: "check", on: on(host), what: known(host).apply((h) => steps.checkStep(host, h, wanted, onFabric)) }, []), // biome-ignore format: one line
    );
    const key = run("key", { step: "key", on: on(control), what: steps.keyStep(name) }, checks);
    const prepared = names.map((host) => {
      const what = pulumi
        .all([known(host), key.stdout])
        .apply(([h, publicKey]) => steps.prepareStep(name, host, h, wanted, publicKey));
      return run(`${host}-prepare`, { step: "prepare", on: on(host), what }, [key, ...checks]);
    });
    const ofControl = prepared[names.indexOf(control)] as remote.Command;
    const kubespray = steps.kubesprayStep(name, control, wanted);
    const installed = run("kubespray", { step: "kubespray", on: on(control), what: kubespray }, [ofControl]);

    // Two outputs: a worker that is not known yet leaves what depends on the control plane alone.
    const inventory = clusterInventory(name, wanted, order, {
      onFabric,
      alone: order.length === names.length,
    });
    const core = outputs(order, known).apply((hosts) => inventory.core(hosts));
    const workers = outputs(names.filter((host) => !order.includes(host)), known).apply((hosts) => inventory.members(hosts)); // biome-ignore format: one line
    const all = outputs(names, known).apply(refuseTwins);
    const resettable = names.filter((host) => given[host]?.reset !== false);
    const applied = run(
      "apply",
      {
        step: "apply",
        on: on(control),
        what: pulumi.all([core, workers, all]).apply(([c, w]) => steps.applyStep(name, { ...c, ...w }, wanted, kubespray.hash, resettable)), // biome-ignore format: one line
        undo: resettable.length > 0,
        limit: seconds(wanted.deadline) + 120,
      },
      [installed, ...prepared],
    );

    const labels = pulumi.all(
      Object.fromEntries(names.map((host) => [host, pulumi.output(given[host]?.labels ?? {})])),
    );
    run("labels", { step: "labels", on: on(control), what: labels.apply((l) => steps.labelsStep(name, l)) }, [
      applied,
    ]);
    const config = run(
      "kubeconfig",
      { step: "kubeconfig", on: on(control), what: core.apply((c) => steps.kubeconfigStep(name, { c, kubespray: kubespray.hash })), secretOutput: true }, // biome-ignore format: one line
      [applied],
    );
    for (const tool of steps.toolNames) {
      const what = steps.toolStep(tool, wanted);
      if (what !== undefined) run(tool, { step: tool, on: on(control), what }, [ofControl]);
    }
    this.steps = made;
    this.nodes = labels.apply((l) => names.map((host) => ({ name: host, labels: l[host] ?? {} })));
    this.kubeconfig = pulumi.secret(
      pulumi
        .all([config.stdout, outputs([control], known)])
        .apply(([text, hosts]) => reachedAt(text, name, apiNames(hosts, wanted.apiAddress)[0] as string)),
    );
    this.registerOutputs({ kubeconfig: this.kubeconfig, nodes: this.nodes });
  }

  get provider(): pulumi.ProviderResource {
    this.#provider ??= providerOf(this, this.#name);
    return this.#provider;
  }
}

/** What of a host may be told: without its keys it is no secret. */
function withoutKeys(host: pulumi.Output<Host>): pulumi.Output<Host> {
  return pulumi.unsecret(host.apply(({ bastion: _, ...rest }): Host => ({ ...rest, privateKey: "" })));
}

function outputs(
  names: readonly string[],
  known: (host: string) => pulumi.Output<Host>,
): pulumi.Output<Record<string, Host>> {
  return pulumi.all(Object.fromEntries(names.map((host) => [host, known(host)]))) as pulumi.Output<
    Record<string, Host>
  >;
}

function refuseTwins(hosts: Record<string, Host>): true {
  const problems = addressProblems(hosts);
  if (problems.length > 0) throw new InfraError(problems);
  return true;
}
