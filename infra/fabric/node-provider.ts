/** The code behind Node; run in the engine's provider process (infra/dynamic.ts). It waits for one virtual machine of a slice and reads it. */
import type { dynamic } from "@pulumi/pulumi";
import { endWithParent, hasUnknown, stripUndefined } from "../dynamic.js";
import { openEndpoint } from "./endpoint.js";
import type { FabricEndpoint } from "./endpoint-schema.js";
import { isGoneError, told } from "./provider-support.js";
import type { NodeView, SliceView } from "./slice-view.js";
import { type FoundSliver, readSliver, waitForSliver } from "./sliver-wait.js";
import { generationOf } from "./topology.js";

endWithParent();

export interface NodeInputs {
  /** The slice's id. */
  readonly slice: string;
  readonly endpoint: FabricEndpoint;
  readonly name: string;
  readonly site: string;
  readonly cores: number;
  readonly ram: number;
  readonly disk: number;
  readonly image: string;
  readonly components: readonly string[];
}

export interface NodeOutputs extends NodeInputs {
  readonly nodeId: string;
  readonly sliverId: string;
  readonly sliverState: string;
  readonly managementIp: string;
  /** Its addresses on its slice's networks. */
  readonly addresses: readonly string[];
  /** The hardware address of its card. */
  readonly mac: string;
  /** The name of its site's network. */
  readonly network: string;
}

export const provider: dynamic.ResourceProvider<NodeInputs, NodeOutputs> = {
  async diff(_id, olds, news) {
    if (hasUnknown(news))
      return { changes: true, ...(hasUnknown(news.slice) ? { replaces: ["slice"] } : {}) };
    const replaces = [
      ...(olds.slice !== news.slice ? ["slice"] : []),
      ...(olds.name !== news.name ? ["name"] : []),
      ...(["site", "cores", "ram", "disk", "image"] as const).filter(
        (key) => generationOf(olds) !== generationOf(news) && olds[key] !== news[key],
      ),
    ];
    const components = [...olds.components].sort().join() !== [...news.components].sort().join();
    const endpoint = JSON.stringify(olds.endpoint) !== JSON.stringify(news.endpoint);
    return { changes: replaces.length > 0 || components || endpoint, replaces };
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
      if (props === undefined) return { id, props: {} as NodeOutputs };
      try {
        const { api } = await openEndpoint(props.endpoint);
        const found = await readSliver(api, props.slice, finder(props.name));
        return found === undefined ? { id: "" } : { id: found.element.nodeId, props: outputs(props, found) };
      } catch (error) {
        if (isGoneError(error)) return { id: "" };
        throw error;
      }
    });
  },

  async delete() {
    // The slice owns the machine and has taken it away already, or will.
  },
};

async function wait(props: NodeInputs): Promise<FoundSliver<NodeView>> {
  const { api } = await openEndpoint(props.endpoint);
  return await waitForSliver(api, props.slice, `node ${props.name}`, finder(props.name));
}

function finder(name: string): (view: SliceView) => NodeView | undefined {
  return (view) => view.nodes.find((n) => n.name === name);
}

function outputs(props: NodeInputs, { element, sliverId, state }: FoundSliver<NodeView>): NodeOutputs {
  const { slice, endpoint, name, site, cores, ram, disk, image, components } = props;
  return stripUndefined({
    ...{ slice, endpoint, name, site, cores, ram, disk, image, components },
    nodeId: element.nodeId,
    sliverId,
    sliverState: state,
    managementIp: element.managementIp ?? "",
    addresses: element.dataAddress === undefined ? [] : [element.dataAddress],
    mac: element.mac ?? "",
    network: element.network ?? "",
  });
}
