import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { applyChange } from "../../../infra/fabric/apply-change.js";
import { elementIds } from "../../../infra/fabric/element-ids.js";
import { readGraphml, writeGraphml } from "../../../infra/fabric/graphml.js";
import { fabricTime, parseFabricTime } from "../../../infra/fabric/lease.js";
import { SliceWatch } from "../../../infra/fabric/slice-watch.js";
import { parseSliceSpec } from "../../../infra/fabric/spec.js";
import { planTopology } from "../../../infra/fabric/topology.js";
import { toGraph } from "../../../infra/fabric/topology-graph.js";
import { InfraError } from "../../../infra/problem.js";
import { EmulatedFabric, quick } from "../../support/emulated-fabric.js";
import { codeOf, instead, keeper, killedAt, lost, mark, withNode } from "../../support/kept-slice.js";
import { paperSlice } from "../../support/paper-slice.js";

let fabric: EmulatedFabric;
beforeEach(async () => {
  fabric = await EmulatedFabric.start();
});
afterEach(async () => fabric.stop());

describe("waiting", () => {
  it("tells how far the slice is, by sliver", async () => {
    await fabric.stop();
    fabric = await EmulatedFabric.start({ delays: { ...quick, configure: 1000 } });
    const graph = writeGraphml(toGraph(planTopology(paperSlice), mark, elementIds(mark.id)));
    const leaseEnd = fabricTime(new Date(Date.now() + 86_400_000));
    const [made] = await fabric.api.createSlice({
      name: "p-dev",
      graph,
      sshKeys: ["ssh-ed25519 A"],
      leaseEnd,
    });
    const lines: string[] = [];
    const watch = new SliceWatch(fabric.api, (line) => lines.push(line), { quietMs: 0, betweenMs: 0 });
    expect((await watch.settled(made?.sliceId ?? "", 60)).state).toBe("StableOK");
    expect(lines.join("\n")).toMatch(
      /slice p-dev is Configuring: \d of 9 up, waiting for \w+ \((Nascent|Ticketed)\)/,
    );
    expect(new Set(lines).size).toBe(lines.length);
  });
});

