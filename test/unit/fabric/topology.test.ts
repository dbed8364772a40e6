import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { plannedCards } from "../../../infra/fabric/card-graph.js";
import { networkOf, nodeOf, specFromView } from "../../../infra/fabric/drift.js";
import { elementIds } from "../../../infra/fabric/element-ids.js";
import { writeGraphml } from "../../../infra/fabric/graphml.js";
import { fromGraph, subnetsOf } from "../../../infra/fabric/slice-view.js";
import { planRoutes, planTopology } from "../../../infra/fabric/topology.js";
import { toGraph } from "../../../infra/fabric/topology-graph.js";
import { paperSlice } from "../../support/paper-slice.js";
import { slices } from "../../support/random-slices.js";

const mark = { project: "p", stack: "dev", id: "m1" };
const ids = elementIds(mark.id);

describe("planTopology", () => {
  it("gives the paper's stack one network a site", () => {
    const topology = planTopology(paperSlice);
    expect(topology.networks).toEqual([
      { name: "net-amst", site: "AMST", nodes: ["clientone", "control", "core", "server"] },
      { name: "net-losa", site: "LOSA", nodes: ["clienttwo"] },
      { name: "net-toky", site: "TOKY", nodes: ["clientthree"] },
    ]);
    expect(topology.nodes.find((n) => n.name === "control")).toMatchObject({
      cores: 2,
      ram: 8,
      disk: 50,
      image: "default_ubuntu_22,qcow2",
    });
  });

  it("puts each node that wants it on exactly its site's network, whatever the order of the specification", () => {
    fc.assert(
      fc.property(slices, (slice) => {
        const topology = planTopology(slice);
        const backwards = planTopology({
          ...slice,
          nodes: Object.fromEntries(Object.entries(slice.nodes).reverse()),
        });
        expect(backwards).toEqual(topology);
        const joined = Object.entries(slice.nodes).filter(([, node]) => node.siteNetwork !== false);
        expect(topology.networks.flatMap((n) => n.nodes).sort()).toEqual(joined.map(([name]) => name).sort());
        for (const n of topology.networks) {
          for (const name of n.nodes) expect(slice.nodes[name]?.site).toBe(n.site);
        }
      }),
    );
  });
});

describe("planRoutes", () => {
  const subnets = {
    AMST: { subnet: "10.1.0.0/24", gateway: "10.1.0.1" },
    LOSA: { subnet: "10.2.0.0/24", gateway: "10.2.0.1" },
    TOKY: { subnet: "10.3.0.0/24", gateway: "10.3.0.1" },
  };

  it("routes from each node to each other site through the local gateway", () => {
    const routes = planRoutes(planTopology(paperSlice), subnets);
    expect(Object.keys(routes)).toHaveLength(6);
    expect(routes.core).toEqual([
      { to: "10.2.0.0/24", via: "10.1.0.1", site: "LOSA" },
      { to: "10.3.0.0/24", via: "10.1.0.1", site: "TOKY" },
    ]);
    expect(routes.clientthree).toEqual([
      { to: "10.1.0.0/24", via: "10.3.0.1", site: "AMST" },
      { to: "10.2.0.0/24", via: "10.3.0.1", site: "LOSA" },
    ]);
  });

  it("gives none to a node that is not on its site's network, and none to a site where nobody is", () => {
    const off = (name: "clientone" | "clientthree") => ({
      [name]: { ...paperSlice.nodes[name], siteNetwork: false as const },
    });
    const nodes = { ...paperSlice.nodes, ...off("clientone"), ...off("clientthree") };
    const routes = planRoutes(planTopology({ ...paperSlice, nodes } as typeof paperSlice), subnets);
    expect(routes.clientone).toEqual([]);
    expect(routes.clientthree).toEqual([]);
    expect(routes.core?.map((r) => r.site)).toEqual(["LOSA"]);
  });

  it("leaves out a site whose addresses are not known yet", () => {
    const { TOKY: _, ...known } = subnets;
    const routes = planRoutes(planTopology(paperSlice), known);
    expect(routes.core?.map((r) => r.site)).toEqual(["LOSA"]);
    expect(routes.clientthree).toEqual([]);
  });
});

