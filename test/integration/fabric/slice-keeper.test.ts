import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readGraphml, writeGraphml } from "../../../infra/fabric/graphml.js";
import { subnetsOf } from "../../../infra/fabric/slice-view.js";
import { parseSliceSpec } from "../../../infra/fabric/spec.js";
import { planTopology } from "../../../infra/fabric/topology.js";
import { InfraError } from "../../../infra/problem.js";
import { EmulatedFabric, quick } from "../../support/emulated-fabric.js";
import { bound, codeOf, instead, keeper, killedAt, lost, mark, withNode } from "../../support/kept-slice.js";
import { paperSlice } from "../../support/paper-slice.js";

let fabric: EmulatedFabric;
beforeEach(async () => {
  fabric = await EmulatedFabric.start();
});
afterEach(async () => fabric.stop());

describe("a slice", () => {
  it("is made with all its nodes and networks up, each node with an address of its site's subnet", async () => {
    const kept = await keeper(fabric).create(paperSlice);
    expect(kept.state).toBe("StableOK");
    expect(kept.failures).toEqual([]);
    expect(kept.view.mark).toEqual(mark);
    expect(kept.view.nodes.map((n) => n.name)).toEqual(planTopology(paperSlice).nodes.map((n) => n.name));
    const subnets = subnetsOf(kept.view);
    expect(Object.keys(subnets).sort()).toEqual(["AMST", "LOSA", "TOKY"]);
    for (const n of kept.view.nodes) {
      const prefix = subnets[n.site]?.subnet.replace(/\.0\/24$/, ".") ?? "none";
      expect(n.dataAddress?.startsWith(prefix)).toBe(true);
      expect(n.managementIp).toMatch(/[.:]/);
    }
    expect(new Set(kept.view.nodes.map((n) => n.dataAddress)).size).toBe(6);
  });

  it("changes in place: a node and its network come and go, all else keeps its id", async () => {
    const before = await keeper(fabric).create(paperSlice);
    const wider = withNode(paperSlice, "clientfour", { site: "HAWI" });
    const grown = await keeper(fabric).update(before.id, paperSlice, wider);
    expect(grown.failures).toEqual([]);
    expect(grown.state).toBe("StableOK");
    expect(grown.view.networks.map((n) => n.site)).toEqual(["AMST", "HAWI", "LOSA", "TOKY"]);
    const ids = new Map(before.view.nodes.map((n) => [n.name, [n.nodeId, n.dataAddress, n.managementIp]]));
    for (const n of grown.view.nodes)
      if (n.name !== "clientfour") expect([n.nodeId, n.dataAddress, n.managementIp]).toEqual(ids.get(n.name));
    const back = await keeper(fabric).update(before.id, wider, paperSlice);
    expect([back.view.nodes, back.view.networks]).toEqual([before.view.nodes, before.view.networks]);
  });

  it("replaces a node whose size changes, under a new id, also back and forth", async () => {
    const before = await keeper(fabric).create(paperSlice);
    const idOf = (kept: typeof before) => kept.view.nodes.find((n) => n.name === "core")?.nodeId;
    const larger = withNode(paperSlice, "core", { site: "AMST", cores: 8 });
    const second = await keeper(fabric).update(before.id, paperSlice, larger);
    const third = await keeper(fabric).update(before.id, larger, paperSlice);
    expect(new Set([idOf(before), idOf(second), idOf(third)]).size).toBe(3);
    expect(second.view.nodes.find((n) => n.name === "core")?.cores).toBe(8);
    expect(third.state).toBe("StableOK");
  });

  it("asks for nothing when nothing changed", async () => {
    const made = await keeper(fabric).create(paperSlice);
    const slivers = await fabric.api.slivers(made.id);
    expect((await keeper(fabric).update(made.id, paperSlice, paperSlice)).view).toEqual(made.view);
    expect(await fabric.api.slivers(made.id)).toEqual(slivers);
  });

  it("has its lease extended, never shortened", async () => {
    const made = await keeper(fabric).create({ ...paperSlice, lease: "2d" });
    const longer = await keeper(fabric).update(
      made.id,
      { ...paperSlice, lease: "2d" },
      { ...paperSlice, lease: "5d" },
    );
    const days = (text = "") =>
      Math.round((Date.parse(text.replace(" ", "T").replace(" +0000", "Z")) - Date.now()) / 8.64e7);
    expect([days(made.leaseEnd), days(longer.leaseEnd)]).toEqual([2, 5]);
    const shorter = await keeper(fabric).update(
      made.id,
      { ...paperSlice, lease: "5d" },
      { ...paperSlice, lease: "1d" },
    );
    expect(shorter.leaseEnd).toBe(longer.leaseEnd);
  });

  it("ends, and ending it again is fine", async () => {
    const made = await keeper(fabric).create(paperSlice);
    await keeper(fabric).delete(made.id);
    expect((await fabric.api.slice(made.id, "NONE")).state).toBe("Dead");
    expect(await keeper(fabric).read(made.id)).toBeUndefined();
    await keeper(fabric).delete(made.id);
    await keeper(fabric).delete("00000000-0000-4000-8000-00000000dead");
  });

  it("cannot be changed once it has ended", async () => {
    const made = await keeper(fabric).create(paperSlice);
    await keeper(fabric).delete(made.id);
    expect(await codeOf(keeper(fabric).update(made.id, paperSlice, paperSlice))).toBe("FAB-GONE");
  });
});

