import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyChange } from "../../../infra/fabric/apply-change.js";
import { describeChange, isNothing, leavingNodes, planChange } from "../../../infra/fabric/change.js";
import { specFromView } from "../../../infra/fabric/drift.js";
import { elementIds } from "../../../infra/fabric/element-ids.js";
import type { PropertyGraph } from "../../../infra/fabric/graph.js";
import { readGraphml, writeGraphml } from "../../../infra/fabric/graphml.js";
import { fromGraph } from "../../../infra/fabric/slice-view.js";
import { parseSliceSpec, type SliceSpec, type SliceSpecInput } from "../../../infra/fabric/spec.js";
import { planTopology } from "../../../infra/fabric/topology.js";
import { toGraph } from "../../../infra/fabric/topology-graph.js";
import { changedSlices, type RandomSlice } from "../../support/random-slices.js";

const mark = { project: "p", stack: "dev", id: "m1" };
const ids = elementIds(mark.id);
const serverOf = (spec: RandomSlice) =>
  readGraphml(writeGraphml(served(toGraph(planTopology(spec), mark, ids))));
const withLease = (spec: RandomSlice): SliceSpec => ({ lease: "1d", ...spec }) as SliceSpec;

/** What the server writes into a graph. */
function served(graph: PropertyGraph): PropertyGraph {
  return {
    ...graph,
    nodes: graph.nodes.map((n) => ({
      ...n,
      props: { ...n.props, ReservationInfo: `{"reservation_id": "r${n.id}", "reservation_state": "Active"}` },
    })),
  };
}

