/**
 * Edits the graph that the server gave so that it says what the specification wants. Pure. Elements that stay keep their NodeID and every key the
 * server wrote into them: FABRIC finds differences by NodeID and reads its own keys (ReservationInfo, NodeMap) from the graph it is sent.
 */
import { InfraError } from "../problem.js";
import { inside, planAttachments } from "./apply-attachments.js";
import { plannedCards } from "./card-graph.js";
import { componentName } from "./components.js";
import { type ElementIds, freshIds } from "./element-ids.js";
import { fimClass, fimJson, fimType, jsonProperty } from "./fim.js";
import { GraphIndex, type GraphNode, type PropertyGraph } from "./graph.js";
import { markOfElement, type SliceMark } from "./mark.js";
import { firstCard } from "./node-spec.js";
import { cardNameOf, type FirstCard, firstCardOf, fromGraph, peersOf, usualNetworks } from "./slice-view.js";
import type { NetworkSpec, NodeSpec } from "./spec.js";
import { networkName, type PlannedNode, planTopology, sameMachine, type Topology } from "./topology.js";
import {
  appendPart,
  connectionPart,
  deviceName,
  devicesPart,
  type GraphPart,
  joinParts,
  type NodePort,
  networkIdOf,
  networkPart,
  nodeIdOf,
  nodePart,
  siteCardPart,
  userDataOf,
} from "./topology-graph.js";
import { cardComponent } from "./topology-names.js";

export interface ApplyOptions {
  readonly mark: SliceMark;
  readonly ids: ElementIds;
  /** Names of the nodes that the last known specification had: with those that bear our mark, the ones that may be removed. */
  readonly before?: readonly string[];
  /** Keys of user data that it had, by node: all others that the server has are another tool's and stay. Without it only FABlib's own stay. */
  readonly userDataBefore?: Readonly<Record<string, readonly string[]>>;
  /** Names of the networks that it had; those that bear our mark need not be named. */
  readonly networksBefore?: readonly string[];
  /** NodeIDs of nodes and networks that did not come up: they are made anew, under new ids. */
  readonly failed?: ReadonlySet<string>;
  /** Further NodeIDs that must not be used again, e.g. of slivers that are closed. */
  readonly inUse?: ReadonlySet<string>;
}

export interface AppliedChange {
  readonly graph: PropertyGraph;
  /** False when the server's graph says already what is wanted: then there is nothing to send. */
  readonly changed: boolean;
  /** Names of the nodes, components and networks that the server's graph lacks, and so gets. */
  readonly missing: readonly string[];
}

/** What of the server's graph stays, and what is to be added. */
interface Edit {
  readonly remove: ReadonlySet<string>;
  readonly rewrite: ReadonlyMap<string, Readonly<Record<string, string>>>;
  readonly add: GraphPart;
}

export function applyChange(
  server: PropertyGraph,
  wanted: {
    readonly name: string;
    readonly nodes: Readonly<Record<string, NodeSpec>>;
    readonly networks?: Readonly<Record<string, NetworkSpec>> | undefined;
  },
  options: ApplyOptions,
): AppliedChange {
  const index = new GraphIndex(server);
  const topology = planTopology(wanted);
  const usual = usualNetworks(index, new Set(topology.services.map((s) => s.name)));
  const edit = planEdit(index, usual, topology, options);
  if (edit.remove.size === 0 && edit.rewrite.size === 0 && edit.add.elements.length === 0)
    return { graph: server, changed: false, missing: [] };
  const kept: PropertyGraph = {
    nodes: server.nodes
      .filter((n) => !edit.remove.has(n.id))
      .map((n) => ({ ...n, props: edit.rewrite.get(n.id) ?? n.props })),
    edges: server.edges.filter((e) => !edit.remove.has(e.source) && !edit.remove.has(e.target)),
  };
  const graphId = fromGraph(server).graphId ?? options.ids("graph");
  const parts: readonly (string | undefined)[] = [fimClass.node, fimClass.component];
  const missing = edit.add.elements
    .filter((e) => parts.includes(e.Class) || (e.Class === fimClass.service && e.Type !== fimType.ovs))
    .map((e) => e.Name ?? "");
  return { graph: appendPart(kept, edit.add, graphId), changed: true, missing };
}

