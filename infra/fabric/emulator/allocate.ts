/**
 * What the broker gives to new slivers: place, devices, subnet, addresses. Pure: ids come from the caller.
 */
import { fimJson, jsonProperty, textIn } from "../fim.js";
import type { GraphNode } from "../graph.js";
import { holds } from "./capacity.js";
import type { SliverFault } from "./fault-schema.js";
import { countsOf, type SliverWish, strikeSliver, withCounts } from "./faults.js";
import { type EmulatorState, type Hold, noHold, type SliverRecord } from "./model.js";
import { type Grants, macOf, modelName, type Placement, placeVm } from "./place.js";
import type { Scenario } from "./scenario.js";
import { hasFailed, neverComesUp } from "./states.js";
import { chooseSubnet, type Gateway, nextAddress, routedServices } from "./subnets.js";
import { innerServices, nodePorts } from "./validate.js";
import { type GraphView, nameOf, nodeId } from "./view.js";

export interface AllocationRequest {
  readonly view: GraphView;
  /** Elements to make slivers for: VMs and switches, then networks. */
  readonly nodes: readonly GraphNode[];
  readonly services: readonly GraphNode[];
  /** Slivers the slice has already: networks may join their nodes. */
  readonly existing: readonly SliverRecord[];
  readonly now: number;
  /** Later than `now` for an advance reservation. */
  readonly startAt: number;
  readonly newId: () => string;
  /** The slice's name, for faults that ask for it. */
  readonly slice: string;
}

/** New slivers, and the state with what their faults have counted. */
export interface Allocation {
  readonly state: EmulatorState;
  readonly slivers: readonly SliverRecord[];
}

/** Elements that become slivers. */
export function reservable(view: GraphView): {
  readonly nodes: readonly GraphNode[];
  readonly services: readonly GraphNode[];
} {
  return {
    nodes: view.networkNodes().filter((n) => n.props.Type === "VM" || n.props.Type === "Switch"),
    services: view.topServices().filter((s) => !innerServices.has(s.props.Type ?? "")),
  };
}

/** New slivers, refused ones included, in the order of asking. */
export function allocate(scenario: Scenario, state: EmulatorState, request: AllocationRequest): Allocation {
  const { view, now } = request;
  const taken: Hold[] = [...holds(state, now)];
  const made: SliverRecord[] = [];
  let counts = countsOf(state);
  const keep = (element: GraphNode, kind: SliverRecord["kind"], placement: Placement): void => {
    const ticketedAt = now + scenario.delays.nascent;
    const sliver: SliverRecord = {
      id: request.newId(),
      nodeId: nodeId(element),
      kind,
      requestedAt: now,
      ticketedAt,
      startAt: request.startAt,
      activeAt: Math.max(ticketedAt, request.startAt) + scenario.delays.configure,
      ...(placement.problem === undefined
        ? { hold: placement.hold, grants: placement.grants }
        : { hold: noHold, grants: {}, problem: placement.problem }),
    };
    if (placement.problem !== undefined) {
      // a network of a node that is lost at its site is lost with it, not before
      const at = placement.failsAt;
      made.push(
        at === undefined ? sliver : { ...sliver, failsAt: at, activeAt: Math.max(at, sliver.activeAt) },
      );
      return;
    }
    const struck = strikeSliver(scenario, counts, wishOfSliver(element, request.slice), false);
    counts = struck.counts;
    const outcome = struck.fault === undefined ? sliver : afflicted(sliver, struck.fault, nameOf(element));
    made.push(outcome);
    taken.push(outcome.hold);
  };
  for (const n of request.nodes)
    keep(
      n,
      "NodeSliver",
      n.props.Type === "VM" ? placeVm(scenario, taken, view, n) : placeSwitch(scenario, n),
    );
  for (const s of request.services) {
    keep(
      s,
      "NetworkServiceSliver",
      placeService(scenario, taken, view, s, [...request.existing, ...made], now),
    );
  }
  const slivers = made.map((s) =>
    s.problem === undefined ? s : { ...s, problem: s.problem.replaceAll("{this}", s.id) },
  );
  return { state: counts === countsOf(state) ? state : withCounts(state, counts), slivers };
}

/** What a scenario's faults can ask of a sliver. */
export function wishOfSliver(element: GraphNode, slice: string): SliverWish {
  return { name: nameOf(element), type: element.props.Type ?? "", site: element.props.Site ?? "", slice };
}

/** A sliver that would come up, as a fault leaves it. */
function afflicted(sliver: SliverRecord, fault: SliverFault, name: string): SliverRecord {
  if (fault.kind === "slow") return { ...sliver, activeAt: sliver.activeAt + fault.ms };
  const problem = fault.text.replaceAll("{name}", name);
  if (fault.kind === "die") return { ...sliver, problem, failsAt: sliver.activeAt + fault.ms + 1 };
  return fault.at === "ticket"
    ? { ...sliver, problem, hold: noHold, grants: {} }
    : { ...sliver, problem, failsAt: sliver.activeAt };
}

function placeSwitch(scenario: Scenario, element: GraphNode): Placement {
  const site = element.props.Site ?? "";
  if (!scenario.sites.has(site)) return { problem: `Unknown site ${site} requested for ${nameOf(element)}` };
  return {
    hold: { ...noHold, site },
    grants: { [nodeId(element)]: { NodeMap: fimJson([modelName, `p4+${site.toLowerCase()}`]) } },
  };
}