describe("a change", () => {
  const wider = withNode(paperSlice, "clientfour", { site: "HAWI" });

  it("waits while FABRIC says that the slice is not yet stable", async () => {
    const made = await keeper(fabric).create(paperSlice);
    let refusals = 2;
    const unstable = new InfraError({ code: "FAB-UNSTABLE", message: "not yet stable, try again later" });
    const api = instead(fabric, "modify", async (id, graph) => {
      if (refusals-- > 0) throw unstable;
      await fabric.api.modify(id, graph);
    });
    const kept = await keeper(fabric, { api }).update(made.id, paperSlice, wider);
    expect([kept.state, kept.failures, refusals]).toEqual(["StableOK", [], -1]);
    expect(kept.view.nodes.map((n) => n.name)).toContain("clientfour");
  });

  it("that another's change precedes is made once that is done", async () => {
    await fabric.stop();
    fabric = await EmulatedFabric.start({ delays: { ...quick, modify: 1500 } });
    const made = await keeper(fabric).create(paperSlice);
    const { model = "" } = await fabric.api.slice(made.id);
    const ids = elementIds(mark.id);
    await fabric.api.modify(
      made.id,
      writeGraphml(applyChange(readGraphml(model), wider, { mark, ids }).graph),
    );
    const both = withNode(wider, "clientfive", { site: "HAWI" });
    const kept = await keeper(fabric).update(made.id, wider, both);
    expect([kept.state, kept.failures]).toEqual(["StableOK", []]);
    expect(kept.view.nodes.map((n) => n.name)).toEqual(expect.arrayContaining(["clientfour", "clientfive"]));
  });

  it("that worked although it was not answered goes on; one that did not is told", async () => {
    const made = await keeper(fabric).create(paperSlice);
    const worked = instead(fabric, "modify", async (id, graph) => {
      await fabric.api.modify(id, graph);
      throw lost;
    });
    const kept = await keeper(fabric, { api: worked }).update(made.id, paperSlice, wider);
    expect([kept.state, kept.failures]).toEqual(["StableOK", []]);
    const unsent = instead(fabric, "modify", async () => Promise.reject(lost));
    expect(await codeOf(keeper(fabric, { api: unsent }).update(made.id, wider, paperSlice))).toBe(
      "FAB-UNREACHABLE",
    );
    expect((await fabric.api.slice(made.id)).model).toContain("clientfour");
  });

  it("may be any mix: nodes come, go, are replaced and get a device, in one modify", async () => {
    const made = await keeper(fabric).create(paperSlice);
    let modifies = 0;
    const api = instead(fabric, "modify", async (id, graph) => {
      modifies++;
      await fabric.api.modify(id, graph);
    });
    const { clientthree: _, ...rest } = paperSlice.nodes;
    const spec = parseSliceSpec({
      ...paperSlice,
      nodes: {
        ...rest,
        clientfour: { site: "HAWI" },
        core: { site: "AMST", cores: 8 },
        server: { site: "AMST", userData: { role: "server" } },
        clienttwo: { site: "LOSA", components: ["NVME_P4510"] },
      },
    });
    const kept = await keeper(fabric, { api }).update(made.id, paperSlice, spec);
    expect([kept.state, kept.failures, modifies]).toEqual(["StableOK", [], 1]);
    const was = new Map(made.view.nodes.map((n) => [n.name, n.nodeId]));
    const same = kept.view.nodes.filter((n) => was.get(n.name) === n.nodeId).map((n) => n.name);
    expect(same).toEqual(["clientone", "clienttwo", "control", "server"]);
    expect(kept.view.nodes.find((n) => n.name === "clienttwo")?.components).toEqual(["NVME_P4510"]);
    expect(kept.view.networks.map((n) => n.site)).toEqual(["AMST", "HAWI", "LOSA"]);
    expect((await keeper(fabric, { api }).update(made.id, spec, spec)).view).toEqual(kept.view);
    expect(modifies).toBe(1);
  });
});

describe("a lease", () => {
  const hour = 3_600_000;
  const at = (ms: number) => ({ now: () => new Date(Date.now() + ms) });
  const spec = { ...paperSlice, lease: "4d" };
  const endOf = (text = "") => parseFabricTime(text)?.getTime() ?? 0;

  it("is renewed by a change, or by renew, when its end is near, and not before", async () => {
    const made = await keeper(fabric).create(spec);
    const early = await keeper(fabric, at(47 * hour)).update(made.id, spec, spec);
    expect(early.leaseEnd).toBe(made.leaseEnd);
    const late = await keeper(fabric, at(49 * hour)).update(made.id, spec, spec);
    expect((endOf(late.leaseEnd) - endOf(made.leaseEnd)) / hour).toBeCloseTo(49, 1);
    const none = await keeper(fabric, at(49 * hour)).renew(made.id, spec);
    expect([none.renewed, none.leaseEnd?.getTime()]).toEqual([false, endOf(late.leaseEnd)]);
    const forced = await keeper(fabric, at(50 * hour)).renew(made.id, spec, { now: true });
    expect(forced.renewed).toBe(true);
    expect(((forced.leaseEnd?.getTime() ?? 0) - endOf(late.leaseEnd)) / hour).toBeCloseTo(1, 1);
    const sooner = await keeper(fabric, at(50 * hour)).renew(made.id, { ...spec, renewWithin: "3d" });
    expect(sooner.renewed).toBe(false);
  });

  it("is renewed after a modify that nobody accepted, which is accepted first", async () => {
    const made = await keeper(fabric).create(spec);
    const wider = withNode(spec, "clientfour", { site: "HAWI" });
    await expect(
      keeper(fabric, { api: killedAt(fabric, "accept") }).update(made.id, spec, wider),
    ).rejects.toThrow("killed");
    expect((await keeper(fabric, at(hour)).renew(made.id, spec, { now: true })).renewed).toBe(true);
    const kept = await keeper(fabric).read(made.id);
    expect([kept?.state, kept?.failures]).toEqual(["StableOK", []]);
    expect(kept?.view.nodes.map((n) => n.name)).toContain("clientfour");
  });

  it("that FABRIC cut is told of", async () => {
    const long = { ...paperSlice, lease: "20d" };
    const made = await keeper(fabric).create(long);
    expect(made.notes?.join()).toMatch(/^FABRIC cut the lease to .*; .* was asked for$/);
    expect(made.failures).toEqual([]);
  });

  it("that was renewed although it was not answered, or by another at the same time, is fine", async () => {
    const made = await keeper(fabric).create(spec);
    const api = instead(fabric, "renew", async (id, end) => {
      await fabric.api.renew(id, end);
      throw lost;
    });
    expect((await keeper(fabric, { api, ...at(hour) }).renew(made.id, spec, { now: true })).renewed).toBe(
      true,
    );
    const race = instead(fabric, "renew", async (id, end) => {
      await fabric.api.renew(id, fabricTime(new Date(endOf(end) + hour)));
      await fabric.api.renew(id, end);
    });
    const raced = await keeper(fabric, { api: race, ...at(2 * hour) }).renew(made.id, spec, { now: true });
    expect(raced.renewed).toBe(true);
    const unsent = instead(fabric, "renew", async () => Promise.reject(lost));
    const later = keeper(fabric, { api: unsent, ...at(9 * hour) });
    expect(await codeOf(later.renew(made.id, spec, { now: true }))).toBe("FAB-UNREACHABLE");
  });
});

