import { describe, expect, it } from "vitest";
import { freeCapacity } from "../../../infra/fabric/emulator/capacity.js";
import { sliverBodies } from "../../../infra/fabric/emulator/render.js";
import { parseScenario } from "../../../infra/fabric/emulator/scenario.js";
import { readGraphml, writeGraphml } from "../../../infra/fabric/graphml.js";
import { fabnetSlice, GraphBuilder, joined, withProps } from "./graphs.js";
import { ada, start, World } from "./world.js";

const hour = 3_600_000;
const one = { name: "one", site: "AMST" };
const two = { name: "two", site: "LOSA" };

function refused(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return { status: (error as { status?: number }).status, text: (error as Error).message };
  }
  return "not refused";
}

/** Property of an element by name, parsed. */
function prop(world: World, id: string, name: string, property: string): Record<string, unknown> | undefined {
  const text = world.graphOf(id).nodes.find((n) => n.props.Name === name)?.props[property];
  return text === undefined ? undefined : (JSON.parse(text) as Record<string, unknown>);
}

const states = (world: World, id: string) => sliverBodies(world.slice(id), world.now).map((s) => s.state);

describe("a slice in time", () => {
  it("is nascent, configured, up; then deleted, closing, dead", () => {
    const world = new World();
    const id = world.create("a", fabnetSlice([one]));
    const seen: unknown[] = [];
    for (const ms of [0, 50, 200, 50]) seen.push([world.wait(ms).stateOf(id), ...states(world, id)]);
    expect(seen).toEqual([
      ["Nascent", "Nascent", "Nascent"],
      ["Configuring", "Ticketed", "Ticketed"],
      ["Configuring", "Ticketed", "Ticketed"],
      ["StableOK", "Active", "Active"],
    ]);
    world.delete(id);
    expect([world.stateOf(id), ...states(world, id)]).toEqual(["Closing", "CloseWait", "CloseWait"]);
    world.wait(150);
    expect([world.stateOf(id), ...states(world, id)]).toEqual(["Dead", "Closed", "Closed"]);
  });

  it("shows addresses from the ticket on, the management address when the VM is up", () => {
    const world = new World();
    const id = world.create("a", fabnetSlice([one]));
    expect(prop(world, id, "net-AMST", "Gateway")).toBeUndefined();
    world.wait(60);
    expect(prop(world, id, "net-AMST", "Gateway")).toEqual({
      ipv4: "10.128.1.1",
      ipv4_subnet: "10.128.1.0/24",
    });
    const vm = () => world.graphOf(id).nodes.find((n) => n.props.Name === "one")?.props;
    expect(vm()?.MgmtIp).toBeUndefined();
    world.wait();
    expect(vm()?.MgmtIp).toMatch(/^2001:400:/);
    expect(prop(world, id, "one", "ReservationInfo")).toEqual({
      reservation_id: "id-1",
      reservation_state: "Active",
    });
  });

  it("keeps an advance reservation allocated until its start", () => {
    const world = new World();
    const id = world.create("a", fabnetSlice([one]), {
      start: start + 2 * hour,
      end: start + 40 * hour,
      lifetime: 24,
    });
    expect(world.wait(1000).stateOf(id)).toBe("AllocatedOK");
    expect(states(world, id)).toEqual(["Ticketed", "Ticketed"]);
    expect(world.wait(2 * hour).stateOf(id)).toBe("StableOK");
    expect(world.wait(24 * hour).stateOf(id)).toBe("Dead");
  });

  it("comes up in part when one sliver is refused, and says why only on the sliver", () => {
    const world = new World();
    const id = world.create("a", fabnetSlice([one, { name: "nowhere", site: "LOAS" }]));
    expect(world.wait().stateOf(id)).toBe("StableError");
    const slivers = sliverBodies(world.slice(id), world.now);
    expect(slivers.map((s) => s.state)).toEqual(["Active", "Failed", "Active", "Failed"]);
    expect(slivers[1]?.notice).toMatch(
      /is in state \(Failed,None_\), err=Unknown site LOAS requested for nowhere$/,
    );
    expect(slivers[3]?.notice).toMatch(
      /err=redeem predecessor reservation# id-2 is in a terminal state, failing the reservation# id-4$/,
    );
    expect(prop(world, id, "nowhere", "ReservationInfo")?.error_message).toBe(
      "Unknown site LOAS requested for nowhere",
    );
  });

  it("ends by itself when nothing came up, and with its lease", () => {
    const world = new World();
    const id = world.create("a", fabnetSlice([{ name: "nowhere", site: "LOAS" }]));
    expect(world.wait(60).stateOf(id)).toBe("Closing");
    expect(world.wait().stateOf(id)).toBe("Dead");
    const other = world.create("a", fabnetSlice([one]), { lifetime: 1 });
    expect(world.wait().stateOf(other)).toBe("StableOK");
    expect(world.wait(hour).stateOf(other)).toBe("Dead");
    expect(states(world, other)).toEqual(["Closed", "Closed"]);
  });
});

