import type { Route } from "./topology.js";

/** A node as others use it. */
export interface FabricHost {
  readonly name: string;
  readonly site: string;
  /** Where it is reached for management: SSH, through the bastion. */
  readonly managementIp: string;
  /** Its address on its site's network; empty for a node that is not on it (`siteNetwork: false`). */
  readonly address: string;
  /** The hardware address of its card there, by which the interface is found; empty likewise. */
  readonly mac: string;
  /** To each other site's network; none likewise. */
  readonly routes: readonly Route[];
}
