import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { elementIds } from "../../../infra/fabric/element-ids.js";
import type { PropertyGraph } from "../../../infra/fabric/graph.js";
import {
  checkInputs,
  diffInputs,
  inputsFromView,
  outputsOf,
  type SliceInputs,
} from "../../../infra/fabric/slice-inputs.js";
import type { KeptSlice } from "../../../infra/fabric/slice-keeper.js";
import { fromGraph } from "../../../infra/fabric/slice-view.js";
import { planTopology } from "../../../infra/fabric/topology.js";
import { toGraph } from "../../../infra/fabric/topology-graph.js";
import { paperSlice } from "../../support/paper-slice.js";
import { nodeMaps } from "../../support/random-slices.js";

const mark = { project: "p", stack: "dev", id: "m1" };
const base: SliceInputs = {
  ...paperSlice,
  endpoint: { kind: "local", state: ".state/dev", service: "emulator" },
  owner: { project: "p", stack: "dev" },
  state: ".state/dev",
};
const kept = (inputs: SliceInputs, edit: (graph: PropertyGraph) => PropertyGraph = (g) => g): KeptSlice => ({
  id: "id",
  state: "StableOK",
  leaseEnd: "2026-12-06 10:00:00 +0000",
  failures: [],
  view: fromGraph(edit(toGraph(planTopology(inputs), mark, elementIds(mark.id)))),
});
const withProps = (graph: PropertyGraph, name: string, props: Record<string, string>): PropertyGraph => ({
  ...graph,
  nodes: graph.nodes.map((n) => (n.props.Name === name ? { ...n, props: { ...n.props, ...props } } : n)),
});

describe("check", () => {
  it("fills in defaults", () => {
    const { inputs, problems } = checkInputs({
      ...base,
      lease: undefined,
      nodes: { core: { site: "AMST" } },
    });
    expect(problems).toEqual([]);
    expect(inputs).toMatchObject({ lease: "1d", nodes: { core: { cores: 4, ram: 16, disk: 50 } } });
    expect(checkInputs(inputs).inputs).toEqual(inputs);
  });

  it("tells each problem's place", () => {
    const { inputs, problems } = checkInputs({
      ...base,
      name: "x",
      nodes: { core: { site: "LOAS" } },
      endpoint: { kind: "moon" },
    });
    expect(inputs).toBeUndefined();
    expect(problems.map((p) => [p.path, p.code]).sort()).toEqual([
      ["endpoint.kind", "SPEC-INVALID"],
      ["name", "SPEC-INVALID"],
      ["nodes.core.site", "FAB-SITE-UNKNOWN"],
    ]);
  });
});

describe("diff", () => {
  it("is empty for what check gives back of the same", () => {
    expect(diffInputs(base, { ...base })).toEqual({ changes: false, replaces: [] });
  });

  it("another name or place is another slice; nothing else is", () => {
    expect(diffInputs(base, { ...base, name: "other" })).toEqual({ changes: true, replaces: ["name"] });
    expect(diffInputs(base, { ...base, endpoint: { kind: "fabric" } })).toEqual({
      changes: true,
      replaces: ["endpoint"],
    });
    expect(diffInputs(base, { ...base, lease: "7d" })).toEqual({ changes: true, replaces: [] });
    const { clientthree: _, ...fewer } = base.nodes;
    expect(diffInputs(base, { ...base, nodes: fewer })).toEqual({ changes: true, replaces: [] });
    const fabric = { ...base, endpoint: { kind: "fabric" } as const };
    expect(diffInputs(fabric, { ...fabric, endpoint: { kind: "fabric", rc: "~/rc" } })).toEqual({
      changes: true,
      replaces: [],
    });
    expect(diffInputs(base, { ...base, adopt: "an-id" })).toEqual({ changes: false, replaces: [] });
  });
});

describe("read", () => {
  it("of a slice as it was asked for shows no drift, for any slice", () => {
    fc.assert(
      fc.property(nodeMaps, (nodes) => {
        const inputs = { ...base, nodes };
        const seen = inputsFromView(inputs, kept(inputs), mark.id);
        expect(seen).toEqual(inputs);
        expect(diffInputs(outputsOf(seen, mark, kept(inputs)), inputs).changes).toBe(false);
      }),
    );
  });

  it("shows what was changed by another hand, and what failed, as work for the next up", () => {
    const resized = inputsFromView(
      base,
      kept(base, (g) => withProps(g, "core", { Capacities: '{"core": 8, "disk": 50, "ram": 16}' })),
      mark.id,
    );
    expect(resized.nodes.core?.cores).toBe(8);
    expect(diffInputs(resized, base).changes).toBe(true);
    const failed = inputsFromView(
      base,
      kept(base, (g) => withProps(g, "core", { ReservationInfo: '{"reservation_state": "Failed"}' })),
      mark.id,
    );
    expect(Object.keys(failed.nodes)).not.toContain("core");
    const other = inputsFromView(
      { ...base, nodes: {} },
      kept(base, (g) => withProps(g, "core", { UserData: "{}" })),
      mark.id,
    );
    expect(Object.keys(other.nodes)).not.toContain("core");
    expect(Object.keys(other.nodes)).toContain("server");
  });

  it("has outputs without anything undefined", () => {
    const outs = outputsOf(base, mark, kept(base));
    expect(JSON.parse(JSON.stringify(outs))).toStrictEqual(outs);
    expect(outs.hosts.core).toEqual({ site: "AMST" });
  });
});