describe("names and owners", () => {
  it("refuses a name that lives, and takes it again once the slice closes", () => {
    const world = new World();
    const id = world.create("a", fabnetSlice([one]));
    const again = () => world.create("a", fabnetSlice([one], "u"));
    expect(refused(again)).toEqual({ status: 500, text: "Slice a already exists" });
    const other = new World(world.scenario, { ...ada, id: "user-2" });
    other.state = world.state;
    expect(refused(() => other.create("a", fabnetSlice([one], "v")))).toBe("not refused");
    world.wait().delete(id);
    expect(refused(again)).toBe("not refused");
  });

  it("does not delete other people's slices, nor its own before they are stable", () => {
    const world = new World();
    const id = world.create("a", fabnetSlice([one]));
    expect(world.delete(id)).toEqual([id]);
    expect(world.stateOf(id)).toBe("Nascent");
    world.wait();
    const other = new World(world.scenario, { ...ada, id: "user-2" });
    other.state = world.state;
    other.now = world.now;
    expect(refused(() => other.delete(id))).toEqual({ status: 404, text: `Slice# ${id} not found` });
    expect(world.delete()).toEqual([]);
    expect(world.stateOf(id)).toBe("Closing");
  });
});

describe("modify", () => {
  const base = fabnetSlice([one, two]);
  const up = () => {
    const world = new World();
    const id = world.create("a", base);
    return { world: world.wait(), id };
  };

  it("adds a node and a network, then wants to be accepted", () => {
    const { world, id } = up();
    const gateway = prop(world, id, "net-AMST", "Gateway");
    world.modify(id, joined(world.graphOf(id), fabnetSlice([one, two, { name: "three", site: "HAWI" }])));
    expect(world.stateOf(id)).toBe("Modifying");
    expect(refused(() => world.modify(id, world.graphOf(id)))).toMatchObject({
      text: `Unable to modify Slice# ${id} that is not yet stable, try again later`,
    });
    expect(world.wait().stateOf(id)).toBe("ModifyOK");
    expect(refused(() => world.modify(id, world.graphOf(id)))).toMatchObject({ status: 500 });
    world.accept(id);
    expect(world.stateOf(id)).toBe("StableOK");
    expect(prop(world, id, "net-AMST", "Gateway")).toEqual(gateway);
    expect(prop(world, id, "net-HAWI", "Gateway")?.ipv4_subnet).toBe("10.133.129.0/24");
  });

  it("drops what failed when it is accepted, and stays in error as the real one does", () => {
    const { world, id } = up();
    world.modify(id, joined(world.graphOf(id), fabnetSlice([one, two, { name: "three", site: "LOAS" }])));
    expect(world.wait().stateOf(id)).toBe("ModifyError");
    world.accept(id);
    expect(world.stateOf(id)).toBe("StableError");
    const names = world.graphOf(id).nodes.map((n) => n.props.Name);
    expect(names).toContain("one");
    expect(names.filter((n) => n?.includes("three") || n?.includes("LOAS"))).toEqual([]);
    world.renew(id, world.now + 48 * hour);
    expect(world.wait().stateOf(id)).toBe("StableOK");
  });

  it("removes a node: its slivers close and keep their last look", () => {
    const { world, id } = up();
    world.modify(id, joined(world.graphOf(id), fabnetSlice([one])));
    expect(world.wait().stateOf(id)).toBe("ModifyOK");
    const gone = sliverBodies(world.slice(id), world.now).filter((s) => s.state === "Closed");
    expect(gone.map((s) => (s.sliver as { Name: string }).Name)).toEqual(["two", "net-LOSA"]);
  });

  it("ignores size, image and site, and takes user data without a change of state", () => {
    const { world, id } = up();
    const sent = withProps(world.graphOf(id), "one", {
      Capacities: '{"core": 32}',
      ImageRef: "other,qcow2",
      UserData: '{"mark": 1}',
    });
    world.modify(id, sent);
    expect(world.stateOf(id)).toBe("StableOK");
    const vm = world.graphOf(id).nodes.find((n) => n.props.Name === "one")?.props;
    expect(vm).toMatchObject({ ImageRef: "default_ubuntu_22,qcow2", UserData: '{"mark": 1}' });
    expect(JSON.parse(vm?.Capacities ?? "")).toEqual({ core: 2, disk: 10, ram: 8 });
  });

  it("gives a running VM a component where its worker has one, else fails only that", () => {
    const scenario = parseScenario({
      sites: {
        AMST: {
          workers: [
            { cores: 8, ram: 64, disk: 1000, components: { "SharedNIC-ConnectX-6": 4, "GPU-A30": 1 } },
          ],
        },
      },
    });
    const world = new World(scenario);
    const id = world.create("a", fabnetSlice([one]));
    world.wait();
    const gpus = (n: number) =>
      fabnetSlice([{ ...one, components: Array.from({ length: n }, () => "GPU-A30") }]);
    world.modify(id, joined(world.graphOf(id), gpus(1)));
    expect(world.wait().stateOf(id)).toBe("ModifyOK");
    expect(prop(world, id, "one-c0", "LabelAllocations")?.bdf).toMatch(/^0000:/);
    world.accept(id);
    world.modify(id, joined(world.graphOf(id), gpus(2)));
    expect(world.wait().stateOf(id)).toBe("ModifyError");
    expect(states(world, id)).toEqual(["Active", "Active"]);
    expect(prop(world, id, "one-c1", "ReservationInfo")).toMatchObject({ reservation_state: "Failed" });
    world.accept(id);
    expect(world.graphOf(id).nodes.map((n) => n.props.Name)).not.toContain("one-c1");
    // taken away again, it is free again
    world.renew(id, world.now + 48 * hour);
    world.wait().modify(id, joined(world.graphOf(id), fabnetSlice([one])));
    expect(freeCapacity(scenario, world.state, { now: world.now })[0]?.components["GPU-A30"]).toEqual({
      total: 1,
      free: 1,
    });
  });

  it("joins a new VM to a network that is there and moves no address", () => {
    const world = new World();
    const graph = (names: readonly string[]) => fabnetSlice(names.map((name) => ({ name, site: "AMST" })));
    const id = world.create("a", graph(["n1", "n2", "n3"]));
    const address = (name: string) =>
      prop(world.wait(), id, `${name}-${name}-nic-p1`, "LabelAllocations")?.ipv4;
    const before = ["n1", "n2", "n3"].map(address);
    expect(before).toEqual(["10.128.1.2", "10.128.1.3", "10.128.1.4"]);
    world.modify(id, joined(world.graphOf(id), graph(["n1", "n3"])));
    world.wait().accept(id);
    expect([address("n1"), address("n3")]).toEqual(["10.128.1.2", "10.128.1.4"]);
    world.modify(id, joined(world.graphOf(id), graph(["n0", "n1", "n3"])));
    world.wait().accept(id);
    expect([address("n0"), address("n1"), address("n3")]).toEqual(["10.128.1.3", "10.128.1.2", "10.128.1.4"]);
    const mac = prop(world, id, "n0-nic-p1", "LabelAllocations")?.mac;
    expect(prop(world, id, "n0-n0-nic-p1", "Labels")?.mac).toBe(mac);
  });

  it("stumbles over a graph without the reservations, as the real one does", () => {
    const { world, id } = up();
    expect(refused(() => world.modify(id, base))).toEqual({
      status: 500,
      text: "'NoneType' object has no attribute 'reservation_id'",
    });
  });
});