describe("toGraph and fromGraph", () => {
  it("read back what was written, for any slice", () => {
    fc.assert(
      fc.property(slices, (slice) => {
        const topology = planTopology(slice);
        const view = fromGraph(toGraph(topology, mark, ids));
        expect(view.mark).toEqual(mark);
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
          topology.nodes.map((n) => [
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
        const named = new Set(view.services.map((s) => s.name));
        expect(
          view.networks
            .filter((n) => !named.has(n.name))
            .map(({ name, site, nodes }) => ({ name, site, nodes })),
        ).toEqual(topology.networks);
      }),
    );
  });

  it("give back the specification in its own words", () => {
    fc.assert(
      fc.property(slices, (slice) => {
        const view = fromGraph(toGraph(planTopology(slice), mark, ids));
        expect(specFromView(slice, view, mark.id)).toEqual({
          nodes: slice.nodes,
          ...(slice.networks === undefined ? {} : { networks: slice.networks }),
        });
      }),
    );
  });

  it("give a specification that plans the same slice, for one who knows only the graph", () => {
    fc.assert(
      fc.property(slices, (slice) => {
        const graph = toGraph(planTopology(slice), mark, ids);
        const view = fromGraph(graph);
        const again = planTopology({
          name: slice.name,
          nodes: Object.fromEntries(view.nodes.map((n) => [n.name, nodeOf(n)])),
          networks: Object.fromEntries(view.services.flatMap(networkOf)),
        });
        const cards = (topology: typeof again) => Object.fromEntries(plannedCards(topology));
        const services = (topology: typeof again) =>
          topology.services.map((s) => ({
            ...s,
            interfaces: s.interfaces.map(({ ownCard: _, ...i }) => i),
          }));
        const plan = planTopology(slice);
        expect(cards(again)).toEqual(cards(plan));
        expect(services(again)).toEqual(services(plan));
        expect(again.networks).toEqual(plan.networks);
        expect(again.nodes.map((n) => n.generation)).toEqual(plan.nodes.map((n) => n.generation));
      }),
    );
  });

  it("give the same bytes for the same slice, and no id twice", () => {
    fc.assert(
      fc.property(slices, (slice) => {
        const graph = toGraph(planTopology(slice), mark, ids);
        expect(writeGraphml(toGraph(planTopology(slice), mark, elementIds("m1")))).toBe(writeGraphml(graph));
        const nodeIds = graph.nodes.map((n) => n.props.NodeID);
        expect(new Set(nodeIds).size).toBe(nodeIds.length);
        for (const id of nodeIds)
          expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      }),
    );
  });

  it("write a slice without further networks as they always did", () => {
    const text = writeGraphml(toGraph(planTopology(paperSlice), mark, ids));
    // Slices that exist keep their elements' names and ids.
    expect(createHash("sha256").update(text).digest("hex")).toBe(
      "1193b8400357154c9a7cde89f516e2b4ee9634fb9f892cd4b238d2a88a656009",
    );
  });

  it("give another slice other ids", () => {
    const of = (id: string) =>
      toGraph(planTopology(paperSlice), { ...mark, id }, elementIds(id)).nodes.map((n) => n.props.NodeID);
    expect(of("m1").filter((id) => of("m2").includes(id))).toEqual([]);
  });

  it("find the addresses that FABRIC gave", () => {
    const graph = toGraph(planTopology(paperSlice), mark, ids);
    const allocated = {
      ...graph,
      nodes: graph.nodes.map((n) => {
        const { Name, Type } = n.props;
        const extra: Record<string, string> = {};
        if (Type === "FABNetv4") extra.Gateway = '{"ipv4": "10.1.2.1", "ipv4_subnet": "10.1.2.0/24"}';
        if (Type === "ServicePort" && Name === "core-core-nic1-p1")
          extra.LabelAllocations = '{"ipv4": "10.1.2.3", "vlan": "2101"}';
        if (Type === "SharedPort" && Name === "core-nic1-p1")
          extra.LabelAllocations = '{"mac": "02:00:00:00:00:01"}';
        if (Type === "VM" && Name === "core") {
          extra.MgmtIp = "2001:db8::7";
          extra.ReservationInfo =
            '{"error_message": "", "reservation_id": "r1", "reservation_state": "Active"}';
        }
        return { ...n, props: { ...n.props, ...extra } };
      }),
    };
    const view = fromGraph(allocated);
    expect(view.nodes.find((n) => n.name === "core")).toMatchObject({
      managementIp: "2001:db8::7",
      dataAddress: "10.1.2.3",
      mac: "02:00:00:00:00:01",
      reservation: { id: "r1", state: "Active" },
    });
    expect(view.nodes.find((n) => n.name === "server")).not.toHaveProperty("dataAddress");
    expect(subnetsOf(view).LOSA).toEqual({ subnet: "10.1.2.0/24", gateway: "10.1.2.1" });
  });
});
