/** Kubespray's inventory as files: one for each host, so that a host that comes or goes touches no other. Pure. */
import { stringify } from "yaml";
import type { Host, KubesprayOptions } from "./spec.js";

/** Files by path below the inventory's folder. Ansible reads the folder in the order of the names. */
export type InventoryFiles = Readonly<Record<string, string>>;

/** What of a host the inventory tells. */
export type InventoryHost = Pick<Host, "role" | "address" | "port" | "user" | "dataAddress">;

/** The hardware of FABRIC's virtual machines: their data cards are enp5s0 to enp9s0. Source: the paper's notebooks. */
export const fabricInterfaces = "enp[5-9]s\\d";

/** Where the control node keeps a cluster, below the login's home. */
export function clusterFolder(cluster: string): string {
  return `.dynamos-fabric/${cluster}`;
}

/**
 * The path of a host's file: the control plane in its order, then the workers. Kubespray takes the first of `kube_control_plane` as the one that
 * starts the cluster.
 */
export function hostFile(name: string, role: Host["role"], controlOrder: readonly string[]): string {
  const place = String(controlOrder.indexOf(name) + 1).padStart(2, "0");
  return role === "control" ? `hosts/c${place}-${name}.yaml` : `hosts/w-${name}.yaml`;
}

/**
 * One host's file. Names of variables: facts of Kubespray's docs/ansible/inventory.md.
 *
 * @param controlOrder names of the control plane's hosts, in the order in which they joined
 * @param alone whether the cluster has no workers, so that pods run on the control plane
 */
export function hostText(
  name: string,
  host: InventoryHost,
  controlOrder: readonly string[],
  options: Pick<KubesprayOptions, "ansibleOver">,
  alone: boolean,
): string {
  const overData = options.ansibleOver === "data" && host.dataAddress !== undefined;
  const variables = {
    ansible_host: overData ? host.dataAddress : host.address,
    ansible_user: host.user,
    // on the data network a machine has its usual port, whatever leads to it from outside
    ...(host.port === 22 || overData ? {} : { ansible_port: host.port }),
    ...(host.dataAddress === undefined ? {} : { ip: host.dataAddress }),
    ...(host.role === "control" ? { etcd_member_name: `etcd${controlOrder.indexOf(name) + 1}` } : {}),
  };
  const member = { hosts: { [name]: {} } };
  const children =
    host.role === "control"
      ? { kube_control_plane: member, ...(alone ? { kube_node: member } : {}) }
      : { kube_node: member };
  return stringify({ all: { hosts: { [name]: variables }, children } });
}

/** Groups of groups, which no host changes. */
export const groupsText: string = stringify({
  all: {
    children: {
      etcd: { children: { kube_control_plane: {} } },
      k8s_cluster: { children: { kube_control_plane: {}, kube_node: {} } },
    },
  },
});

/** What the group variables depend on beside the options. */
export interface GroupFacts {
  readonly cluster: string;
  /** Names and addresses that the API is connected to by; they go into its certificate. */
  readonly apiNames: readonly string[];
  /** Whether data cards are configured by us, as on FABRIC. */
  readonly onFabric: boolean;
}

/** Variables of all hosts. `options.variables` has the last word. */
export function groupVariables(options: KubesprayOptions, facts: GroupFacts): Record<string, unknown> {
  const interfaces = interfacesOf(options, facts.onFabric);
  const kubeVersion = options.kubernetes?.replace(/^v/, "");
  return {
    kube_network_plugin: options.plugin,
    ...(options.plugin === "flannel" && interfaces !== undefined
      ? { flannel_interface_regexp: interfaces }
      : {}),
    container_manager: "containerd",
    ...(kubeVersion === undefined ? {} : { kube_version: kubeVersion }),
    kubeconfig_localhost: true,
    artifacts_dir: `{{ lookup('env', 'HOME') }}/${clusterFolder(facts.cluster)}/artifacts`,
    supplementary_addresses_in_ssl_keys: [...facts.apiNames],
    // once from the internet, then from the control node to the others
    download_run_once: true,
    download_localhost: false,
    ...options.variables,
  };
}

/** The interfaces that carry pods between hosts; undefined leaves the choice to the plugin. */
export function interfacesOf(
  options: Pick<KubesprayOptions, "interfaces">,
  onFabric: boolean,
): string | undefined {
  return options.interfaces ?? (onFabric ? fabricInterfaces : undefined);
}

/** Names under which the API answers: where it is connected to, and this machine for a tunnel. */
export function apiNames(
  hosts: Readonly<Record<string, InventoryHost>>,
  apiAddress: string | undefined,
): string[] {
  const own = Object.values(hosts)
    .filter((host) => host.role === "control")
    .map((host) => host.address);
  return [...new Set([...(apiAddress === undefined ? [] : [apiAddress]), ...own, "127.0.0.1"])];
}

/** Names of the control plane's hosts as written: the first starts the cluster, and a new one comes last. */
export function controlOrderOf(
  hosts: Readonly<Record<string, { readonly role?: Host["role"] | undefined }>>,
): string[] {
  return Object.keys(hosts).filter((name) => hosts[name]?.role === "control");
}

/** The inventory in two parts: what the control plane decides, and a file for each worker, so that neither waits for the other. */
export function clusterInventory(
  cluster: string,
  options: KubesprayOptions,
  controlOrder: readonly string[],
  facts: { readonly onFabric: boolean; readonly alone: boolean },
): {
  readonly core: (control: Readonly<Record<string, Host>>) => InventoryFiles;
  readonly members: (hosts: Readonly<Record<string, Host>>) => InventoryFiles;
} {
  const members = (hosts: Readonly<Record<string, Host>>): InventoryFiles =>
    Object.fromEntries(
      Object.entries(hosts).map(([name, host]) => [
        hostFile(name, host.role, controlOrder),
        hostText(name, host, controlOrder, options, facts.alone),
      ]),
    );
  return {
    members,
    core: (control) => ({
      "group_vars/all/cluster.yaml": stringify(
        groupVariables(options, {
          cluster,
          apiNames: apiNames(control, options.apiAddress),
          onFabric: facts.onFabric,
        }),
      ),
      "groups.yaml": groupsText,
      ...members(control),
    }),
  };
}

/** The whole inventory of hosts that are all known. */
export function inventoryFiles(
  cluster: string,
  hosts: Readonly<Record<string, Host>>,
  options: KubesprayOptions,
): InventoryFiles {
  const order = controlOrderOf(hosts);
  const onFabric = Object.values(hosts).some((host) => host.network !== undefined);
  const parts = clusterInventory(cluster, options, order, {
    onFabric,
    alone: order.length === Object.keys(hosts).length,
  });
  const isControl = ([name]: readonly [string, Host]): boolean => order.includes(name);
  const entries = Object.entries(hosts);
  return {
    ...parts.core(Object.fromEntries(entries.filter(isControl))),
    ...parts.members(Object.fromEntries(entries.filter((entry) => !isControl(entry)))),
  };
}