function placeService(
  scenario: Scenario,
  taken: readonly Hold[],
  view: GraphView,
  service: GraphNode,
  slivers: readonly SliverRecord[],
  now: number,
): Placement {
  const nodes = nodePorts(view, service).flatMap((p) => view.ownerNode(p) ?? []);
  for (const node of nodes) {
    const sliver = slivers.findLast((s) => s.nodeId === nodeId(node));
    if (
      sliver !== undefined &&
      (neverComesUp(sliver) || hasFailed(sliver, now) || sliver.closedAt !== undefined)
    ) {
      return {
        problem: `redeem predecessor reservation# ${sliver.id} is in a terminal state, failing the reservation# {this}`,
        ...(sliver.failsAt === undefined ? {} : { failsAt: Math.max(sliver.failsAt, now) }),
      };
    }
  }
  const type = service.props.Type ?? "";
  const siteName = service.props.Site ?? nodes[0]?.props.Site ?? "";
  const site = scenario.sites.get(siteName);
  if (!routedServices.has(type)) {
    return {
      hold: { ...noHold, ...(site === undefined ? {} : { site: siteName }) },
      grants: portGrants(view, service, undefined, slivers, {}),
    };
  }
  if (site === undefined) return { problem: `Unknown site ${siteName} requested for ${nameOf(service)}` };
  const subnets = new Set(taken.flatMap((h) => (h.subnet === undefined ? [] : [h.subnet])));
  const asked = textIn(service, "Gateway", "ipv4_subnet") ?? textIn(service, "Gateway", "ipv6_subnet");
  const gateway = chooseSubnet(type, site, subnets, asked);
  if (gateway === undefined)
    return { problem: `Insufficient resources : No subnets available for ${siteName}` };
  const own: Grants = {
    [nodeId(service)]: {
      Gateway: fimJson({
        [`ipv${gateway.version}`]: gateway.address,
        [`ipv${gateway.version}_subnet`]: gateway.subnet,
      }),
      NodeMap: fimJson([modelName, `${siteName.toLowerCase()}-data-sw:${type.toLowerCase()}-ns`]),
    },
  };
  return {
    hold: { ...noHold, site: siteName, ...(type === "FABNetv4Ext" ? {} : { subnet: gateway.subnet }) },
    grants: { ...own, ...portGrants(view, service, gateway, slivers, {}) },
  };
}

/**
 * What the ports of a network are given. `before`: what they have already; it is kept, so an address never moves while its port is there.
 */
export function portGrants(
  view: GraphView,
  service: GraphNode,
  gateway: Gateway | undefined,
  slivers: readonly SliverRecord[],
  before: SliverRecord["grants"],
): Grants {
  const grants: Grants = {};
  const ports = view.ports(service).filter((p) => p.props.Type === "ServicePort");
  const field = `ipv${gateway?.version ?? 4}`;
  const routed = gateway !== undefined && !(service.props.Type ?? "").endsWith("Ext");
  const used = new Set<string>();
  for (const p of ports) {
    const address = addressIn(before[nodeId(p)], field);
    if (address !== undefined) used.add(address);
  }
  for (const port of ports) {
    const id = nodeId(port);
    const kept = before[id];
    if (kept !== undefined) {
      grants[id] = { ...kept };
      continue;
    }
    const nic = view.peers(port)[0];
    const card =
      nic === undefined
        ? {}
        : parsed(
            slivers.findLast((s) => s.grants[nodeId(nic)] !== undefined)?.grants[nodeId(nic)]
              ?.LabelAllocations,
          );
    const asked = nic === undefined ? {} : jsonProperty(nic, "Labels");
    const address = routed ? nextAddress(gateway, used) : undefined;
    if (address !== undefined) used.add(address);
    const vlan = card.vlan ?? asked.vlan ?? (routed ? vlanFor(id) : undefined);
    const given = {
      ...(vlan === undefined ? {} : { vlan }),
      ...(address === undefined ? {} : { [field]: address }),
    };
    const site = nic === undefined ? undefined : view.ownerNode(nic)?.props.Site;
    grants[id] = {
      Labels: fimJson({ ...asked, ...card, ...given }),
      LabelAllocations: fimJson({
        ...given,
        ...(site === undefined ? {} : { device_name: `${site.toLowerCase()}-data-sw` }),
      }),
      NodeMap: fimJson([modelName, `port:${macOf(id)}`]),
    };
  }
  return grants;
}

/** The gateway that a network was given, read back from its grants. */
export function gatewayIn(grants: SliverRecord["grants"], serviceId: string): Gateway | undefined {
  const text = parsed(grants[serviceId]?.Gateway);
  for (const version of [4, 6] as const) {
    const address = text[`ipv${version}`];
    const subnet = text[`ipv${version}_subnet`];
    if (typeof address === "string" && typeof subnet === "string") return { address, subnet, version };
  }
  return undefined;
}

function addressIn(props: Readonly<Record<string, string>> | undefined, field: string): string | undefined {
  const value = parsed(props?.LabelAllocations)[field];
  return typeof value === "string" ? value : undefined;
}

/** Our own text, so it is JSON. */
function parsed(text: string | undefined): Readonly<Record<string, unknown>> {
  return text === undefined ? {} : (JSON.parse(text) as Record<string, unknown>);
}

/** A dedicated port carries a VLAN of its own for each routed network. */
function vlanFor(id: string): string {
  return String(1000 + (Number.parseInt(macOf(id).replaceAll(":", "").slice(-4), 16) % 1000));
}