describe("a slice of which nothing came up", () => {
  it("is given up with FABRIC's reasons, also when the create was not answered, and made anew by the next", async () => {
    const one = parseSliceSpec({ name: "alone", nodes: { core: { site: "AMST" } } });
    await fabric.stop();
    fabric = await EmulatedFabric.start({
      delays: { ...quick, configure: 1500 },
      sliverFaults: [{ element: "core", times: 1, fault: { kind: "fail", at: "redeem" } }],
    });
    const unanswered = instead(fabric, "createSlice", async (slice) => {
      await fabric.api.createSlice(slice);
      throw lost;
    });
    expect(await codeOf(keeper(fabric, { api: unanswered }).create(one))).toBe("FAB-CREATE-FAILED");
    expect((await keeper(fabric).create(one)).state).toBe("StableOK");
  });
});

describe("a run that was killed", () => {
  it("while it created: the next finds the slice by its mark and makes no second one", async () => {
    const first = await keeper(fabric).create(paperSlice);
    const again = await keeper(fabric).create(paperSlice);
    expect(again.id).toBe(first.id);
    expect(await fabric.api.slices()).toHaveLength(1);
  });

  it("before the slice was up: the next waits for it", async () => {
    await fabric.stop();
    fabric = await EmulatedFabric.start({ delays: { ...quick, configure: 3000 } });
    await expect(keeper(fabric, { api: killedAt(fabric, "slice") }).create(paperSlice)).rejects.toThrow(
      "killed",
    );
    const [begun] = await fabric.api.slices();
    expect(begun?.state).not.toBe("StableOK");
    const again = await keeper(fabric).create(paperSlice);
    expect([again.id, again.state]).toEqual([begun?.sliceId, "StableOK"]);
  });

  it("and another that runs at the same time come to one slice", async () => {
    const both = await Promise.all([keeper(fabric).create(paperSlice), keeper(fabric).create(paperSlice)]);
    expect(both[0].id).toBe(both[1].id);
    expect(await fabric.api.slices()).toHaveLength(1);
  });

  it("after it sent its create and before it had the answer: the slice is found", async () => {
    const api = new Proxy(fabric.api, {
      get: (target, key) => {
        if (key !== "createSlice") return bound(target, key);
        return async (slice: Parameters<typeof target.createSlice>[0]) => {
          await target.createSlice(slice);
          throw lost;
        };
      },
    });
    expect((await keeper(fabric, { api }).create(paperSlice)).state).toBe("StableOK");
    expect(await fabric.api.slices()).toHaveLength(1);
  });

  it("between modify and accept: the next accepts and goes on", async () => {
    const made = await keeper(fabric).create(paperSlice);
    const wider = withNode(paperSlice, "clientfour", { site: "HAWI" });
    const cutOff = keeper(fabric, { api: killedAt(fabric, "accept") });
    await expect(cutOff.update(made.id, paperSlice, wider)).rejects.toThrow("killed");
    expect((await fabric.api.slice(made.id, "NONE")).state).toBe("ModifyOK");
    const done = await keeper(fabric).update(made.id, paperSlice, wider);
    expect(done.state).toBe("StableOK");
    expect(done.view.nodes.map((n) => n.name)).toContain("clientfour");
  });
});

