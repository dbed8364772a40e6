import * as pulumi from "@pulumi/pulumi";
import type { FabricHost } from "./host.js";
import type { Network, Node } from "./provider.js";
import { planRoutes, type Subnet, type Topology } from "./topology.js";

/** A slice's nodes with their routes, once nodes and networks are up. */
export function hostsOf(
  topology: Topology,
  nodes: Readonly<Record<string, Node>>,
  networks: Readonly<Record<string, Network>>,
): pulumi.Output<FabricHost[]> {
  const subnets = pulumi.all(
    Object.entries(networks).map(([site, n]) =>
      pulumi
        .all([n.subnet, n.gateway])
        .apply(([subnet, gateway]): [string, Subnet] => [site, { subnet, gateway }]),
    ),
  );
  const known = pulumi.all(
    Object.entries(nodes).map(([name, n]) =>
      pulumi
        .all([n.site, n.managementIp, n.addresses, n.mac])
        .apply(([site, managementIp, addresses, mac]) => ({
          name,
          site,
          managementIp,
          address: addresses[0] ?? "",
          mac,
        })),
    ),
  );
  return pulumi.all([subnets, known]).apply(([nets, hosts]) => {
    const routes = planRoutes(topology, Object.fromEntries(nets.filter(([, s]) => s.subnet !== "")));
    return hosts.map((h) => ({ ...h, routes: [...(routes[h.name] ?? [])] }));
  });
}
