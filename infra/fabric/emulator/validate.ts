/**
 * What FIM's `topology.validate()` refuses, in its words. Source: fabric-fim 2.0.0 (fim/user/topology.py, network_service.py, node.py) and
 * facts/fabric.md; an integration test asks the real FIM about the same graphs. What the real one does not catch (a wrong Site, a one-site
 * L2STS) passes here too, but for three faults that its library refuses while building a graph and its server, asked directly, does not see:
 * names given twice (of nodes, of a node's components) and a port in two networks. Nothing good comes of those, so they are refused here, in
 * the library's words.
 */
import type { GraphNode, PropertyGraph } from "../graph.js";
import { GraphView, nameOf } from "./view.js";

interface ServiceRule {
  readonly min: number;
  /** 0: no limit. */
  readonly max: number;
  /** 0: no limit. */
  readonly sites: number;
}

const serviceRules: Readonly<Record<string, ServiceRule>> = {
  P4: { min: 1, max: 0, sites: 1 },
  OVS: { min: 1, max: 0, sites: 1 },
  VLAN: { min: 1, max: 0, sites: 1 },
  MPLS: { min: 1, max: 0, sites: 1 },
  L2Path: { min: 1, max: 2, sites: 2 },
  L2STS: { min: 2, max: 0, sites: 2 },
  L2PTP: { min: 2, max: 2, sites: 2 },
  L2Multisite: { min: 1, max: 0, sites: 0 },
  L2Bridge: { min: 1, max: 0, sites: 1 },
  FABNetv4: { min: 1, max: 0, sites: 1 },
  FABNetv6: { min: 1, max: 0, sites: 1 },
  FABNetv4Ext: { min: 1, max: 0, sites: 1 },
  FABNetv6Ext: { min: 1, max: 0, sites: 1 },
  L3VPN: { min: 1, max: 0, sites: 0 },
  PortMirror: { min: 1, max: 1, sites: 1 },
};

/** Services inside cards and switches: no reservation of their own. */
export const innerServices: ReadonlySet<string> = new Set(["P4", "OVS", "MPLS", "VLAN"]);

/** Services the orchestrator can make. */
export const supportedServices: ReadonlySet<string> = new Set(
  Object.keys(serviceRules).filter((t) => !innerServices.has(t) && t !== "L2Multisite" && t !== "L2Path"),
);

const nodeName = /^[\w\-.]{2,255}$/;
const serviceName = /^[\w\-_.]{2,255}$/;
const limits: readonly (readonly [prop: string, most: number])[] = [["UserData", 2048], ["BootScript", 1023]]; // biome-ignore format: a table

/** The first fault, as FIM words it, or undefined for a graph that it accepts. */
export function fimFault(graph: PropertyGraph): string | undefined {
  const view = new GraphView(graph);
  return firstOf([
    () => graphFault(graph),
    () => nameFault(view),
    () => nodeFault(view),
    () => each(view.services(), (s) => serviceFault(view, s)),
  ]);
}

function firstOf(checks: readonly (() => string | undefined)[]): string | undefined {
  return each(checks, (c) => c());
}