describe("somebody else's slice of that name", () => {
  const other = { project: "dynamos-fabric", stack: "dev", id: "mark-2" };

  it("is never adopted, changed or deleted", async () => {
    const theirs = await keeper(fabric, { mark: other }).create(paperSlice);
    const error: unknown = await keeper(fabric)
      .create(paperSlice)
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(InfraError);
    expect((error as InfraError).code).toBe("FAB-NAME-TAKEN");
    expect((error as InfraError).message).toContain(theirs.id);
    expect(await codeOf(keeper(fabric).update(theirs.id, paperSlice, paperSlice))).toBe("FAB-NOT-OURS");
    expect(await codeOf(keeper(fabric).delete(theirs.id))).toBe("FAB-NOT-OURS");
    expect((await fabric.api.slice(theirs.id, "NONE")).state).toBe("StableOK");
  });

  it("is taken over only when its id is given", async () => {
    const theirs = await keeper(fabric, { mark: other }).create(paperSlice);
    expect(await codeOf(keeper(fabric).create(paperSlice, "another-id"))).toBe("FAB-NAME-TAKEN");
    const ours = await keeper(fabric).create(paperSlice, theirs.id);
    expect(ours.id).toBe(theirs.id);
    expect(ours.view.nodes.every((n) => n.mark?.id === mark.id)).toBe(true);
    expect(ours.view.nodes.map((n) => n.nodeId)).toEqual(theirs.view.nodes.map((n) => n.nodeId));
    await keeper(fabric).delete(ours.id);
  });
});

describe("a slice of the name that is not ours", () => {
  /** All that FABRIC has of it. */
  const everything = async (id: string) => [await fabric.api.slice(id), await fabric.api.slivers(id)];

  it("another stack's, or one without a mark: create, update, renew and delete are refused, and nothing of it changes", async () => {
    for (const [name, owner] of [
      ["p-theirs", { project: "other", stack: "dev", id: "mark-2" }],
      ["p-unmarked", undefined],
    ] as const) {
      const spec = parseSliceSpec({ ...paperSlice, name });
      const id = (await keeper(fabric, { mark: owner ?? { ...mark, id: "mark-3" } }).create(spec)).id;
      if (owner === undefined) await takeMarksOut(id);
      const before = await everything(id);
      const ours = keeper(fabric);
      const wider = withNode(spec, "clientfour", { site: "HAWI" });
      expect(await codeOf(ours.create(spec))).toBe("FAB-NAME-TAKEN");
      expect(await codeOf(ours.update(id, spec, wider))).toBe("FAB-NOT-OURS");
      expect(await codeOf(ours.renew(id, { lease: "14d" }, { now: true }))).toBe("FAB-NOT-OURS");
      expect(await codeOf(ours.delete(id))).toBe("FAB-NOT-OURS");
      expect(await everything(id)).toEqual(before);
    }
  });

  it("made by another while our create got no answer: not taken for ours", async () => {
    const other = keeper(fabric, { mark: { ...mark, id: "mark-2" } });
    let theirs = "";
    const api = instead(fabric, "createSlice", async () => {
      theirs = (await other.create(paperSlice)).id;
      throw lost;
    });
    expect(await codeOf(keeper(fabric, { api }).create(paperSlice))).toBe("FAB-NAME-TAKEN");
    expect((await fabric.api.slice(theirs, "NONE")).state).toBe("StableOK");
  });

  async function takeMarksOut(id: string): Promise<void> {
    const { model = "" } = await fabric.api.slice(id);
    const graph = readGraphml(model);
    const nodes = graph.nodes.map((n) => ({ ...n, props: { ...n.props, UserData: "{}" } }));
    await fabric.api.modify(id, writeGraphml({ ...graph, nodes }));
  }
});