describe("leases", () => {
  it("are cut to 15 days, or 26 weeks with the right", () => {
    const world = new World();
    const id = world.create("a", fabnetSlice([one]), { lifetime: 10_000 });
    expect(world.slice(id).leaseEnd - start).toBe(15 * 24 * hour);
    const long = new World(world.scenario, { ...ada, tags: [...ada.tags, "Slice.NoLimitLifetime"] });
    const other = long.create("a", fabnetSlice([one]), { lifetime: 10_000 });
    expect(long.slice(other).leaseEnd - start).toBe(26 * 7 * 24 * hour);
  });

  it("cannot be shortened; the same end changes nothing", () => {
    const world = new World();
    const id = world.create("a", fabnetSlice([one]), { lifetime: 48 });
    world.wait();
    expect(refused(() => world.renew(id, world.now + hour))).toEqual({
      status: 500,
      text: "Attempted new term end time is shorter than current slice end time",
    });
    world.renew(id, Math.floor((start + 48 * hour) / 1000) * 1000);
    expect(world.stateOf(id)).toBe("StableOK");
    world.renew(id, start + 72 * hour);
    expect(world.stateOf(id)).toBe("Configuring");
    expect(states(world, id)).toEqual(["ActiveTicketed", "ActiveTicketed"]);
  });
});