describe("what FABRIC cannot give", () => {
  it("a device: its node stays, the reason is told, and the same change again makes it once there is one", async () => {
    await fabric.stop();
    const worker = {
      ...{ cores: 32, ram: 128, disk: 500 },
      components: { "SharedNIC-ConnectX-6": 10, "GPU-A30": 1 },
    };
    fabric = await EmulatedFabric.start({ sites: { AMST: { workers: [worker] } } });
    const other = keeper(fabric, { mark: { ...mark, id: "mark-2" } });
    const gpu = { site: "AMST", components: ["GPU_A30"] };
    const blocker = await other.create(parseSliceSpec({ name: "p-other", nodes: { xx: gpu } }));
    const spec = parseSliceSpec({ name: "p-dev", nodes: { aa: { site: "AMST" }, bb: { site: "AMST" } } });
    const made = await keeper(fabric).create(spec);
    const before = await fabric.api.slivers(made.id);
    const wanted = withNode(spec, "aa", gpu);
    const partly = await keeper(fabric).update(made.id, spec, wanted);
    expect(partly.failures).toEqual([expect.stringMatching(/^aa: .*Component not available/)]);
    await other.delete(blocker.id);
    const whole = await keeper(fabric).update(made.id, spec, wanted);
    expect([whole.failures, whole.state]).toEqual([[], "StableOK"]);
    expect(whole.view.nodes.map((n) => [n.name, n.components])).toEqual([
      ["aa", ["GPU_A30"]],
      ["bb", []],
    ]);
    const after = new Map((await fabric.api.slivers(made.id)).map((s) => [s.sliverId, s.state]));
    expect(before.map((s) => after.get(s.sliverId))).toEqual(before.map(() => "Active"));
  });

  it("what is given up again: the slice is well, whatever FABRIC calls its state", async () => {
    await fabric.stop();
    const worker = { cores: 8, ram: 64, disk: 500, components: { "SharedNIC-ConnectX-6": 10 } };
    fabric = await EmulatedFabric.start({ sites: { AMST: { workers: [worker] } } });
    const spec = parseSliceSpec({ name: "p-dev", nodes: { aa: { site: "AMST" } } });
    const made = await keeper(fabric).create(spec);
    const tooMuch = withNode(spec, "bb", { site: "AMST", cores: 16 });
    const partly = await keeper(fabric).update(made.id, spec, tooMuch);
    expect(partly.failures.join()).toMatch(/bb: /);
    const back = await keeper(fabric).update(made.id, tooMuch, spec);
    expect(back.failures).toEqual([]);
    expect(back.view.nodes.map((n) => n.name)).toEqual(["aa"]);
  });

  it("a node without room: the rest is up, the reason is FABRIC's, and the next change completes it", async () => {
    await fabric.stop();
    const worker = { cores: 8, ram: 64, disk: 500, components: { "SharedNIC-ConnectX-6": 10 } };
    fabric = await EmulatedFabric.start({
      sites: { AMST: { workers: [worker] }, LOSA: { workers: [worker] } },
    });
    const spec = parseSliceSpec({
      name: "p-dev",
      nodes: { aa: { site: "AMST" }, bb: { site: "LOSA", cores: 12 } },
    });
    const partly = await keeper(fabric).create(spec);
    expect(partly.state).toBe("StableError");
    expect(partly.failures[0]).toMatch(/^bb: Insufficient resources/);
    const active = async () =>
      (await fabric.api.slivers(partly.id)).filter((s) => s.state === "Active").map((s) => s.sliverId);
    const untouched = await active();
    const smaller = withNode(spec, "bb", { site: "LOSA", cores: 4 });
    const whole = await keeper(fabric).update(partly.id, spec, smaller);
    expect(whole.failures).toEqual([]);
    expect(whole.state).toBe("StableOK");
    expect(whole.view.nodes.map((n) => [n.name, n.cores, n.reservation.state])).toEqual([
      ["aa", 4, "Active"],
      ["bb", 4, "Active"],
    ]);
    expect(untouched.length).toBeGreaterThan(0);
    expect(await active()).toEqual(expect.arrayContaining(untouched));
  });

  it("a node without room in a change: told with the reason, and made anew by the same change again once there is room", async () => {
    await fabric.stop();
    const worker = { cores: 8, ram: 64, disk: 500, components: { "SharedNIC-ConnectX-6": 10 } };
    fabric = await EmulatedFabric.start({
      sites: { AMST: { workers: [worker] }, LOSA: { workers: [worker] } },
    });
    const blocker = parseSliceSpec({ name: "p-other", nodes: { xx: { site: "LOSA", cores: 8 } } });
    const other = await keeper(fabric, { mark: { ...mark, id: "mark-2" } }).create(blocker);
    const spec = parseSliceSpec({ name: "p-dev", nodes: { aa: { site: "AMST" } } });
    const made = await keeper(fabric).create(spec);
    const wider = withNode(spec, "bb", { site: "LOSA" });
    const partly = await keeper(fabric).update(made.id, spec, wider);
    expect(partly.failures.join()).toMatch(/bb: /);
    await keeper(fabric, { mark: { ...mark, id: "mark-2" } }).delete(other.id);
    const whole = await keeper(fabric).update(made.id, spec, wider);
    expect(whole.failures).toEqual([]);
    expect(whole.view.nodes.map((n) => [n.name, n.reservation.state])).toEqual([
      ["aa", "Active"],
      ["bb", "Active"],
    ]);
    expect(whole.view.networks.map((n) => n.site)).toEqual(["AMST", "LOSA"]);
  });

  it("a lease beyond the project's rights is refused before anything is made", async () => {
    expect(
      await codeOf(keeper(fabric, { tags: ["VM.NoLimit"] }).create({ ...paperSlice, lease: "20d" })),
    ).toBe("FAB-LEASE-TOO-LONG");
    expect(await fabric.api.slices()).toEqual([]);
  });

  it("an answer: said so, with nothing known to have changed", async () => {
    const made = await keeper(fabric).create(paperSlice);
    await fabric.stop();
    expect(await codeOf(keeper(fabric).read(made.id))).toBe("FAB-UNREACHABLE");
    expect(await codeOf(keeper(fabric).create(paperSlice))).toBe("FAB-UNREACHABLE");
  });
});
