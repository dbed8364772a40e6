import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  loopbackRange,
  managementRange,
  sharedLoopback,
  withAddresses,
} from "../../../infra/fabric/emulator/hosts-addresses.js";
import { nextChange, planHosts } from "../../../infra/fabric/emulator/hosts-plan.js";
import { macOf } from "../../../infra/fabric/emulator/place.js";
import { fromGraph } from "../../../infra/fabric/slice-view.js";
import { fabnetSlice, GraphBuilder, joined, withProps } from "./graphs.js";
import { World } from "./world.js";

const two = fabnetSlice([
  { name: "one", site: "AMST" },
  { name: "two", site: "LOSA" },
]);
const nodeNamed = (name: string) => ({ name, site: "AMST" });
const plan = (world: World) => planHosts(world.state, world.now);
const names = (world: World) => plan(world).hosts.map((h) => h.name);

describe("planHosts", () => {
  it("has a host for each VM from the moment it is active until it closes, and says when to look again", () => {
    const world = new World();
    const id = world.create("life", two);
    const seen: string[][] = [names(world)];
    // as the manager does it: asleep until the plan may differ
    for (let at = nextChange(world.state, world.now); at !== undefined && at < world.slice(id).leaseEnd; ) {
      world.now = at;
      seen.push(names(world));
      at = nextChange(world.state, world.now);
    }
    expect(seen[0]).toEqual([]);
    expect(seen.at(-1)).toEqual(["one", "two"]);
    expect(nextChange(world.state, world.now)).toBe(world.slice(id).leaseEnd);
    world.now = world.slice(id).leaseEnd;
    expect(plan(world)).toEqual({ hosts: [], networks: [] });
  });

  it("tells what FABRIC's graph tells: address, keys, cards by their MAC, networks by their gateway", () => {
    const world = new World();
    const id = world.create("facts", withProps(two, "two", { ImageRef: "default_rocky_8,qcow2" }));
    world.wait();
    const view = fromGraph(world.graphOf(id));
    const { hosts, networks } = plan(world);
    for (const node of view.nodes) {
      const host = hosts.find((h) => h.name === node.name);
      expect(host).toMatchObject({
        id: node.reservation.id,
        address: node.managementIp,
        login: node.name === "two" ? "rocky" : "ubuntu",
        keys: ["ssh-ed25519 AAAA"],
        cards: [{ mac: node.mac?.toLowerCase() }],
      });
      const network = view.networks.find((n) => n.nodes.includes(node.name));
      const planned = networks.find((n) => n.id === host?.cards[0]?.network);
      expect(planned).toMatchObject({ name: network?.name, gateways: [`${network?.gateway}/24`] });
    }
  });

  it("leaves a running node as it is when another comes or goes, and makes another host of one that was replaced", () => {
    const world = new World();
    const id = world.create("change", two);
    world.wait();
    const before = plan(world).hosts;
    world.modify(id, joined(world.graphOf(id), fabnetSlice([nodeNamed("one"), nodeNamed("three")])));
    world.wait();
    world.accept(id);
    const after = plan(world).hosts;
    expect(after.map((h) => h.name)).toEqual(["one", "three"]);
    expect(after[0]).toEqual(before[0]);
    expect(after[1]?.id).not.toBe(before[1]?.id);
  });

  it("counts a reboot by the call that asked for it", () => {
    const world = new World();
    const id = world.create("boot", two);
    world.wait();
    const sliver = plan(world).hosts[0]?.id ?? "";
    const poa = { sliverId: sliver, sliceId: id, projectId: "p", at: world.now, doneAt: world.now };
    world.state = {
      ...world.state,
      poas: [
        { ...poa, id: "first", operation: "reboot" },
        { ...poa, id: "x", operation: "cpuinfo" },
      ],
    };
    expect(plan(world).hosts.map((h) => h.reboot)).toEqual(["first", undefined]);
  });

  it("has one network for services that share a subnet, and none with an address for layer 2", () => {
    const world = new World();
    const graph = new GraphBuilder()
      .node({ name: "aa", site: "AMST" })
      .node({ name: "bb", site: "AMST" })
      .node({ name: "cc", site: "AMST" })
      .network({ name: "out1", type: "FABNetv4Ext", site: "AMST", nodes: ["aa"] })
      .network({ name: "out2", type: "FABNetv4Ext", site: "AMST", nodes: ["bb"] })
      .network({ name: "flat", type: "L2Bridge", site: "AMST", nodes: ["cc"] })
      .build();
    const tags = [...world.who.tags, "Net.FABNetv4Ext"];
    const rich = new World(world.scenario, { ...world.who, tags });
    rich.create("shared", graph);
    rich.wait();
    const { hosts, networks } = plan(rich);
    expect(networks.map((n) => [n.name, n.gateways.length])).toEqual([
      ["out1", 1],
      ["flat", 0],
    ]);
    const on = hosts.map((h) => networks.find((n) => n.id === h.cards[0]?.network)?.name);
    expect(on).toEqual(["out1", "out1", "flat"]);
  });

  it("has no host for a node that failed", () => {
    const world = new World();
    world.create(
      "full",
      fabnetSlice([{ name: "huge", site: "AMST", components: ["GPU-NONE"] }, nodeNamed("fine")]),
    );
    world.wait();
    expect(names(world)).toEqual(["fine"]);
  });
});