function each<T>(items: Iterable<T>, check: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const fault = check(item);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function graphFault(graph: PropertyGraph): string | undefined {
  if (graph.nodes.length === 0) return "Unable to load graph: it has no nodes";
  const seen = new Set<string>();
  return each(graph.nodes, (n) => {
    const id = n.props.NodeID;
    if (id === undefined || id === "") return "Some nodes are missing NodeID property, unable to validate";
    if (seen.has(id)) return `Node ${id} is not unique in the graph`;
    seen.add(id);
    if (n.props.Class === undefined || n.props.Name === undefined)
      return `Node ${id} is missing property ${n.props.Class === undefined ? "Class" : "Name"}`;
    return each(limits, ([prop, most]) => {
      const length = Buffer.byteLength(n.props[prop] ?? "", "utf8");
      return length > most ? `${prop} is too long: ${length}, at most ${most}` : undefined;
    });
  });
}

function nameFault(view: GraphView): string | undefined {
  const unique = (items: readonly GraphNode[], text: string) =>
    new Set(items.map(nameOf)).size === items.length ? undefined : text;
  return firstOf([
    () => unique(view.networkNodes(), "Node names must be unique within topology."),
    () =>
      each(view.networkNodes(), (n) =>
        unique(view.components(n), "Component names must be unique within node."),
      ),
    () => unique(view.topServices(), "Service names must be unique within topology."),
    () =>
      each(view.networkNodes(), (n) =>
        nodeName.test(nameOf(n))
          ? undefined
          : `Name ${nameOf(n)} doesn't match the allowed pattern ^[\\w\\-\\.]{2,255}$`,
      ),
    () =>
      each(view.topServices(), (s) =>
        serviceName.test(nameOf(s))
          ? undefined
          : `Name ${nameOf(s)} doesn't match the allowed pattern ^[\\w\\-_\\.]{2,255}$`,
      ),
  ]);
}

function nodeFault(view: GraphView): string | undefined {
  return each(view.networkNodes(), (n) => {
    const type = n.props.Type ?? "None";
    if (type === "VM" && !n.props.Site) return `Node of type ${type} must have property site set`;
    if ((type === "Switch" || type === "Facility") && view.components(n).length > 0) {
      return `Node of type ${type} must NOT have property attached_components_info set`;
    }
    return undefined;
  });
}

/** Node ports that a service connects: its own, or those its service ports are linked to. */
export function nodePorts(view: GraphView, service: GraphNode): readonly GraphNode[] {
  return view
    .ports(service)
    .flatMap((p) => (p.props.Type === "ServicePort" ? view.peers(p).slice(0, 1) : [p]));
}

function serviceFault(view: GraphView, service: GraphNode): string | undefined {
  const name = nameOf(service);
  const type = service.props.Type ?? "None";
  const rule = serviceRules[type];
  if (rule === undefined) return `Unknown service type ${type}`;
  const lonely = view
    .ports(service)
    .find((p) => p.props.Type === "ServicePort" && view.peers(p).length !== 1);
  if (lonely !== undefined)
    return `Interface ${nameOf(lonely)} of Network Service ${name} has unexpected number of peer interfaces`;
  const ports = nodePorts(view, service);
  const count = (n: number, limit: string) =>
    `Service ${name} of type ${type} cannot have ${n} interfaces. Limit ${limit}`;
  if (ports.length < rule.min) return count(ports.length, `at least: ${rule.min}`);
  if (rule.max > 0 && ports.length > rule.max) return count(ports.length, `at most: ${rule.max}`);
  const sites = new Set(ports.map((p) => view.ownerNode(p)?.props.Site));
  if (rule.sites > 0 && sites.size > rule.sites)
    return `Service ${name} of type ${type} cannot span ${sites.size} sites. Limit: ${rule.sites}.`;
  return firstOf([
    () => siteFault(name, type, rule, sites.size, service.props.Site),
    () => mirrorFault(service, type),
    () => portFault(view, type, ports),
  ]);
}

function siteFault(
  name: string,
  type: string,
  rule: ServiceRule,
  sites: number,
  site: string | undefined,
): string | undefined {
  if (rule.sites === 0 || sites < 2 || !site) return undefined;
  return `Service ${name} of type ${type} is multi-site, but site ${site} was specified in constructor`;
}

function mirrorFault(service: GraphNode, type: string): string | undefined {
  const mirror = [["MirrorPort", "mirror_port"], ["MirrorDirection", "mirror_direction"]] as const; // biome-ignore format: pairs
  if (type === "PortMirror") {
    return each([...mirror, ["Site", "site"] as const], ([prop, word]) =>
      service.props[prop] ? undefined : `Service of type PortMirror must have property ${word} set`,
    );
  }
  return each(mirror, ([prop, word]) =>
    service.props[prop] ? `Service of type ${type} must NOT have property ${word} set` : undefined,
  );
}

/** What an L2PTP may connect. */
const dedicated = ["DedicatedPort", "FacilityPort", "SubInterface"];

function portFault(view: GraphView, type: string, ports: readonly GraphNode[]): string | undefined {
  return each(ports, (p) => {
    const kind = p.props.Type ?? "None";
    if (type === "L2PTP" && !dedicated.includes(kind)) {
      return `Service of type L2PTP must use one of the following interface types:[${dedicated.join(", ")}] instead of ${kind}`;
    }
    return view.peers(p).length > 1
      ? `Interface ${nameOf(p)} is already connected to another service.`
      : undefined;
  });
}
