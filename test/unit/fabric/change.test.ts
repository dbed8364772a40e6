import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyChange } from "../../../infra/fabric/apply-change.js";
import { describeChange, isNothing, leavingNodes, planChange } from "../../../infra/fabric/change.js";
import { elementIds } from "../../../infra/fabric/element-ids.js";
import type { GraphNode, PropertyGraph } from "../../../infra/fabric/graph.js";
import { readGraphml, writeGraphml } from "../../../infra/fabric/graphml.js";
import { fromGraph } from "../../../infra/fabric/slice-view.js";
import { type NodeSpec, parseNodeSpec, type SliceSpec } from "../../../infra/fabric/spec.js";
import { planTopology } from "../../../infra/fabric/topology.js";
import { toGraph } from "../../../infra/fabric/topology-graph.js";
import { paperSlice } from "../../support/paper-slice.js";
import { moved, nodeMaps } from "../../support/random-slices.js";

const mark = { project: "p", stack: "dev", id: "m1" };
const ids = elementIds(mark.id);
const node = (site: string, more: Partial<NodeSpec> = {}): NodeSpec => ({
  ...parseNodeSpec({ site }),
  ...more,
});
const paper = (nodes: Record<string, NodeSpec | undefined>, lease = "14d"): SliceSpec => {
  const all = Object.entries({ ...paperSlice.nodes, ...nodes }).flatMap(([k, v]): [string, NodeSpec][] =>
    v === undefined ? [] : [[k, v]],
  );
  return { ...paperSlice, lease, nodes: Object.fromEntries(all) };
};

describe("what a change is", () => {
  it("a fourth client at a new site: added in place, with a network; six nodes get a route", () => {
    const change = planChange(paperSlice, paper({ clientfour: node("HAWI") }));
    expect(describeChange(change, "lease until 2026-12-06")).toBe(
      "+ clientfour and a network at HAWI; routes on 6 nodes; nothing replaced; lease until 2026-12-06",
    );
    expect(leavingNodes(change)).toEqual([]);
  });

  it("a fourth client at a known site: no network, no routes", () => {
    const change = planChange(paperSlice, paper({ clientfour: node("LOSA") }));
    expect(describeChange(change)).toBe("+ clientfour; nothing replaced");
  });

  it("a node that leaves its site's network: in place, its card and routes go, and the network with its last node", () => {
    const off = paper({
      clientone: node("AMST", { siteNetwork: false }),
      clientthree: node("TOKY", { siteNetwork: false }),
    });
    const change = planChange(paperSlice, off);
    expect(describeChange(change)).toBe(
      "- the network at TOKY; ~ clientone in place (site network); ~ clientthree in place (site network); routes on 6 nodes; nothing replaced",
    );
    expect(leavingNodes(change)).toEqual([]);
    expect(describeChange(planChange(off, paperSlice))).toBe(
      "+ a network at TOKY; ~ clientone in place (site network); ~ clientthree in place (site network); routes on 6 nodes; nothing replaced",
    );
  });

  it("a node that goes takes its site's network with it", () => {
    const change = planChange(paperSlice, paper({ clientthree: undefined }));
    expect(describeChange(change)).toBe(
      "- clientthree and the network at TOKY; routes on 5 nodes; nothing replaced",
    );
    expect(leavingNodes(change)).toEqual(["clientthree"]);
  });

  it("size, image and site replace a node; components, user data and lease do not", () => {
    const change = planChange(
      paperSlice,
      paper(
        {
          core: node("AMST", { cores: 8 }),
          clienttwo: node("AMST"),
          server: node("AMST", { components: ["GPU_A30"] }),
          clientone: node("AMST", { userData: { a: 1 } }),
        },
        "7d",
      ),
    );
    expect(change.replaced).toEqual([
      { name: "clienttwo", why: ["LOSA to AMST"] },
      { name: "core", why: ["4 to 8 cores"] },
    ]);
    expect(describeChange(change, "lease extended until 2026-12-06")).toBe(
      "- the network at LOSA; ~ clientone in place (user data); ~ server in place (components); routes on 4 nodes; " +
        "replaced, losing what is on them: clienttwo (LOSA to AMST), core (4 to 8 cores); lease extended until 2026-12-06",
    );
    expect(leavingNodes(change)).toEqual(["clienttwo", "core"]);
  });

  it("the same image written with its format is the same", () => {
    const change = planChange(
      paperSlice,
      paper({ core: node("AMST", { image: "default_ubuntu_22,qcow2" }) }),
    );
    expect(isNothing(change)).toBe(true);
  });
});