describe("withAddresses", () => {
  const range = loopbackRange("/somewhere");

  it("gives each living node an address of its own that stays, whatever comes and goes", () => {
    const step = fc.uniqueArray(fc.constantFrom("n0", "n1", "n2", "n3", "n4", "n5"), { minLength: 1 });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 5 }), (steps) => {
        const world = new World();
        let id: string | undefined;
        let before = new Map<string, string>();
        for (const wanted of steps) {
          const graph = fabnetSlice(wanted.map(nodeNamed));
          if (id === undefined) id = world.create("walk", graph);
          else world.modify(id, joined(world.graphOf(id), graph));
          world.state = withAddresses(world.state, range);
          expect(withAddresses(world.state, range)).toBe(world.state);
          world.wait();
          if (world.stateOf(id) === "ModifyOK") world.accept(id);
          const hosts = plan(world).hosts;
          expect(hosts.map((h) => h.name).sort()).toEqual([...wanted].sort());
          expect(new Set(hosts.map((h) => h.address)).size).toBe(hosts.length);
          for (const host of hosts) {
            expect(range.has(host.address)).toBe(true);
            expect(before.get(host.id) ?? host.address).toBe(host.address);
          }
          before = new Map(hosts.map((h) => [h.id, h.address]));
        }
      }),
      { numRuns: 20 },
    );
  });

  it("moves nodes that another kind of hosts had addressed, and leaves them where there are none", () => {
    const world = new World();
    world.create("moved", two);
    world.wait();
    const granted = plan(world).hosts.map((h) => h.address);
    expect(withAddresses(world.state, undefined)).toBe(world.state);
    const addresses = (scheme: Parameters<typeof withAddresses>[1]) =>
      planHosts(withAddresses(world.state, scheme), world.now).hosts.map((h) => h.address);
    expect(granted.every((a) => a.startsWith("2001:400:a100:"))).toBe(true);
    expect(addresses("shared")).toEqual([sharedLoopback, sharedLoopback]);
    expect(addresses(managementRange)).toEqual(["198.18.0.2", "198.18.0.3"]);
    expect(addresses(range).every(range.has)).toBe(true);
  });

  it("never gives the bastion's address, nor one that is no host's, and comes to an end", () => {
    for (const some of [managementRange, range]) {
      const all: string[] = [];
      for (let n = 0, a = some.address(0); a !== undefined; a = some.address(++n)) all.push(a);
      expect(new Set(all).size).toBe(all.length);
      expect(all).not.toContain(some.bastion);
      expect(some.has(some.bastion)).toBe(false);
      expect(all.filter((a) => !some.has(a) || /\.(0|255)$/.test(a))).toEqual([]);
      expect(all.length).toBeGreaterThan(4000);
    }
    expect(range.bastion).toMatch(/^127\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.\d+\.1$/);
    expect(loopbackRange("/elsewhere").bastion).not.toBe(range.bastion);
    expect(range.has(macOf("x"))).toBe(false);
  });
});
