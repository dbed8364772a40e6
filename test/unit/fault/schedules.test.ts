import { describe, expect, it } from "vitest";
import type { SliceRecord, SliverRecord } from "../../../infra/fabric/emulator/model.js";
import {
  type AfterUp,
  faultsAfterDestroy,
  faultsAfterUp,
  faultsAtOthers,
  type Look,
  untouched,
} from "../../fault/invariants.js";
import { describeBlow, drawSchedule } from "../../fault/schedule.js";

const ours = { name: "fault-dev", owner: "me" };
const nodes = { core: { site: "AMST", cores: 2, ram: 8, disk: 10 } };

const sliver = (id: string, nodeId: string, more: object = {}): SliverRecord =>
  ({
    id,
    nodeId,
    kind: nodeId.startsWith("net") ? "NetworkServiceSliver" : "NodeSliver",
    ...more,
  }) as SliverRecord;
const slice = (id: string, more: Partial<SliceRecord> = {}): SliceRecord =>
  ({
    id,
    name: ours.name,
    owner: { id: ours.owner, email: "" },
    graph: {
      nodes: [
        {
          id: "1",
          props: {
            NodeID: "n1",
            Class: "NetworkNode",
            Name: "core",
            Site: "AMST",
            Capacities: '{"core":2,"ram":8,"disk":10}',
          },
        },
        { id: "2", props: { NodeID: "c1", Class: "Component", Type: "SharedNIC" } },
        {
          id: "3",
          props: {
            NodeID: "net1",
            Class: "NetworkService",
            Type: "FABNetv4",
            Name: "net-amst",
            Site: "AMST",
          },
        },
      ],
      edges: [{ source: "1", target: "2", props: {} }],
    },
    slivers: [sliver("s1", "n1"), sliver("s2", "net1")],
    ...more,
  }) as SliceRecord;
const look = (records: readonly SliceRecord[], state = "StableOK"): Look => ({
  records,
  states: new Map(records.map((s) => [s.id, state])),
});
const resource = (kind: string, outputs: object, id = "x") => ({
  urn: kind,
  type: `pulumi-nodejs:dynamic/fabric:${kind}`,
  id,
  outputs: { ...outputs },
});
const checkpoint = [
  resource("Slice", {}, "a"),
  resource("Node", { name: "core", nodeId: "n1", sliverId: "s1", slice: "a" }),
  resource("Network", { nodeId: "net1", sliverId: "s2", slice: "a" }),
];
const well: AfterUp = {
  ...{ before: look([slice("a")]), after: look([slice("a")]), ours, nodes, checkpoint, ending: false },
  keep: untouched(look([slice("a")]), ours, nodes),
};

describe("the check after an up", () => {
  it("finds nothing wrong with a slice as asked", () => {
    expect([...well.keep.values()]).toEqual(["s1", "s2"]);
    expect(faultsAfterUp(well)).toEqual([]);
  });

  it.each<[string, Partial<AfterUp>, string]>([
    ["no slice", { after: look([]) }, "0 living slices"],
    ["two slices", { after: look([slice("a"), slice("b")]) }, "2 living slices"],
    ["a slice made anew without need", { after: look([slice("b")]) }, "slices b were made beside 1"],
    ["a slice that failed in part", { after: look([slice("a")], "StableError") }, "StableError"],
    ["a node too few", { nodes: { ...nodes, one: nodes.core } }, "nodes in the graph: core; should be core, one"],
    ["a node of another size", { nodes: { core: { ...nodes.core, cores: 4 } } }, "2 slivers are open, 1 of them as asked"],
    ["a sliver too many", { after: look([slice("a", { slivers: [sliver("s1", "n1"), sliver("s2", "net1"), sliver("s3", "n1")] })]) }, "3 slivers are open"],
    ["a healthy sliver made anew", { after: look([slice("a", { slivers: [sliver("s9", "n1"), sliver("s2", "net1")] })]) }, "had sliver s1 and has s9"],
    ["a state with an old sliver", { checkpoint: [...checkpoint.slice(0, 1), resource("Node", { name: "core", nodeId: "n1", sliverId: "s0", slice: "a" })] }, "which is not open"],
    ["a state with another slice", { checkpoint: [resource("Slice", {}, "b"), ...checkpoint.slice(1)] }, "slices in the checkpoint: b"],
  ])("tells %s", (_name, change, words) => {
    expect(faultsAfterUp({ ...well, ...change }).join("\n")).toContain(words);
  });
}); // biome-ignore format: reads as a table

describe("the other checks", () => {
  it("tell what is left after a destroy", () => {
    const rest = { checkpoint: [], marks: "/nowhere" };
    const closed = slice("a", { slivers: [sliver("s1", "n1", { closedAt: 1 })] });
    expect(faultsAfterDestroy(look([closed], "Dead"), ours, rest)).toEqual([]);
    expect(faultsAfterDestroy(look([closed], "Closing"), ours, rest)[0]).toContain("is Closing");
    expect(faultsAfterDestroy(look([slice("a")], "Dead"), ours, rest)[0]).toContain("sliver s1 of a is open");
    expect(faultsAfterDestroy(look([], "Dead"), ours, { ...rest, checkpoint })[0]).toContain(
      "the checkpoint holds",
    );
  });

  it("tell that another's slice changed, went, or came", () => {
    const theirs = slice("t", { name: "theirs" });
    const sameName = slice("u", { owner: { id: "another", email: "" } });
    const first = look([theirs, sameName]);
    expect(faultsAtOthers(first, look([theirs, sameName, slice("a")]), ours)).toEqual([]);
    expect(faultsAtOthers(first, look([{ ...theirs, leaseEnd: 7 }, sameName]), ours)[0]).toContain(
      "was touched",
    );
    expect(faultsAtOthers(first, look([theirs]), ours)[0]).toContain("was touched");
    expect(faultsAtOthers(first, look([theirs, sameName, slice("n", { name: "new" })]), ours)[0]).toContain(
      "was made",
    );
  });
});

describe("schedules", () => {
  const all = Array.from({ length: 3000 }, (_, i) => drawSchedule(i + 1));

  it("are the same for the same seed, end with the slice's end, and hit one operation each", () => {
    for (const schedule of all) {
      expect(drawSchedule(schedule.seed)).toEqual(schedule);
      expect(schedule.steps.at(-1)?.next.kind).toBe("destroy");
      expect(schedule.steps.some((s) => s.blow !== undefined || s.faults.length + s.slivers.length > 0)).toBe(
        true,
      );
    }
  });

  it("kill the engine, and apart from it the provider, at each call that changes something, in every phase of it", () => {
    const blows = new Set(
      all.flatMap((s) =>
        s.steps.flatMap((step) => (step.blow === undefined ? [] : [describeBlow(step.blow)])),
      ),
    );
    for (const call of ["create", "modify", "accept", "delete"])
      for (const phase of ["arrives", "taken", "answered", "read"])
        for (const victim of ["engine", "provider"])
          expect(blows).toContain(`${victim} at ${call} 1 ${phase}`);
  });
});