/** What FABRIC writes into a slice's elements, so that one sees whether it survives. */
function served(graph: PropertyGraph): PropertyGraph {
  return {
    ...graph,
    nodes: graph.nodes.map((n) => ({
      ...n,
      props: {
        ...n.props,
        ReservationInfo: `{"reservation_id": "r-${n.props.NodeID}", "reservation_state": "Active"}`,
        NodeMap: `["g", "${n.id}"]`,
      },
    })),
  };
}

const withoutUserData = ({ props: { UserData: _, ...props } }: GraphNode) => props;

describe("a change applied to the server's graph", () => {
  const specs = fc.tuple(nodeMaps, nodeMaps, fc.boolean()).map(([a, b, move]) => {
    // Half of the old nodes stay, so that there is something to keep; one of them may leave or join its site's network.
    const stay = Object.entries(a).filter((_, i) => i % 2 === 0);
    const kept = stay.map(([name, node], i) => [name, move && i === 0 ? moved(node) : node] as const);
    const before: SliceSpec = { name: "p-dev", lease: "1d", nodes: a };
    const after: SliceSpec = { name: "p-dev", lease: "1d", nodes: { ...b, ...Object.fromEntries(kept) } };
    return { before, after };
  });
  const serverOf = (spec: SliceSpec) =>
    readGraphml(writeGraphml(served(toGraph(planTopology(spec), mark, ids))));

  it("says what the new specification says", () => {
    fc.assert(
      fc.property(specs, ({ before, after }) => {
        const { graph } = applyChange(serverOf(before), after, { mark, ids });
        const view = fromGraph(readGraphml(writeGraphml(graph)));
        const plan = planTopology(after);
        expect(
          view.nodes.map((n) => [
            n.name,
            n.site,
            n.cores,
            n.ram,
            n.disk,
            n.image,
            n.components,
            n.userData,
            n.network,
          ]),
        ).toEqual(
          plan.nodes.map((n) => [
            n.name,
            n.site,
            n.cores,
            n.ram,
            n.disk,
            n.image,
            [...n.components].sort(),
            n.userData,
            n.network,
          ]),
        );
        expect(view.networks.map(({ name, site, nodes }) => ({ name, site, nodes }))).toEqual(plan.networks);
        expect(view.nodes.every((n) => n.mark?.id === mark.id)).toBe(true);
      }),
    );
  });

  it("keeps ids and all keys of what stays, and uses no old id for what is new", () => {
    fc.assert(
      fc.property(specs, ({ before, after }) => {
        const server = serverOf(before);
        const { graph } = applyChange(server, after, { mark, ids });
        const change = planChange(before, after);
        const gone = new Set(leavingNodes(change));
        const old = new Map(server.nodes.map((n) => [n.props.NodeID, n]));
        for (const n of graph.nodes) {
          const was = old.get(n.props.NodeID);
          if (was !== undefined) expect(withoutUserData(n)).toEqual(withoutUserData(was));
          else expect(n.props).not.toHaveProperty("ReservationInfo");
        }
        const idsNow = new Map(
          graph.nodes
            .filter((n) => n.props.Class === "NetworkNode")
            .map((n) => [n.props.Name, n.props.NodeID]),
        );
        for (const n of server.nodes.filter((s) => s.props.Class === "NetworkNode")) {
          const name = n.props.Name ?? "";
          if (gone.has(name)) expect(idsNow.get(name)).not.toBe(n.props.NodeID);
          else expect(idsNow.get(name)).toBe(n.props.NodeID);
        }
        const networks = (g: PropertyGraph) =>
          new Map(
            g.nodes.filter((n) => n.props.Type === "FABNetv4").map((n) => [n.props.Site, n.props.NodeID]),
          );
        const now = networks(graph);
        for (const [site, id] of networks(server)) {
          if (!change.networks.removed.includes(site ?? "")) expect(now.get(site)).toBe(id);
        }
      }),
    );
  });

  it("changes nothing the second time, nor for an equal specification", () => {
    fc.assert(
      fc.property(specs, ({ before, after }) => {
        expect(applyChange(serverOf(before), before, { mark, ids }).changed).toBe(false);
        const once = applyChange(serverOf(before), after, { mark, ids });
        expect(applyChange(once.graph, after, { mark, ids })).toEqual({
          graph: once.graph,
          changed: false,
          missing: [],
        });
        expect(once.changed).toBe(!isNothing(planChange(before, after)));
      }),
    );
  });

  it("leaves no edge without both ends and no name twice", () => {
    fc.assert(
      fc.property(specs, ({ before, after }) => {
        const { graph } = applyChange(serverOf(before), after, { mark, ids });
        const numbers = graph.nodes.map((n) => n.id);
        expect(new Set(numbers).size).toBe(numbers.length);
        for (const e of graph.edges) expect(numbers).toEqual(expect.arrayContaining([e.source, e.target]));
        const joined = new Set(graph.edges.flatMap((e) => [e.source, e.target]));
        // A machine may be on no network, with nothing in it.
        const alone = graph.nodes.filter((n) => !joined.has(n.id) && n.props.Type !== "VM");
        expect(alone).toEqual([]);
        const nodeIds = graph.nodes.map((n) => n.props.NodeID);
        expect(new Set(nodeIds).size).toBe(nodeIds.length);
      }),
    );
  });

  it("makes a node that failed anew under another id, also when FABRIC knows the next one already", () => {
    const server = serverOf(paperSlice);
    const failed = fromGraph(server).nodes.find((n) => n.name === "core")?.nodeId ?? "";
    const once = applyChange(server, paperSlice, { mark, ids, failed: new Set([failed]) });
    const second = fromGraph(once.graph).nodes.find((n) => n.name === "core")?.nodeId ?? "";
    expect(second).not.toBe(failed);
    const again = applyChange(server, paperSlice, {
      mark,
      ids,
      failed: new Set([failed]),
      inUse: new Set([second]),
    });
    const third = fromGraph(again.graph).nodes.find((n) => n.name === "core")?.nodeId;
    expect([failed, second]).not.toContain(third);
    expect(fromGraph(again.graph).networks[0]?.nodes).toContain("core");
  });

  it("makes a network that failed anew and joins the nodes that stay to it", () => {
    const server = serverOf(paperSlice);
    const failed = fromGraph(server).networks[0];
    const { graph } = applyChange(server, paperSlice, { mark, ids, failed: new Set([failed?.nodeId ?? ""]) });
    const view = fromGraph(graph);
    expect(view.networks[0]?.nodeId).not.toBe(failed?.nodeId);
    expect(view.networks[0]?.nodes).toEqual(["clientone", "control", "core", "server"]);
    expect(view.nodes.map((n) => n.nodeId)).toEqual(fromGraph(server).nodes.map((n) => n.nodeId));
  });

  it("leaves other people's nodes in the slice, and the network they are on, and FABlib's user data", () => {
    const own = toGraph(planTopology(paperSlice), mark, ids);
    const others: PropertyGraph = {
      ...own,
      nodes: own.nodes.map((n) => {
        if (n.props.Class !== "NetworkNode") return n;
        if (n.props.Name === "clientthree") return { ...n, props: { ...n.props, UserData: "{}" } };
        return {
          ...n,
          props: {
            ...n.props,
            UserData: `{"fablib_data": {"a": 1}, "dynamos_fabric": ${JSON.stringify(mark)}}`,
          },
        };
      }),
    };
    const after = paper({ clientthree: undefined, core: node("AMST", { userData: { b: 2 } }) });
    const view = applyChange(others, after, { mark, ids });
    const names = fromGraph(view.graph).nodes.map((n) => n.name);
    expect(names).toContain("clientthree");
    expect(fromGraph(view.graph).networks.map((n) => n.site)).toContain("TOKY");
    const core = view.graph.nodes.find((n) => n.props.Name === "core");
    expect(JSON.parse(core?.props.UserData ?? "")).toEqual({
      fablib_data: { a: 1 },
      b: 2,
      dynamos_fabric: mark,
    });
    // The same node is removed when the last specification had it.
    const removed = applyChange(others, after, { mark, ids, before: ["clientthree"] });
    expect(fromGraph(removed.graph).nodes.map((n) => n.name)).not.toContain("clientthree");
  });
});
