/** What a program gives to a KubesprayCluster. */
import * as pulumi from "@pulumi/pulumi";
import { InfraError, type Problem } from "../problem.js";
import type { ApiAddress } from "./slice-api.js";
import { addressProblems, type Host, type HostRole, type KubesprayOptionsInput, parseHost } from "./spec.js";

/** A login: where, as whom, by which key. */
export interface LoginArgs {
  /** The user's name; it becomes root by sudo without a password, or is root. */
  readonly user: pulumi.Input<string>;
  /** The text of the private key, as OpenSSH writes it, without a passphrase. Always kept as a secret. */
  readonly privateKey: pulumi.Input<string>;
  /** Default 22. */
  readonly port?: pulumi.Input<number>;
  /** The machine's own key as in known_hosts, e.g. `ssh-ed25519 AAAA...`; without it any is taken. */
  readonly hostKey?: pulumi.Input<string>;
}

/** One machine. Names of hosts, roles and whether there is a network are plain, since they decide which resources exist. */
export interface ClusterHostArgs extends LoginArgs {
  /** `control` runs the control plane, a member of etcd, and (the first one) Kubespray itself. Default `worker`. */
  readonly role?: HostRole;
  /** Where it is logged in to: an address or a name. */
  readonly address: pulumi.Input<string>;
  /** A machine that all logins pass through. */
  readonly bastion?: LoginArgs & { readonly host: pulumi.Input<string> };
  /** Its address on the network that connects the cluster. Default: the one that Kubespray finds. */
  readonly dataAddress?: pulumi.Input<string>;
  /** A data card that is to be set up, as on FABRIC, whose virtual machines come without addresses. */
  readonly network?: {
    /** The card's hardware address. */
    readonly mac: pulumi.Input<string>;
    /** e.g. `10.128.3.0/24`; `dataAddress` is in it. */
    readonly subnet: pulumi.Input<string>;
    /** Networks behind it. */
    readonly routes?: pulumi.Input<pulumi.Input<{ readonly to: string; readonly via: string }>[]>;
  };
  /** Labels of the node in Kubernetes. */
  readonly labels?: pulumi.Input<Readonly<Record<string, pulumi.Input<string>>>>;
  /** Whether Kubernetes is taken off it when the cluster is destroyed; `false` for a machine that ends with the stack. Default true. */
  readonly reset?: boolean;
}

export interface KubesprayClusterArgs extends KubesprayOptionsInput {
  /** Machines by name; the names are those of the Kubernetes nodes. The first of role `control` runs Kubespray and can never leave. */
  readonly hosts: Readonly<Record<string, ClusterHostArgs>>;
  /** Where this machine reaches the API server, e.g. {@link sliceApi}; 127.0.0.1 is in its certificate. Default: `apiAddress`, port 6443. */
  readonly api?: pulumi.Input<ApiAddress>;
}

/** What is wrong with hosts that are known already, before any resource is registered. The others are checked when they are known. */
export function plainHostProblems(hosts: Readonly<Record<string, ClusterHostArgs>>): Problem[] {
  const problems: Problem[] = [];
  const good: Record<string, Host> = {};
  for (const [name, host] of Object.entries(hosts)) {
    if (hasOutput(host)) continue;
    try {
      good[name] = parseHost(name, host);
    } catch (error) {
      if (!(error instanceof InfraError)) throw error;
      problems.push(...error.problems);
    }
  }
  return [...problems, ...addressProblems(good)];
}

function hasOutput(value: unknown): boolean {
  if (pulumi.Output.isInstance(value) || value instanceof Promise) return true;
  return typeof value === "object" && value !== null && Object.values(value).some(hasOutput);
}
