/** The code behind Node; run in the engine's provider process (infra/dynamic.ts). It waits for one virtual machine of a slice and reads it. */
import { endWithParent, stripUndefined } from "../dynamic.js";
import type { FabricEndpoint } from "./endpoint-schema.js";
import type { NodeView } from "./slice-view.js";
import { sliverProvider } from "./sliver-provider.js";
import type { FoundSliver } from "./sliver-wait.js";
import { sameMachine } from "./topology.js";

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
  /** It is on no FABNetv4 network of its site. */
  readonly siteNetwork?: false;
  /** The worker that it is pinned to. */
  readonly host?: string;
  readonly bootScript?: string;
}

export interface NodeOutputs extends NodeInputs {
  readonly nodeId: string;
  readonly sliverId: string;
  readonly sliverState: string;
  readonly managementIp: string;
  /** Its address on its site's network; none where it is not on it. */
  readonly addresses: readonly string[];
  /** The hardware address of its card there; empty without. */
  readonly mac: string;
  /** The name of its site's network; empty where it is not on it. */
  readonly network: string;
}

export const provider = sliverProvider<NodeInputs, NodeOutputs, NodeView>({
  changes: (olds, news) => ({
    replaces: [
      ...(olds.name !== news.name ? ["name"] : []),
      ...(["site", "cores", "ram", "disk", "image", "host", "bootScript"] as const).filter(
        (key) => !sameMachine(news, olds) && olds[key] !== news[key],
      ),
    ],
    reread:
      [...olds.components].sort().join() !== [...news.components].sort().join() ||
      olds.siteNetwork !== news.siteNetwork,
  }),
  what: ({ name }) => `node ${name}`,
  find:
    ({ name }) =>
    (view) =>
      view.nodes.find((n) => n.name === name),
  outputs,
});

function outputs(props: NodeInputs, { element, sliverId, state }: FoundSliver<NodeView>): NodeOutputs {
  const { slice, endpoint, name, site, cores, ram, disk, image, components, host, bootScript, siteNetwork } =
    props;
  return stripUndefined({
    ...{ slice, endpoint, name, site, cores, ram, disk, image, components },
    ...(host === undefined ? {} : { host }),
    ...(bootScript === undefined ? {} : { bootScript }),
    ...(siteNetwork === undefined ? {} : { siteNetwork }),
    nodeId: element.nodeId,
    sliverId,
    sliverState: state,
    managementIp: element.managementIp ?? "",
    addresses: element.dataAddress === undefined ? [] : [element.dataAddress],
    mac: element.mac ?? "",
    network: element.network ?? "",
  });
}
