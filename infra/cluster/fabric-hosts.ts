/** FABRIC's nodes as hosts of a cluster. Reads the keys when a program asks for them. */
import { readFile } from "node:fs/promises";
import * as pulumi from "@pulumi/pulumi";
import { openEndpoint } from "../fabric/endpoint.js";
import type { FabricSlice } from "../fabric/slice.js";
import { loginOf } from "../fabric/ssh-config.js";
import type { SshCredentials } from "../fabric/ssh-credentials.js";
import { InfraError, type Problem } from "../problem.js";
import { pathText } from "../problems-of-schema.js";
import type { ClusterHostArgs } from "./kubespray-args.js";

/**
 * The networks of all sites, FABNetv4 and v6: one route serves for every site, so that a new site changes nothing on the others.
 * Source: FABlib's add_fabnet.
 */
const fabnet = { ipv4: "10.128.0.0/10", ipv6: "2602:fcfb::/40" } as const;

export interface FabricHostsOptions {
  /** Names of the nodes that run the control plane; the first can never leave. */
  readonly control: readonly string[];
  /** Labels of nodes in Kubernetes. */
  readonly labels?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/**
 * Hosts for {@link KubesprayCluster} from the nodes of a slice: through FABRIC's bastion, with the slice's key, on the network of their site. They end with
 * their slice and are not reset. Spread them into a record with hosts from elsewhere for a mixed cluster.
 *
 * Errors, when a log-in is needed: those of the slice's credentials (FAB-KEY-..., FAB-BASTION-USER).
 *
 * @throws InfraError CLU-HOST-UNKNOWN for a name that is no node
 * @example
 * ```ts
 * new KubesprayCluster("vfl", { hosts: fabricHosts(slice, { control: ["control"] }) });
 * ```
 */
export function fabricHosts(
  slice: FabricSlice,
  options: FabricHostsOptions,
): Record<string, ClusterHostArgs> {
  const problems: Problem[] = options.control
    .filter((name) => slice.nodes[name] === undefined)
    .map((name) => ({
      code: "CLU-HOST-UNKNOWN",
      path: pathText(["control", name]),
      message: `the slice has no node ${JSON.stringify(name)}`,
      remedy: `it has: ${Object.keys(slice.nodes).join(", ")}`,
    }));
  if (problems.length > 0) throw new InfraError(problems);
  // Once for all nodes; and nothing is read before there is a slice.
  const credentials = pulumi.secret(slice.sliceId.apply(async () => await logins(slice)));
  const entries = Object.entries(slice.nodes).map(([name, node]): [string, ClusterHostArgs] => {
    const own = pulumi.all([credentials, node.sliverId]).apply(([c, id]) => c.logins[id]);
    const planned = slice.plan.nodes.find((n) => n.name === name);
    const network = slice.networks[planned?.site ?? ""];
    const user = own.apply((login) => login?.user ?? loginOf(planned?.image ?? ""));
    const gateway = network?.gateway ?? pulumi.output("");
    const onSite = {
      dataAddress: node.addresses.apply((all) => all[0] ?? ""),
      network: {
        mac: node.mac,
        subnet: network?.subnet ?? pulumi.output(""),
        routes: gateway.apply((via) => [{ to: via.includes(":") ? fabnet.ipv6 : fabnet.ipv4, via }]),
      },
    };
    const host: ClusterHostArgs = {
      role: options.control.includes(name) ? "control" : "worker",
      address: node.managementIp,
      port: pulumi.unsecret(own.apply((login) => login?.port ?? 22)),
      user: pulumi.unsecret(user),
      privateKey: credentials.apply((c) => c.key),
      bastion: {
        host: credentials.apply((c) => c.bastion.host),
        port: credentials.apply((c) => c.bastion.port ?? 22),
        user: credentials.apply((c) => c.bastion.user),
        privateKey: credentials.apply((c) => c.bastionKey),
      },
      // A node on no network of its site is reached over the others, which are the person's own.
      ...(planned?.network === undefined ? {} : onSite),
      labels: { "topology.kubernetes.io/region": planned?.site ?? "", ...options.labels?.[name] },
      reset: false,
    };
    return [name, host];
  });
  // The control plane in the order that was asked for, then the others.
  const place = (name: string): number => options.control.indexOf(name) + 1 || entries.length + 1;
  return Object.fromEntries(entries.sort(([a], [b]) => place(a) - place(b)));
}

interface Logins {
  readonly bastion: SshCredentials["bastion"];
  readonly bastionKey: string;
  readonly key: string;
  readonly logins: Readonly<Record<string, { readonly user: string; readonly port: number }>>;
}

async function logins(slice: FabricSlice): Promise<Logins> {
  const credentials = (await openEndpoint(slice.endpoint)).ssh();
  if (credentials === undefined) {
    throw new InfraError({
      code: "CLU-NO-LOGIN",
      message: "the nodes of this slice have no SSH",
      remedy:
        "the emulator needs hosts: `hosts: namespaces` in its endpoint, `--hosts namespaces` at its start",
    });
  }
  const { bastion, sliceKeyFile } = credentials;
  const [bastionKey, key] = await Promise.all(
    [bastion.keyFile, sliceKeyFile].map((file) => readFile(file, "utf8")),
  );
  return { bastion, bastionKey: bastionKey ?? "", key: key ?? "", logins: credentials.logins ?? {} };
}