function planEdit(
  index: GraphIndex,
  usual: ReadonlySet<GraphNode>,
  topology: Topology,
  options: ApplyOptions,
): Edit {
  const inUse = new Set([
    ...(options.inUse ?? []),
    ...index.graph.nodes.flatMap((n) => n.props.NodeID ?? []),
  ]);
  const ids = freshIds(options.ids, inUse);
  const failed = (element: GraphNode) => options.failed?.has(element.props.NodeID ?? "") === true;
  const remove = new Set<string>();
  const rewrite = new Map<string, Readonly<Record<string, string>>>();
  const add: GraphPart[] = [];

  const keptNodes = new Map<string, GraphNode>();
  const machines = new Map(fromGraph(index.graph).nodes.map((v) => [v.nodeId, v]));
  const plans = new Map(topology.nodes.map((n) => [n.name, n]));
  for (const machine of index.ofClass(fimClass.node, fimType.vm)) {
    const name = machine.props.Name ?? "";
    const plan = plans.get(name);
    const there = machines.get(machine.props.NodeID ?? "");
    const fits = plan !== undefined && there !== undefined && sameMachine(plan, there) && !failed(machine);
    if (fits) {
      keptNodes.set(name, machine);
      if (plan.network === undefined)
        for (const element of siteConnection(index, machine, usual)) remove.add(element.id);
    } else if (plan !== undefined || isOurs(machine, options))
      for (const id of wholeNode(index, machine)) remove.add(id);
  }

  const keptNetworks = new Map<string, GraphNode>();
  for (const network of usual) {
    // A site's network is known by its site: another tool gave it another name.
    const plan = topology.networks.find((n) => n.site === network.props.Site);
    const stays = plan === undefined ? isOthers(index, network, remove) : !failed(network);
    if (!stays) for (const id of wholeNetwork(index, network)) remove.add(id);
    else if (plan !== undefined) keptNetworks.set(plan.name, network);
  }

  const cards = plannedCards(topology);
  const newPorts = new Map<string, NodePort>();
  const ports = new Map<string, NodePort>();
  for (const plan of topology.nodes) {
    const machine = keptNodes.get(plan.name);
    if (machine === undefined) {
      const made = nodePart(plan, nodeIdOf(plan, ids), options.mark, ids, cards.get(plan.name));
      const { part, port } = made;
      add.push(part);
      for (const [key, other] of made.ports) newPorts.set(key, other);
      if (port !== undefined) ports.set(plan.name, port);
      continue;
    }
    const userData = changedUserData(machine, plan, options);
    if (userData !== undefined) rewrite.set(machine.id, { ...machine.props, UserData: userData });
    add.push(...changeDevices(index, machine, plan, ids, remove));
  }

  // What goes with a network or a card is known from here on.
  const attachments = planAttachments({
    ...{ index, usual, topology, mark: options.mark, ids, kept: keptNodes, newPorts, remove, rewrite },
    failed: options.failed,
    before: options.networksBefore,
  });
  for (const plan of topology.nodes) {
    const machine = keptNodes.get(plan.name);
    if (machine === undefined || plan.network === undefined) continue;
    const first = firstCardOf(index, machine, usual);
    if (first === undefined) {
      mustBeFree(index, machine, plan, remove);
      const made = siteCardPart(plan, machine.props.NodeID ?? "", ids);
      add.push(made.part);
      ports.set(plan.name, made.port);
    } else if (!isJoined(index, first, keptNetworks.get(plan.network), remove)) {
      const { Name: name = "", NodeID: nodeId = "" } = first.port.props;
      ports.set(plan.name, { nodeName: plan.name, name, nodeId });
    }
  }

  for (const plan of topology.networks) {
    const network = keptNetworks.get(plan.name);
    const nodeId = network?.props.NodeID ?? networkIdOf(plan, ids);
    if (network === undefined) add.push(networkPart(plan, nodeId));
    for (const name of plan.nodes) {
      const port = ports.get(name);
      if (port !== undefined) add.push(connectionPart(nodeId, port, ids));
    }
  }
  add.push(...attachments);
  return { remove, rewrite, add: joinParts(add) };
}

function isOurs(machine: GraphNode, options: ApplyOptions): boolean {
  return (
    markOfElement(machine)?.id === options.mark.id ||
    options.before?.includes(machine.props.Name ?? "") === true
  );
}

/** A machine, what is in it, and what joins it to networks. */
function wholeNode(index: GraphIndex, machine: GraphNode): string[] {
  return [machine, ...inside(index, machine)].map((n) => n.id);
}

