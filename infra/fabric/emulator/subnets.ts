/** Subnets and addresses of FABRIC's routed networks. Source: network_service_inventory.py of the ControlFramework. */
import type { Site } from "./scenario.js";

/** A network's gateway, as in the `Gateway` property. */
export interface Gateway {
  readonly address: string;
  readonly subnet: string;
  readonly version: 4 | 6;
}

/** A site's /24s but the first, which the control plane has. */
export function ipv4Subnets(site: Site): readonly string[] {
  return Array.from({ length: 127 }, (_, i) => `10.${site.ipv4.second}.${site.ipv4.third + i + 1}.0/24`);
}

/** A site's /64s; the first is the control plane's. */
function ipv6Subnets(site: Site): readonly string[] {
  return Array.from(
    { length: 255 },
    (_, i) => `2602:fcfb:${(site.index + 1).toString(16)}:${(i + 1).toString(16)}::/64`,
  );
}

/**
 * The subnet a network gets: the one asked for if it is the site's and free, else the first free one (without a word, as in the real one);
 * undefined when there is none left. The Ext services share one outside subnet a site.
 */
export function chooseSubnet(
  type: string,
  site: Site,
  taken: ReadonlySet<string>,
  asked?: string,
): Gateway | undefined {
  if (type === "FABNetv4Ext")
    return { address: `23.134.${site.index}.1`, subnet: `23.134.${site.index}.0/24`, version: 4 };
  const all = type === "FABNetv4" ? ipv4Subnets(site) : ipv6Subnets(site);
  const free = all.filter((s) => !taken.has(s));
  const subnet = asked !== undefined && free.includes(asked) ? asked : free[0];
  if (subnet === undefined) return undefined;
  return type === "FABNetv4"
    ? { address: subnet.replace(".0/24", ".1"), subnet, version: 4 }
    : { address: subnet.replace("::/64", "::1"), subnet, version: 6 };
}

/** The next address of the network that nobody has, from the gateway's on. Undefined when a /24 is full. */
export function nextAddress(gateway: Gateway, used: ReadonlySet<string>): string | undefined {
  for (let host = 2; host < (gateway.version === 4 ? 255 : 65_536); host++) {
    const address =
      gateway.version === 4
        ? gateway.address.replace(/\d+$/, String(host))
        : gateway.address.replace(/1$/, host.toString(16));
    if (!used.has(address)) return address;
  }
  return undefined;
}

/** Routed networks whose subnet the broker chooses. */
export const routedServices: ReadonlySet<string> = new Set([
  "FABNetv4",
  "FABNetv6",
  "FABNetv4Ext",
  "FABNetv6Ext",
]);