describe("a change of cards, storage and networks", () => {
  it("comes to what the new specification says, and the second time changes nothing", () => {
    fc.assert(
      fc.property(changedSlices, ({ before, after }) => {
        const server = serverOf(before);
        const once = applyChange(server, after, { mark, ids });
        const view = fromGraph(readGraphml(writeGraphml(once.graph)));
        expect(specFromView(after, view, mark.id)).toEqual({
          nodes: after.nodes,
          ...(after.networks === undefined ? {} : { networks: after.networks }),
        });
        expect(view.services.map((s) => s.name)).toEqual(planTopology(after).services.map((s) => s.name));
        expect(applyChange(once.graph, after, { mark, ids }).changed).toBe(false);
        expect(applyChange(server, before, { mark, ids }).changed).toBe(false);
        expect(once.changed).toBe(!isNothing(planChange(withLease(before), withLease(after))));
      }),
    );
  });

  it("keeps id and server's keys of what stays, leaves nothing loose and no id twice", () => {
    fc.assert(
      fc.property(changedSlices, ({ before, after }) => {
        const server = serverOf(before);
        const { graph } = applyChange(server, after, { mark, ids });
        const was = new Map(server.nodes.map((n) => [n.props.NodeID, n.props]));
        for (const { props } of graph.nodes) {
          const old = was.get(props.NodeID);
          if (old === undefined) expect(props).not.toHaveProperty("ReservationInfo");
          else expect({ ...props, UserData: "" }).toEqual({ ...old, UserData: "" });
        }
        const change = planChange(withLease(before), withLease(after));
        const gone = new Set([...change.services.removed, ...change.services.replaced]);
        const now = new Map(fromGraph(graph).services.map((s) => [s.name, s.nodeId]));
        for (const { name, nodeId } of fromGraph(server).services)
          if (!gone.has(name)) expect(now.get(name)).toBe(nodeId);
          else expect(now.get(name)).not.toBe(nodeId);
        expect(leavingNodes(change).every((n) => Object.hasOwn(before.nodes, n))).toBe(true);

        const numbers = new Set(graph.nodes.map((n) => n.id));
        expect(numbers.size).toBe(graph.nodes.length);
        expect(new Set(graph.nodes.map((n) => n.props.NodeID)).size).toBe(graph.nodes.length);
        const joined = new Set(graph.edges.flatMap((e) => [e.source, e.target]));
        expect([...joined].every((id) => numbers.has(id))).toBe(true);
        // A machine may be on no network, with nothing in it.
        expect(graph.nodes.filter((n) => !joined.has(n.id) && n.props.Type !== "VM")).toEqual([]);
        // No port of a network without its link, no sub-interface without a network.
        const ends = (id: string) => graph.edges.filter((e) => e.source === id || e.target === id).length;
        for (const n of graph.nodes)
          if (["ServicePort", "SubInterface"].includes(n.props.Type ?? "")) expect(ends(n.id)).toBe(2);
      }),
    );
  });

  const two = (more: Partial<SliceSpecInput>, b: object = {}): SliceSpec =>
    parseSliceSpec({
      name: "p-dev",
      nodes: {
        aa: { site: "AMST", nics: { fast: "NIC_ConnectX_5" } },
        bb: { site: "LOSA", nics: { fast: "NIC_ConnectX_5" }, ...b },
      },
      ...more,
    });
  const link = (type: "L2PTP" | "L2STS", vlan?: number) => ({
    link: {
      type,
      interfaces: ["aa", "bb"].map((node) => ({
        node,
        nic: "fast",
        ...(vlan === undefined ? {} : { vlan }),
      })),
    },
  });

  it.each([
    ["a network more", two({}), two({ networks: link("L2PTP", 100) }), "+ network link; nothing replaced"],
    ["a network less", two({ networks: link("L2STS") }), two({}), "- network link; nothing replaced"],
    [
      "another tag",
      two({ networks: link("L2PTP", 100) }),
      two({ networks: link("L2PTP", 200) }),
      "~ network link in place (interfaces); nothing replaced",
    ],
    [
      "another type",
      two({ networks: link("L2PTP") }),
      two({ networks: link("L2STS") }),
      "+- network link (made anew); nothing replaced",
    ],
    [
      "a card more",
      two({}),
      two({}, { nics: { fast: "NIC_ConnectX_5", more: "NIC_Basic" } }),
      "~ bb in place (nics); nothing replaced",
    ],
    [
      "a boot script",
      two({}),
      two({}, { bootScript: "true" }),
      "replaced, losing what is on them: bb (boot script)",
    ],
    [
      "a pin",
      two({}),
      two({}, { host: "losa-w1.fabric-testbed.net" }),
      "replaced, losing what is on them: bb (host)",
    ],
    ["a pin given up", two({}, { host: "losa-w1.fabric-testbed.net" }), two({}), "nothing replaced"],
  ])("%s", (_, before, after, text) => {
    expect(describeChange(planChange(before, after))).toBe(text);
    const server = serverOf(before as RandomSlice);
    const { graph, changed } = applyChange(server, after, { mark, ids });
    expect(changed).toBe(text !== "nothing replaced");
    expect(specFromView(after, fromGraph(graph), mark.id).networks).toEqual(after.networks);
  });

  it("leaves networks of other tools and the cards on them, unless the last specification had them", () => {
    const own = serverOf(two({ networks: link("L2STS") }) as RandomSlice);
    const theirs: PropertyGraph = {
      ...own,
      nodes: own.nodes.map((n) =>
        n.props.Name === "link" ? { ...n, props: { ...n.props, UserData: "{}" } } : n,
      ),
    };
    const bare = parseSliceSpec({ name: "p-dev", nodes: { aa: { site: "AMST" }, bb: { site: "LOSA" } } });
    expect(applyChange(theirs, bare, { mark, ids })).toMatchObject({ changed: false });
    const gone = applyChange(theirs, bare, { mark, ids, networksBefore: ["link"] });
    expect(fromGraph(gone.graph).services).toEqual([]);
    expect(fromGraph(gone.graph).nodes[0]).not.toHaveProperty("nics");
  });

  it("makes a network that failed anew under another id", () => {
    const spec = two({ networks: link("L2PTP", 100) });
    const server = serverOf(spec as RandomSlice);
    const failed = fromGraph(server).services[0]?.nodeId ?? "";
    const { graph } = applyChange(server, spec, { mark, ids, failed: new Set([failed]) });
    const [now] = fromGraph(graph).services;
    expect(now?.nodeId).not.toBe(failed);
    expect(now?.interfaces).toHaveLength(2);
  });
});
