/**
 * FIM's rules over a whole graph, ours or one that another tool made: port mirrors, facility ports and P4 switches are kept, and checked here. Pure.
 * Source: fabric-fim 2.0.0, fim/user (topology.py, node.py, network_service.py); for sites of L2STS and L2PTP FABlib 2.0.9.
 */
import type { Problem } from "../problem.js";
import { cardModels } from "./components.js";
import { fimClass, fimType, jsonProperty, userDataLimit } from "./fim.js";
import { GraphIndex, type GraphNode, type PropertyGraph } from "./graph.js";
import { type JoinedInterface, serviceProblems, serviceRule } from "./service-rules.js";
import { networksOf, peersOf } from "./slice-view.js";

const nodeName = /^[\w\-.]{2,255}$/;
const bootScriptMost = 1023;

/**
 * Everything in which a graph breaks FIM's rules, by the names of its elements; empty when all is well.
 *
 * @throws InfraError FAB-GRAPHML-FORM for a graph that is no slice
 */
export function graphProblems(graph: PropertyGraph): Problem[] {
  const index = new GraphIndex(graph);
  const nodes = index.ofClass(fimClass.node);
  const networks = networksOf(index);
  return [
    ...nameProblems(nodes, "node"),
    ...nameProblems(networks, "network"),
    ...nodes.flatMap((n) => nodeProblems(index, n)),
    ...networks.flatMap((s) => networkProblems(index, s)),
  ];
}

const nameOf = (element: GraphNode): string => element.props.Name ?? "";

function nameProblems(elements: readonly GraphNode[], what: string): Problem[] {
  const seen = new Set<string>();
  return elements.flatMap((element): Problem[] => {
    const name = nameOf(element);
    const twice = seen.has(name);
    seen.add(name);
    const wrong = nodeName.test(name)
      ? []
      : [
          {
            code: "FAB-NAME-RULE",
            path: name,
            message: `FABRIC takes no ${what} of this name`,
            remedy: "2 to 255 letters, digits, dots, dashes or underscores",
          },
        ];
    return twice ? [...wrong, nameTwice(name, `two of ${what} have this name`)] : wrong;
  });
}

function nameTwice(path: string, message: string): Problem {
  return { code: "FAB-NAME-TWICE", path, message, remedy: "choose another name" };
}

function nodeProblems(index: GraphIndex, node: GraphNode): Problem[] {
  const name = nameOf(node);
  const type = node.props.Type ?? "";
  const problems: Problem[] = [];
  const components = index.around(node, fimClass.component);
  const names = components.map(nameOf);
  if (new Set(names).size < names.length)
    problems.push(nameTwice(name, "two components of the node have one name"));
  if (type === fimType.vm && !node.props.Site)
    problems.push({ code: "FAB-NODE-SITE", path: name, message: "the node has no site", remedy: "name one" });
  if ((type === "Switch" || type === "Facility") && components.length > 0) {
    problems.push({
      code: "FAB-NODE-COMPONENTS",
      path: name,
      message: `a ${type} has no components`,
      remedy: "remove them",
    });
  }
  if ([...(node.props.BootScript ?? "")].length > bootScriptMost)
    problems.push(tooLong(name, "FAB-BOOT-SCRIPT-TOO-LONG", "boot script", bootScriptMost));
  if ([...(node.props.UserData ?? "")].length > userDataLimit)
    problems.push(tooLong(name, "FAB-USER-DATA-TOO-LARGE", "user data", userDataLimit));
  return problems;
}

function tooLong(path: string, code: string, what: string, most: number): Problem {
  return { code, path, message: `the ${what} is longer than ${most} characters`, remedy: "shorten it" };
}

function networkProblems(index: GraphIndex, network: GraphNode): Problem[] {
  const path = nameOf(network);
  const type = network.props.Type ?? "";
  if (serviceRule(type) === undefined) {
    return [{ code: "FAB-NETWORK-TYPE", path, message: `FABRIC makes no network of type ${type}` }];
  }
  const servicePorts = index.around(network, fimClass.port);
  const joined = servicePorts.flatMap((port) => {
    const peers = peersOf(index, port);
    return peers.length === 1 ? peers : [];
  });
  const problems: Problem[] = [];
  if (joined.length < servicePorts.length) {
    problems.push({
      code: "FAB-NETWORK-INTERFACES",
      path,
      message: "an interface of the network does not lead to exactly one interface of a node",
    });
  }
  for (const port of joined) {
    if (peersOf(index, port).length < 2) continue;
    problems.push({
      code: "FAB-NETWORK-TWICE",
      path,
      message: `${nameOf(port)} is on another network already`,
      remedy: "use another port, or a sub-interface",
    });
  }
  const interfaces = joined.map((port) => joinedInterface(index, port));
  problems.push(...serviceProblems(type, interfaces).map((p) => ({ ...p, path })));
  const site = network.props.Site;
  const other = interfaces.find((i) => serviceRule(type)?.sites.most === 1 && site && i.site !== site);
  if (other !== undefined) {
    problems.push({
      code: "FAB-NETWORK-SITES",
      path,
      message: `the network is at ${site}, ${other.name} at ${other.site}`,
      remedy: "write one network for each site",
    });
  }
  return [...problems, ...mirrorProblems(network, type)];
}

function mirrorProblems(network: GraphNode, type: string): Problem[] {
  const path = nameOf(network);
  const has = (name: string) => network.props[name] !== undefined && network.props[name] !== "";
  const said = ["MirrorPort", "MirrorDirection"].filter(has);
  if (type !== "PortMirror") {
    return said.length === 0
      ? []
      : [
          {
            code: "FAB-MIRROR",
            path,
            message: `only a PortMirror has ${said.join(" and ")}`,
            remedy: "remove it",
          },
        ];
  }
  const lacks = ["MirrorPort", "MirrorDirection", "Site"].filter((name) => !has(name));
  return lacks.length === 0
    ? []
    : [{ code: "FAB-MIRROR", path, message: `a PortMirror needs ${lacks.join(" and ")}`, remedy: "set it" }];
}

/** A node's interface as the rules see it; those of facilities and switches have a site as well. */
function joinedInterface(index: GraphIndex, port: GraphNode): JoinedInterface {
  const whole =
    port.props.Type === fimType.subInterface
      ? (index.around(port, fimClass.port).find((p) => p.props.Type === fimType.dedicatedPort) ?? port)
      : port;
  const service = index.around(whole, fimClass.service)[0];
  const card = service && index.around(service, fimClass.component)[0];
  const node =
    (card && index.around(card, fimClass.node)[0]) ?? (service && index.around(service, fimClass.node)[0]);
  const host = node && jsonProperty(node, "Labels").instance_parent;
  return {
    name: nameOf(port),
    site: node?.props.Site ?? "",
    node: node === undefined ? "" : nameOf(node),
    shared: card?.props.Type === cardModels.NIC_Basic?.type,
    host: typeof host === "string" ? host : undefined,
  };
}