describe("room at a site", () => {
  const scenario = parseScenario({
    sites: {
      AMST: { workers: [{ cores: 4, ram: 32, disk: 500, components: { "SharedNIC-ConnectX-6": 9 } }] },
      LOSA: {
        workers: [{ cores: 4, ram: 32, disk: 500, components: { "SharedNIC-ConnectX-6": 1 } }],
        maintenance: true,
      },
    },
  });

  it("runs out of cores with the broker's words; a closed slice gives them back", () => {
    const world = new World(scenario);
    const id = world.create("a", fabnetSlice([one, { ...one, name: "other" }, { ...one, name: "third" }]));
    world.wait();
    expect(prop(world, id, "third", "ReservationInfo")?.error_message).toBe(
      "Insufficient resources : ['core']",
    );
    expect(freeCapacity(scenario, world.state, { now: world.now })[0]?.cores).toEqual({ total: 4, free: 0 });
    expect(freeCapacity(scenario, world.state, { now: world.now, without: id })[0]?.cores).toEqual({
      total: 4,
      free: 4,
    });
    world.delete(id);
    expect(freeCapacity(scenario, world.state, { now: world.now })[0]?.cores).toEqual({ total: 4, free: 4 });
  });

  it("has no host for a component that no worker has, nor for a host that is not there", () => {
    const world = new World(scenario);
    const graph = new GraphBuilder()
      .node({ ...one, components: ["GPU-A30"] })
      .node({ name: "pinned", site: "AMST" }, { Labels: '{"instance_parent": "elsewhere"}' })
      .node({ name: "fine", site: "AMST" })
      .build();
    const id = world.create("a", graph);
    world.wait();
    const none = "Insufficient resources: No hosts available to provision the";
    expect(prop(world, id, "one", "ReservationInfo")?.error_message).toBe(`${none} one`);
    expect(prop(world, id, "pinned", "ReservationInfo")?.error_message).toBe(`${none} pinned`);
    expect(world.stateOf(id)).toBe("StableError");
  });

  it("takes nothing at a site or a testbed in maintenance", () => {
    expect(refused(() => new World(scenario).create("a", fabnetSlice([two])))).toEqual({
      status: 500,
      text: "Site LOSA is in maintenance",
    });
    expect(
      refused(() => new World(parseScenario({ maintenance: true })).create("a", fabnetSlice([one]))),
    ).toEqual({
      status: 500,
      text: "Testbed is in maintenance mode: Create, Modify and Renew Slice(s) are disabled!",
    });
  });

  it("gives the subnet asked for when it is free, another without a word when not", () => {
    const world = new World();
    const asking = (seed: string) =>
      new GraphBuilder(seed)
        .node(one)
        .network({
          name: "net",
          nodes: ["one"],
          props: { Gateway: '{"ipv4": "10.128.9.1", "ipv4_subnet": "10.128.9.0/24"}' },
        })
        .build();
    const ids = ["a1", "b2"].map((name) => world.create(name, asking(name)));
    world.wait();
    expect(ids.map((id) => prop(world, id, "net", "Gateway")?.ipv4_subnet)).toEqual([
      "10.128.9.0/24",
      "10.128.1.0/24",
    ]);
    // a network of one site gets that site's name on create
    expect(world.graphOf(ids[0] ?? "").nodes.find((n) => n.props.Name === "net")?.props.Site).toBe("AMST");
  });

  it("refuses what cannot be made at all", () => {
    const world = new World();
    const without = withProps(fabnetSlice([one]), "one", {});
    const bare = {
      ...without,
      nodes: without.nodes.map((n) => ({
        ...n,
        props: Object.fromEntries(Object.entries(n.props).filter(([k]) => k !== "Capacities")),
      })),
    };
    expect(refused(() => world.create("abc", bare))).toEqual({
      status: 400,
      text: "Either Capacity or Capacity Hints must be specified!",
    });
    const multisite = new GraphBuilder()
      .node(one)
      .network({ name: "net", type: "L2Multisite", nodes: ["one"] })
      .build();
    expect(refused(() => world.create("abc", multisite))).toEqual({ status: 400, text: "Not implemented" });
  });

  it("keeps graphs readable after all this", () => {
    const world = new World();
    const id = world.create("a", fabnetSlice([one, two]));
    const graph = world.wait().graphOf(id);
    expect(readGraphml(writeGraphml(graph))).toEqual(graph);
  });
});