/** A network, its ports and the links from them. */
function wholeNetwork(index: GraphIndex, network: GraphNode): string[] {
  const ports = index.around(network, fimClass.port);
  return [network, ...ports, ...ports.flatMap((p) => index.around(p, fimClass.link))].map((n) => n.id);
}

/** Whether a network that we do not want is another's: some node that stays is on it, or another tool made it for nobody. */
function isOthers(index: GraphIndex, network: GraphNode, removed: ReadonlySet<string>): boolean {
  const joined = index
    .around(network, fimClass.port)
    .flatMap((own) => peersOf(index, own).map((peer) => [own, peer]));
  if (joined.length === 0) return network.props.Name !== networkName(network.props.Site ?? "");
  return joined.some((ends) => ends.every((port) => !removed.has(port.id)));
}

/** What joins a machine to its site's network: the network's port and the links between. */
function siteConnection(
  index: GraphIndex,
  machine: GraphNode,
  usual: ReadonlySet<GraphNode>,
): readonly GraphNode[] {
  const peer = firstCardOf(index, machine, usual)?.peer;
  return peer === undefined ? [] : [peer, ...index.around(peer, fimClass.link)];
}

/** Whether a node that stays is on its site's network, as that stays. */
function isJoined(
  index: GraphIndex,
  { peer }: FirstCard,
  network: GraphNode | undefined,
  removed: ReadonlySet<string>,
): boolean {
  if (peer === undefined || network === undefined || removed.has(peer.id)) return false;
  return index.around(peer, fimClass.service).includes(network);
}

/** @throws InfraError FAB-NO-PORT where the name of the card for its site's network is taken */
function mustBeFree(
  index: GraphIndex,
  machine: GraphNode,
  plan: PlannedNode,
  removed: ReadonlySet<string>,
): void {
  const name = cardComponent(plan.name, firstCard);
  const components = index.around(machine, fimClass.component).filter((c) => !removed.has(c.id));
  if (!components.some((c) => cardNameOf(c, machine) === firstCard)) return;
  throw new InfraError({
    code: "FAB-NO-PORT",
    path: `nodes.${plan.name}`,
    message: `the node has no free network port for its site's network, and a component ${name} already`,
    remedy: "write siteNetwork: false, or give the node another name here, which makes a new one",
  });
}

/** Removes and adds components of a node that stays, so that it has as many of each model as the plan says. */
function changeDevices(
  index: GraphIndex,
  machine: GraphNode,
  plan: PlannedNode,
  ids: ElementIds,
  remove: Set<string>,
): GraphPart[] {
  const present = index.around(machine, fimClass.component);
  const missing: string[] = [];
  const unmatched = new Map<string, GraphNode[]>();
  for (const component of present) {
    const model = componentName(component.props.Type, component.props.Model);
    if (model !== undefined) unmatched.set(model, [...(unmatched.get(model) ?? []), component]);
  }
  for (const model of plan.components) {
    if (unmatched.get(model)?.shift() === undefined) missing.push(model);
  }
  const surplus = [...unmatched.values()].flat();
  for (const component of surplus) remove.add(component.id);
  if (missing.length === 0) return [];

  const taken = new Set(present.filter((c) => !surplus.includes(c)).map((c) => c.props.Name));
  const nodeId = machine.props.NodeID ?? "";
  return missing.map((model) => {
    let number = 1;
    while (taken.has(deviceName(plan.name, model, number))) number++;
    taken.add(deviceName(plan.name, model, number));
    return devicesPart(plan.name, nodeId, [{ model, number }], ids);
  });
}

/** The new UserData of a node that stays; undefined when it says already what it should. What others keep there stays: FABlib, and who uses it. */
function changedUserData(
  machine: GraphNode,
  plan: PlannedNode,
  { mark, userDataBefore }: ApplyOptions,
): string | undefined {
  const now = jsonProperty(machine, "UserData");
  const written = userDataBefore === undefined ? undefined : new Set(userDataBefore[plan.name]);
  const others = Object.entries(now).filter(([key]) => key === "fablib_data" || written?.has(key) === false);
  const userData = { ...Object.fromEntries(others), ...plan.userData } as PlannedNode["userData"];
  const wanted = userDataOf({ userData }, mark);
  return fimJson(now) === wanted ? undefined : wanted;
}
