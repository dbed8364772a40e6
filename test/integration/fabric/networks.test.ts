import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SliceKeeper } from "../../../infra/fabric/slice-keeper.js";
import { parseSliceSpec, type SliceSpec } from "../../../infra/fabric/spec.js";
import { EmulatedFabric } from "../../support/emulated-fabric.js";

const mark = { project: "dynamos-fabric", stack: "dev", id: "mark-1" };
let fabric: EmulatedFabric;
let keeper: SliceKeeper;
beforeAll(async () => {
  fabric = await EmulatedFabric.start();
  keeper = new SliceKeeper({ api: fabric.api, mark, sshKeys: () => ["ssh-ed25519 AAAA test"] });
});
afterAll(async () => fabric.stop());

const fast = { nics: { fast: "NIC_ConnectX_6" } };
const slice = (networks: object, left: object = fast): SliceSpec =>
  parseSliceSpec({
    name: "networks",
    nodes: {
      left: { site: "AMST", instanceType: "fabric.c2.m8.d10", bootScript: "echo hi", ...left },
      right: { site: "LOSA", storage: ["vol"], ...fast },
    },
    networks,
  });
const end = (node: string, vlan: number) => ({ node, nic: "fast", vlan });
const direct = (vlan: number) => ({
  type: "L2PTP",
  interfaces: [end("left", vlan), end("right", vlan)],
});
const six = { type: "FABNetv6", interfaces: [{ node: "left" }] };

describe("a slice with networks of all kinds, on the emulator", () => {
  it("comes up, changes in one modify, loses a network, and keeps ids of what stays", async () => {
    const first = slice({ direct: direct(100), six });
    const made = await keeper.create(first);
    expect(made.failures).toEqual([]);
    const seen = (kept: typeof made) => kept.view.services.map((s) => [s.name, s.type, s.reservation.state]);
    expect(seen(made)).toEqual([
      ["direct", "L2PTP", "Active"],
      ["six", "FABNetv6", "Active"],
    ]);
    expect(made.view.nodes[0]).toMatchObject({ instanceType: "fabric.c2.m8.d10", bootScript: "echo hi" });

    const bridge = { type: "L2Bridge", interfaces: [{ node: "left", nic: "fast", port: 2 }] };
    const second = slice({ direct: direct(200), bridge });
    const changed = await keeper.update(made.id, first, second);
    expect(changed.failures).toEqual([]);
    expect(seen(changed)).toEqual([
      ["bridge", "L2Bridge", "Active"],
      ["direct", "L2PTP", "Active"],
    ]);
    expect(changed.view.services[1]?.nodeId).toBe(made.view.services[0]?.nodeId);
    expect(changed.view.services[1]?.interfaces.map((i) => i.vlan)).toEqual([200, 200]);
    expect(changed.view.nodes.map((n) => n.nodeId)).toEqual(made.view.nodes.map((n) => n.nodeId));

    const third = slice({}, { nics: {} });
    const bare = await keeper.update(made.id, second, third);
    expect(seen(bare)).toEqual([]);
    expect(bare.view.nodes[0]).not.toHaveProperty("nics");
    await keeper.delete(made.id);
  }, 120_000);

  it("takes a node off its site's network and puts it on again, the machine staying", async () => {
    const of = (left: object, right: object) =>
      parseSliceSpec({
        name: "leaving",
        nodes: {
          left: { site: "AMST", nics: { fast: "NIC_Basic" }, ...left },
          right: { site: "LOSA", ...right },
        },
        networks: { lan: { type: "FABNetv4", interfaces: [{ node: "left", nic: "fast" }] } },
      });
    const off = { siteNetwork: false };
    const seen = (kept: Awaited<ReturnType<typeof keeper.create>>) =>
      kept.view.nodes.map((n) => [n.name, n.network, n.dataAddress !== undefined, n.mac !== undefined]);
    const networks = (kept: Awaited<ReturnType<typeof keeper.create>>) =>
      kept.view.networks.map((n) => [n.name, n.reservation.state, n.nodes]);

    const first = of(off, off);
    const made = await keeper.create(first);
    expect(made.failures).toEqual([]);
    expect(seen(made)).toEqual([
      ["left", undefined, false, false],
      ["right", undefined, false, false],
    ]);
    expect(networks(made)).toEqual([["lan", "Active", ["left"]]]);

    const second = of({}, {});
    const joined = await keeper.update(made.id, first, second);
    expect(joined.failures).toEqual([]);
    expect(seen(joined)).toEqual([
      ["left", "net-amst", true, true],
      ["right", "net-losa", true, true],
    ]);
    expect(networks(joined)).toEqual([
      ["lan", "Active", ["left"]],
      ["net-amst", "Active", ["left"]],
      ["net-losa", "Active", ["right"]],
    ]);

    const third = of({}, off);
    const left = await keeper.update(made.id, second, third);
    expect(left.failures).toEqual([]);
    expect(seen(left)).toEqual([
      ["left", "net-amst", true, true],
      ["right", undefined, false, false],
    ]);
    expect(networks(left).map(([name]) => name)).toEqual(["lan", "net-amst"]);
    for (const kept of [joined, left])
      expect(kept.view.nodes.map((n) => n.nodeId)).toEqual(made.view.nodes.map((n) => n.nodeId));
    const model = (await fabric.api.slice(made.id)).model;
    await keeper.update(made.id, third, third);
    expect((await fabric.api.slice(made.id)).model).toBe(model);
    await keeper.delete(made.id);
  }, 120_000);
});
