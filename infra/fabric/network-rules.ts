/** Whether the networks that a person writes fit the nodes: FIM's rules as paths into the specification. Pure. */
import type { Problem } from "../problem.js";
import { refuse } from "../problems-of-schema.js";
import { basicNic, type ComponentModel, cardModels } from "./components.js";
import type { InterfaceSpec, NetworkSpec } from "./network-spec.js";
import { firstCard, type NodeSpec } from "./node-spec.js";
import { type JoinedInterface, serviceProblems } from "./service-rules.js";
import { cardComponent, componentNamesOf, networkName } from "./topology-names.js";

/** A problem and where it stands in `{nodes, networks}`. */
export interface PlacedProblem extends Problem {
  readonly at: readonly (string | number)[];
}

interface Specs {
  readonly nodes: Readonly<Record<string, NodeSpec>>;
  readonly networks?: Readonly<Record<string, NetworkSpec>> | undefined;
}

/** Everything in which nodes and networks do not go together; empty when all is well. */
export function networkProblems({ nodes, networks = {} }: Specs): PlacedProblem[] {
  return [...nameProblems(nodes, networks), ...joinProblems(nodes, networks)];
}

/** {@link networkProblems} as a zod refinement of a whole slice. */
export function refuseUnfitNetworks(specs: Specs, ctx: Parameters<typeof refuse>[0]): void {
  for (const { at, ...problem } of networkProblems(specs)) refuse(ctx, problem, [...at]);
}

function* nameProblems(
  nodes: Specs["nodes"],
  networks: NonNullable<Specs["networks"]>,
): Generator<PlacedProblem> {
  const taken = new Set(
    Object.values(nodes).flatMap((n) => (n.siteNetwork === false ? [] : [networkName(n.site)])),
  );
  for (const name of Object.keys(networks)) {
    if (!taken.has(name)) continue;
    yield {
      at: ["networks", name],
      code: "FAB-NETWORK-NAME",
      message: `${name} is the network that its site has anyway`,
      remedy: "choose another name",
    };
  }
  for (const [name, node] of Object.entries(nodes)) {
    const seen = new Set<string>();
    for (const { component, at } of componentNamesOf(name, node)) {
      if (seen.has(component)) {
        yield {
          at: ["nodes", name, ...at],
          code: "FAB-NAME-TWICE",
          message: `two components of the node would be called ${component}`,
          remedy: "choose another name",
        };
      }
      seen.add(component);
    }
  }
}

function* joinProblems(
  nodes: Specs["nodes"],
  networks: NonNullable<Specs["networks"]>,
): Generator<PlacedProblem> {
  const used = new Map<string, string>();
  for (const [name, network] of Object.entries(networks)) {
    const joined: JoinedInterface[] = [];
    let sound = true;
    for (const [i, spec] of network.interfaces.entries()) {
      const at = ["networks", name, "interfaces", i];
      const found = joinedInterface(nodes, name, spec);
      if ("code" in found) {
        sound = false;
        yield { ...found, at: [...at, ...(found.key === undefined ? [] : [found.key])] };
        continue;
      }
      joined.push(found);
      const other = used.get(found.name);
      if (other !== undefined) {
        yield {
          at,
          code: "FAB-NETWORK-TWICE",
          message: `${found.name} is ${other === name ? "there already" : `on ${other} already`}`,
          remedy: found.shared
            ? "leave nic out: the node gets one more shared card"
            : "use the other port, another vlan, or one more card",
        };
      } else used.set(found.name, name);
    }
    if (network.bandwidth !== undefined && network.type !== "L2PTP") {
      yield {
        at: ["networks", name, "bandwidth"],
        code: "FAB-NETWORK-BANDWIDTH",
        message: `${network.type} has no bandwidth of its own`,
        remedy: "leave it out, or use L2PTP",
      };
    }
    // What is wrong with single interfaces would show as a wrong count as well.
    if (sound)
      for (const problem of serviceProblems(network.type, joined))
        yield { ...problem, at: ["networks", name] };
  }
}

type Fault = Problem & { readonly key?: string };

function joinedInterface(
  nodes: Specs["nodes"],
  network: string,
  spec: InterfaceSpec,
): JoinedInterface | Fault {
  const { nic, port = 1, vlan } = spec;
  const node = Object.hasOwn(nodes, spec.node) ? nodes[spec.node] : undefined;
  if (node === undefined) {
    return {
      key: "node",
      code: "FAB-NETWORK-NODE",
      message: `no node "${spec.node}"`,
      remedy: `one of ${Object.keys(nodes).join(", ")}`,
    };
  }
  const cards = node.nics ?? {};
  const card = nic === undefined ? basicNic : cardNamed(cards, nic);
  if (card === undefined) return unknownCard(spec.node, nic ?? "", node);
  const own = cardComponent(spec.node, network);
  if (nic === undefined && componentNamesOf(spec.node, node).some((c) => c.component === own)) {
    return {
      key: "nic",
      code: "FAB-NETWORK-NIC",
      message: `its card would be called ${own}, which the node has already`,
      remedy: "name a card under nics and here as nic, or the network otherwise",
    };
  }
  const ports = card.ports?.count ?? 0;
  if (port > ports) {
    return {
      key: "port",
      code: "FAB-NETWORK-PORT",
      message: `${card.model} has ${ports === 1 ? "one port" : `${ports} ports`}, not a port ${port}`,
      remedy: ports === 1 ? "leave port out" : `write 1 to ${ports}`,
    };
  }
  const shared = card.type === basicNic.type;
  if (vlan !== undefined && shared) {
    return {
      key: "vlan",
      code: "FAB-NETWORK-SHARED",
      message: "a shared card has no sub-interfaces",
      remedy: "give the node a card of its own under nics, e.g. NIC_ConnectX_5, or leave vlan out",
    };
  }
  const name = `${cardComponent(spec.node, nic ?? network)}-p${port}${vlan === undefined ? "" : `-${vlan}`}`;
  return { name, site: node.site, node: spec.node, shared, host: node.host };
}

function cardNamed(cards: Readonly<Record<string, string>>, name: string): ComponentModel | undefined {
  return Object.hasOwn(cards, name) ? cardModels[cards[name] ?? ""] : undefined;
}

function unknownCard(node: string, nic: string, { nics = {}, siteNetwork }: NodeSpec): Fault {
  const known = Object.keys(nics);
  return {
    key: "nic",
    code: "FAB-NETWORK-NIC",
    message:
      nic === firstCard && siteNetwork !== false
        ? `${nic} of ${node} is on the network of its site`
        : `${node} has no card "${nic}"`,
    remedy:
      known.length === 0 ? "name one under the node's nics, or leave nic out" : `one of ${known.join(", ")}`,
  };
}
