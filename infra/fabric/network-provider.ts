/** The code behind Network; run in the engine's provider process (infra/dynamic.ts). It waits for one network of a slice and reads it. */
import { endWithParent, stripUndefined } from "../dynamic.js";
import type { FabricEndpoint } from "./endpoint-schema.js";
import type { NetworkView } from "./slice-view.js";
import { sliverProvider } from "./sliver-provider.js";
import type { FoundSliver } from "./sliver-wait.js";
import { networkName } from "./topology.js";

endWithParent();

export interface NetworkInputs {
  /** The slice's id. */
  readonly slice: string;
  readonly endpoint: FabricEndpoint;
  readonly site: string;
}

export interface NetworkOutputs extends NetworkInputs {
  readonly nodeId: string;
  readonly sliverId: string;
  readonly sliverState: string;
  /** e.g. `10.128.3.0/24` */
  readonly subnet: string;
  /** e.g. `10.128.3.1` */
  readonly gateway: string;
}

export const provider = sliverProvider<NetworkInputs, NetworkOutputs, NetworkView>({
  changes: (olds, news) => ({ replaces: olds.site !== news.site ? ["site"] : [], reread: false }),
  what: ({ site }) => `the network at ${site}`,
  find:
    ({ site }) =>
    (view) =>
      view.networks.find((n) => n.name === networkName(site)) ??
      // Another tool made it, under a name of its own; those under `networks` are no site's.
      view.networks.find((n) => n.site === site && !view.services.some((s) => s.nodeId === n.nodeId)),
  outputs,
});

function outputs(
  props: NetworkInputs,
  { element, sliverId, state }: FoundSliver<NetworkView>,
): NetworkOutputs {
  const { slice, endpoint, site } = props;
  return stripUndefined({
    ...{ slice, endpoint, site },
    nodeId: element.nodeId,
    sliverId,
    sliverState: state,
    subnet: element.subnet ?? "",
    gateway: element.gateway ?? "",
  });
}
