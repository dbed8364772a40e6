/** The code behind Network; run in the engine's provider process (infra/dynamic.ts). It waits for one network of a slice and reads it. */
import type { dynamic } from "@pulumi/pulumi";
import { endWithParent, hasUnknown, stripUndefined } from "../dynamic.js";
import { openEndpoint } from "./endpoint.js";
import type { FabricEndpoint } from "./endpoint-schema.js";
import { isGoneError, told } from "./provider-support.js";
import type { NetworkView, SliceView } from "./slice-view.js";
import { type FoundSliver, readSliver, waitForSliver } from "./sliver-wait.js";
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

export const provider: dynamic.ResourceProvider<NetworkInputs, NetworkOutputs> = {
  async diff(_id, olds, news) {
    if (hasUnknown(news))
      return { changes: true, ...(hasUnknown(news.slice) ? { replaces: ["slice"] } : {}) };
    const replaces = [
      ...(olds.slice !== news.slice ? ["slice"] : []),
      ...(olds.site !== news.site ? ["site"] : []),
    ];
    const endpoint = JSON.stringify(olds.endpoint) !== JSON.stringify(news.endpoint);
    return { changes: replaces.length > 0 || endpoint, replaces };
  },

  async create(props) {
    return await told(async () => {
      const found = await wait(props);
      return { id: found.element.nodeId, outs: outputs(props, found) };
    });
  },

  async update(_id, _olds, news) {
    return await told(async () => ({ outs: outputs(news, await wait(news)) }));
  },

  async read(id, props) {
    return await told(async () => {
      if (props === undefined) return { id, props: {} as NetworkOutputs };
      try {
        const { api } = await openEndpoint(props.endpoint);
        const found = await readSliver(api, props.slice, finder(props.site));
        return found === undefined ? { id: "" } : { id: found.element.nodeId, props: outputs(props, found) };
      } catch (error) {
        if (isGoneError(error)) return { id: "" };
        throw error;
      }
    });
  },

  async delete() {
    // The slice owns the network and has taken it away already, or will.
  },
};

async function wait(props: NetworkInputs): Promise<FoundSliver<NetworkView>> {
  const { api } = await openEndpoint(props.endpoint);
  return await waitForSliver(api, props.slice, `the network at ${props.site}`, finder(props.site));
}

function finder(site: string): (view: SliceView) => NetworkView | undefined {
  return (view) => view.networks.find((n) => n.name === networkName(site));
}

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
