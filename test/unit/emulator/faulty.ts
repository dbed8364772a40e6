/** Graphs that FIM refuses, with its words; the integration test asks the real FIM about the same graphs. */
import type { PropertyGraph } from "../../../infra/fabric/graph.js";
import { fabnetSlice, GraphBuilder, withProps } from "./graphs.js";

const one = { name: "one", site: "AMST" };
const two = { name: "two", site: "LOSA" };
const three = { name: "three", site: "HAWI" };

function without(graph: PropertyGraph, name: string, property: string): PropertyGraph {
  const strip = (props: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(props).filter(([k]) => k !== property));
  return {
    nodes: graph.nodes.map((n) => (n.props.Name === name ? { ...n, props: strip(n.props) } : n)),
    edges: graph.edges,
  };
}

export const faultyGraphs: Readonly<
  Record<string, { readonly graph: PropertyGraph; readonly text: string }>
> = {
  "a FABNetv4 over two sites": {
    graph: new GraphBuilder()
      .node(one)
      .node(two)
      .network({ name: "net1", nodes: ["one", "two"] })
      .build(),
    text: "Service net1 of type FABNetv4 cannot span 2 sites. Limit: 1.",
  },
  "a network nobody is in": {
    graph: new GraphBuilder().node(one).network({ name: "net1", nodes: [] }).build(),
    text: "Service net1 of type FABNetv4 cannot have 0 interfaces. Limit at least: 1",
  },
  "an L2STS with one end": {
    graph: new GraphBuilder()
      .node(one)
      .network({ name: "net1", type: "L2STS", nodes: ["one"] })
      .build(),
    text: "Service net1 of type L2STS cannot have 1 interfaces. Limit at least: 2",
  },
  "an L2STS over three sites": {
    graph: new GraphBuilder()
      .node(one)
      .node(two)
      .node(three)
      .network({ name: "net1", type: "L2STS", nodes: ["one", "two", "three"] })
      .build(),
    text: "Service net1 of type L2STS cannot span 3 sites. Limit: 2.",
  },
  "an L2PTP with three ends": {
    graph: new GraphBuilder()
      .node({ ...one, nic: "SmartNIC" })
      .node({ ...two, nic: "SmartNIC" })
      .node({ ...three, site: "LOSA", nic: "SmartNIC" })
      .network({ name: "net1", type: "L2PTP", nodes: ["one", "two", "three"] })
      .build(),
    text: "Service net1 of type L2PTP cannot have 3 interfaces. Limit at most: 2",
  },
  "a site on an L2STS of two": {
    graph: new GraphBuilder()
      .node(one)
      .node(two)
      .network({ name: "net1", type: "L2STS", site: "AMST", nodes: ["one", "two"] })
      .build(),
    text: "Service net1 of type L2STS is multi-site, but site AMST was specified in constructor",
  },
  "an L2PTP on shared cards": {
    graph: new GraphBuilder()
      .node(one)
      .node(two)
      .network({ name: "net1", type: "L2PTP", nodes: ["one", "two"] })
      .build(),
    text: "Service of type L2PTP must use one of the following interface types:[DedicatedPort, FacilityPort, SubInterface] instead of SharedPort",
  },
  "a mirror of nothing": {
    graph: new GraphBuilder()
      .node(one)
      .network({ name: "net1", type: "PortMirror", nodes: ["one"] })
      .build(),
    text: "Service of type PortMirror must have property mirror_port set",
  },
  "a mirror port on another service": {
    graph: new GraphBuilder()
      .node(one)
      .network({ name: "net1", nodes: ["one"], props: { MirrorPort: "p1" } })
      .build(),
    text: "Service of type FABNetv4 must NOT have property mirror_port set",
  },
  "a VM without a site": {
    graph: without(new GraphBuilder().node(one).build(), "one", "Site"),
    text: "Node of type VM must have property site set",
  },
};

/** Refused by the library while a graph is built; its `validate()`, and so the real server, does not see them. The emulator is stricter. */
export const refusedByBuilders: Readonly<
  Record<string, { readonly graph: PropertyGraph; readonly text: string }>
> = {
  "a card in two networks": {
    graph: new GraphBuilder()
      .node(one)
      .network({ name: "net1", nodes: ["one"] })
      .network({ name: "net2", nodes: ["one"] })
      .build(),
    text: "Interface one-nic-p1 is already connected to another service.",
  },
  "two nodes of one name": {
    graph: withProps(fabnetSlice([one, two]), "two", { Name: "one" }),
    text: "Node names must be unique within topology.",
  },
  "two components of one name": {
    graph: withProps(fabnetSlice([{ ...one, components: ["GPU-A30"] }]), "one-c0", { Name: "one-nic" }),
    text: "Component names must be unique within node.",
  },
};

/** Faults that FIM does not see. */
export const fimCatchesNot: Readonly<Record<string, PropertyGraph>> = {
  "another site's name on a FABNetv4": new GraphBuilder()
    .node(one)
    .network({ name: "net1", site: "LOSA", nodes: ["one"] })
    .build(),
  "an L2STS within one site": new GraphBuilder()
    .node(one)
    .node({ ...two, site: "AMST" })
    .network({ name: "net1", type: "L2STS", nodes: ["one", "two"] })
    .build(),
  "an L2Multisite": new GraphBuilder()
    .node(one)
    .node(two)
    .network({ name: "net1", type: "L2Multisite", nodes: ["one", "two"] })
    .build(),
  "a VM without capacities": without(new GraphBuilder().node(one).build(), "one", "Capacities"),
};
